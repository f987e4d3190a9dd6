"""What a supervisor and its workers say to each other, over a socket that they share.

Used by `supervised` on the one side and by `worker` on the other. A message is its length in
four bytes and then msgpack; the end of the stream tells either side that the other is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from typing import Final, Generic, TypeVar

import msgspec

from homeostat.lifecycle.predictions import spool
from homeostat.lifecycle.serving import guarding, meters
from homeostat.lifecycle.serving.entities import PlanDocument

PAGE: Final = 100


class Begin(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What a worker must know before anything else.

    Attributes
    ----------
    folder
        Where plans' files and the spool are.
    n_workers
        How many there are, this one included.
    memory_bytes
        What the versions that this worker holds may take.
    release
        Of the supervisor; another one speaks another language.
    """

    folder: str
    durability: spool.Durability
    n_workers: int
    memory_bytes: int
    log_level: str
    log_format: str
    release: str


class Plans(msgspec.Struct, frozen=True, tag=True):
    """Plans that are new to the worker, whose files are in the folder."""

    documents: tuple[PlanDocument, ...]


class Known(msgspec.Struct, frozen=True, tag=True):
    """Every plan known now was told; `is_ready` when they are those of the server."""

    is_ready: bool


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Say what was counted."""

    number: int


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Say that you are there."""


class Total(msgspec.Struct, frozen=True, tag=True):
    """What all workers counted together; answers `AskTotal`."""

    number: int
    told: meters.Snapshot


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Accept nothing more, answer what has begun, close the log, end.

    Where another worker has taken the place, open connections have `idle_s` seconds for a last
    request.
    """

    idle_s: float = 0.0


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker accepts connections."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """A plan is in force in the worker."""

    deployment: str
    changed: int


class Damaged(msgspec.Struct, frozen=True, tag=True):
    """A file of this plan is missing or not what it should be."""

    deployment: str


class Pong(msgspec.Struct, frozen=True, tag=True):
    """Answers `Ping`: the worker's loop turns."""


class Measured(msgspec.Struct, frozen=True, tag=True):
    """Answers `Measure`; also said unasked as the last word of a worker that ends."""

    number: int
    told: meters.Snapshot


class AskTotal(msgspec.Struct, frozen=True, tag=True):
    """Somebody asked the worker for the numbers of all."""

    number: int


class SegmentClosed(msgspec.Struct, frozen=True, tag=True):
    """There is something to hand over."""


class Worn(msgspec.Struct, frozen=True, tag=True):
    """Threads hang here for good, or memory leaks; another worker should take the place."""


class Seen(msgspec.Struct, frozen=True, tag=True):
    """A decision that a person should hear of."""

    told: guarding.Unexpected


ToWorker = Begin | Plans | Known | Measure | Ping | Total | Drain
ToSupervisor = (
    Ready | Serving | Damaged | Measured | Pong | AskTotal | SegmentClosed | Worn | Seen
)
Heard = TypeVar("Heard")

_encode = msgspec.msgpack.Encoder().encode


class Channel(Generic[Heard]):
    """One side of the socket.

    Parameters
    ----------
    reader, writer
        Of the socket.
    heard
        Decodes what the other side says.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        heard: msgspec.msgpack.Decoder[Heard],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._heard = heard

    @property
    def number(self) -> int:
        """The file descriptor of this side; -1 once it is closed."""
        found = self._writer.get_extra_info("socket")
        return -1 if found is None else int(found.fileno())

    @property
    def is_cut(self) -> bool:
        """Whether the other side is gone, and has not only said its last word."""
        looking = select.poll()
        looking.register(self.number, select.POLLIN)
        return any(seen & select.POLLHUP for _, seen in looking.poll(0))

    def send(self, message: ToWorker | ToSupervisor) -> None:
        """Say something; when the other side is gone, to nobody.

        Parameters
        ----------
        message
            What to say.
        """
        data = _encode(message)
        if not self._writer.is_closing():
            self._writer.write(len(data).to_bytes(4, "big") + data)

    async def receive(self) -> Heard | None:
        """Wait for what the other side says.

        Returns
        -------
        message
            None when the other side is gone.
        """
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            data = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None
        return self._heard.decode(data)

    async def close(self) -> None:
        """Close this side once everything said has been sent."""
        with contextlib.suppress(OSError):
            self._writer.close()
            await self._writer.wait_closed()


async def of_supervisor(taken: socket.socket) -> Channel[ToSupervisor]:
    """Open the supervisor's side.

    Parameters
    ----------
    taken
        One end of a pair of sockets; becomes the channel's.
    """
    reader, writer = await asyncio.open_unix_connection(sock=taken)
    return Channel(reader, writer, heard=msgspec.msgpack.Decoder(ToSupervisor))


async def of_worker(taken: socket.socket) -> Channel[ToWorker]:
    """Open the worker's side; see `of_supervisor`."""
    reader, writer = await asyncio.open_unix_connection(sock=taken)
    return Channel(reader, writer, heard=msgspec.msgpack.Decoder(ToWorker))
