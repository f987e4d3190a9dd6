"""What gathering promises: who asks together is done together, and nobody waits for long."""

from __future__ import annotations

import asyncio

import pytest

from homeostat.foundation.database import answers, gathering


class Clients:
    """Ask again as soon as they are answered, each so many times as it is told to."""

    def __init__(self, *turns):
        self.loop = asyncio.get_running_loop()
        self.left = list(turns)
        self.groups = []
        self.gathering = gathering.Gathering(self.loop, self.hand_over, most=64)
        self.done = self.loop.create_future()

    def ask(self, client):
        self.gathering.add(answers.Request(client, "p", answers.Told(self.loop, print)), client)

    def hand_over(self, group):
        self.groups.append([request.work for request in group])
        self.loop.call_soon(self.answer, group)

    def answer(self, group):
        """Answers and what they lead to arrive one after the other, as from a network."""
        self.again(group[0].work)
        if group[1:]:
            self.loop.call_soon(self.answer, group[1:])

    def again(self, client):
        self.left[client] -= 1
        if self.left[client] > 0:
            self.ask(client)
        elif not any(turns > 0 for turns in self.left):
            self.done.set_result(self.groups)


async def groups_of(*turns):
    clients = Clients(*turns)
    for client in range(len(turns)):
        clients.loop.call_soon(clients.ask, client)
    return await asyncio.wait_for(clients.done, 30)


def test_those_who_ask_again_and_again_are_soon_done_together():
    groups = asyncio.run(groups_of(*[40] * 5))
    assert sum(len(group) == 5 for group in groups) >= 20


def test_one_alone_is_waited_for_by_nobody():
    groups = asyncio.run(groups_of(10))
    assert groups == [[0]] * 10


def test_nothing_is_lost_or_done_twice_when_clients_stop():
    groups = asyncio.run(groups_of(1, 2, 3, 5, 8, 13))
    assert sorted(client for group in groups for client in group) == sorted(
        client for client, turns in enumerate((1, 2, 3, 5, 8, 13)) for _ in range(turns)
    )


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_are_waited_for_than_may_share_a_commit(most):
    async def ask():
        clients = Clients(*[4] * 6)
        clients.gathering = gathering.Gathering(clients.loop, clients.hand_over, most=most)
        for client in range(6):
            clients.ask(client)
        return await asyncio.wait_for(clients.done, 30)

    assert sum(map(len, asyncio.run(ask()))) == 24
