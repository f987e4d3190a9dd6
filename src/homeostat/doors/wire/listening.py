"""Listens on a socket and keeps the connections of one process; run by a prediction worker."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final, cast

from homeostat.doors.wire import connection, heads

LOOK_S: Final = 1.0
BACKLOG: Final = 2048
MOST_CONNECTIONS: Final = 10_000


class Crowd(asyncio.Protocol):
    """A connection too many: told so and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say that there are too many."""
        taken = cast("asyncio.Transport", transport)
        taken.write(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n")
        taken.write(b"content-length: 0\r\nconnection: close\r\n\r\n")
        taken.close()


class Listener:
    """The connections of a process to one door.

    Parameters
    ----------
    door
        What answers.
    """

    def __init__(self, door: connection.Door) -> None:
        self._door = door
        self._heads = heads.Heads()
        self._room = connection.Room()
        self._connections: set[connection.Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._looking: asyncio.Task[None] | None = None

    @property
    def n_connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def listen(self, listening: socket.socket) -> None:
        """Accept on a bound socket from now on.

        Parameters
        ----------
        listening
            Bound; becomes this listener's to close.
        """
        loop = asyncio.get_running_loop()
        self._servers.append(
            await loop.create_server(self._made, sock=listening, backlog=BACKLOG)
        )
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def close(self, *, drain_s: float, idle_s: float = 0.0) -> None:
        """Accept nothing more, answer what has begun, then close.

        Parameters
        ----------
        drain_s
            How long answers may take; what is open after that is cut.
        idle_s
            How long a connection is kept for one more request, the last; nothing that is on its
            way while another process takes over goes unanswered.
        """
        for server in self._servers:
            server.close()
        if idle_s:
            for one in list(self._connections):
                one.is_last = True
            await self._until_none(idle_s)
        for one in list(self._connections):
            one.drain()
        await self._until_none(drain_s)
        for one in list(self._connections):
            one.abort()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _until_none(self, limit_s: float) -> None:
        until = time.monotonic() + limit_s
        while self._connections and time.monotonic() < until:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.02)

    def _made(self) -> asyncio.Protocol:
        if len(self._connections) >= MOST_CONNECTIONS:
            return Crowd()
        return connection.Connection(
            self._door, self._heads, everyone=self._connections, room=self._room
        )

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for one in list(self._connections):
                one.look(now)
