"""The one address of several workers: reserved once, listened on by each of them.

Called by `server` and `supervisor`. The kernel deals connections out among the sockets that
listen on an address by SO_REUSEPORT. The supervisor keeps every one of them, so that
connections that wait for a worker that died are answered by the next one in its place.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Final, Self

from homeostat.foundation import errors

PATIENCE_S: Final = 2.0
_LOOK_S: Final = 0.05


class Address:
    """An address that no other server on this machine can take meanwhile.

    Parameters
    ----------
    host
        A loopback address.
    port
        1 to 65535, or 0 for any free one.
    reserved
        What reserves it already; nobody is asked then.

    Raises
    ------
    UnavailableError
        When another process listens there, or this one may not.
    """

    def __init__(self, host: str, port: int, *, reserved: socket.socket | None = None) -> None:
        self.host = host
        self.port: int
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if reserved is not None:
            self.port, self._reserved = port, reserved
            return
        with self._probe(port) as probe:
            self.port = probe.getsockname()[1]
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Never listens and may not be shared: whoever probes after us is refused.
            self._reserved = self._socket()
            self._bind(self._reserved, self.port)

    @classmethod
    def of(cls, reserved: socket.socket) -> Self:
        """Return the address that a socket of this process reserves already; it is taken over.

        Parameters
        ----------
        reserved
            Of an `Address` of before.
        """
        host, port = reserved.getsockname()[:2]
        return cls(host, port, reserved=reserved)

    @property
    def reserved(self) -> int:
        """The file descriptor that keeps the address."""
        return self._reserved.fileno()

    def take(self) -> socket.socket:
        """Return a new socket of the address; once it listens it gets its share of callers."""
        taken = self._socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bind(taken, self.port)
        taken.setblocking(False)
        return taken

    def close(self) -> None:
        """Let others take the address."""
        self._reserved.close()

    def _socket(self) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made

    def _probe(self, port: int) -> socket.socket:
        """Bind alone, which fails while anybody listens; workers of a dead one soon end."""
        until = time.monotonic() + PATIENCE_S
        while True:
            probe = socket.socket(self._family, socket.SOCK_STREAM)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._bind(probe, port)
            except errors.UnavailableError as error:
                if "in_use" not in error.facts or time.monotonic() > until:
                    raise
                time.sleep(_LOOK_S)
            else:
                return probe

    def _bind(self, taken: socket.socket, port: int) -> None:
        try:
            taken.bind((self.host, port))
        except OSError as error:
            taken.close()
            hint = "choose another one with --port, or stop that process"
            if error.errno == errno.EADDRINUSE:
                raise errors.UnavailableError(
                    f"port {port} is in use by another process", hint=hint, in_use=port
                ) from error
            raise errors.UnavailableError(
                f"port {port} of {self.host} cannot be used: {error.strerror}", hint=hint
            ) from error
