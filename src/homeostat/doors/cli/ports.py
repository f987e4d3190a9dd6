"""Ports to listen on; taken before anything is opened, so that a clash is one sentence."""

from __future__ import annotations

import errno
import http.client
import socket
from urllib.parse import urlsplit

from homeostat.foundation import errors


def bind(host: str, port: int, *, option: str) -> socket.socket:
    """Take a port of this machine.

    Parameters
    ----------
    host
        A loopback address.
    port
        1 to 65535, or 0 for any free one.
    option
        The command line's option that chooses it, for the hint.

    Returns
    -------
    socket.socket
        Bound, not yet listening; the caller closes it.

    Raises
    ------
    UnavailableError
        When another process listens there, or this one may not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            said = f"port {port} is in use by another process"
        else:
            said = f"port {port} of {host} cannot be used: {error.strerror}"
        raise errors.UnavailableError(
            said,
            hint=f"choose another one with {option}, or stop that process",
            port=port,
        ) from error
    return taken


def check(host: str, port: int, *, option: str) -> None:
    """Refuse a port that cannot be taken; see `bind`."""
    bind(host, port, option=option).close()


def free(host: str) -> int:
    """Return a port that nobody listens on now."""
    taken = bind(host, 0, option="--port")
    port: int = taken.getsockname()[1]
    taken.close()
    return port


def answers(url: str) -> bool:
    """Say whether a server answers at an address; see `is_well`."""
    parts = urlsplit(url)
    is_safe = parts.scheme == "https"
    return is_well(
        parts.hostname or "", parts.port or (443 if is_safe else 80), is_safe=is_safe
    )


def is_well(host: str, port: int, *, timeout_s: float = 1.0, is_safe: bool = False) -> bool:
    """Say whether a server answers ``/health`` there with 200."""
    kind = http.client.HTTPSConnection if is_safe else http.client.HTTPConnection
    asking = kind(host, port, timeout=timeout_s)
    try:
        asking.request("GET", "/health")
        return asking.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()
