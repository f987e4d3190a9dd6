"""The SDK gives the same answers from a server and without one."""

from __future__ import annotations

import threading

import pytest

import homeostat
from homeostat.doors.client import carriers, transport
from homeostat.foundation import errors


@pytest.fixture(params=["in-process", "server"])
def either(request):
    name = {"in-process": "client", "server": "remote"}[request.param]
    return request.getfixturevalue(name)


def test_health_names_the_release(either):
    assert either.health().version == homeostat.__version__


def test_the_log_of_a_house_is_whole(either):
    found = either.audit.verify()
    assert found.ok
    assert found.first_bad_seq is None


def test_what_is_not_there_raises_the_same_error(either):
    with pytest.raises(homeostat.NotFoundError, match="job"):
        either.jobs.get("nothing")


def test_a_name_with_special_letters_stays_one_part_of_the_path(either):
    with pytest.raises(homeostat.NotFoundError, match="job"):
        either.jobs.get("../events?x=1#y")


def test_many_threads_may_share_a_client(either):
    seen = []
    asking = [
        threading.Thread(target=lambda: seen.append(either.audit.verify().ok))
        for _ in range(16)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert seen == [True] * 16


def test_a_server_that_is_away_is_said_in_one_sentence():
    with (
        homeostat.connect("http://127.0.0.1:9") as client,
        pytest.raises(
            homeostat.UnavailableError, match=r"no answer from http://127\.0\.0\.1:9"
        ),
    ):
        client.health()


def test_a_client_can_be_closed_twice(told):
    client = homeostat.connect(home=told.home)
    client.close()
    client.close()


def test_a_project_sees_nothing_of_another(tmp_path, record, opened):
    record(opened)
    with homeostat.connect(home=opened.settings.home, project="other") as client:
        assert client.events.list() == []
    with homeostat.connect(home=opened.settings.home) as client:
        assert len(client.events.list()) == 1


def test_what_is_no_homeostat_server_is_said_so():
    class Elsewhere:
        def carry(self, method, path, *, headers, body):
            return carriers.Reply(502, b"<html>bad gateway</html>")

        def close(self):
            pass

    speaking = transport.Transport(Elsewhere())
    with pytest.raises(errors.HomeostatError, match="answered 502"):
        speaking.call("GET", "/health")
