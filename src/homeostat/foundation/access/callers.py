"""Who may come in at all: pure checks that every server makes before anything else.

Called by the doorways of the API and of the prediction server. Until sign-in is configured the
caller is the owner of this machine: connections come from loopback, the Host names loopback
(else a name that another site rebinds to 127.0.0.1 could read), and no other site's page may
write.
"""

from __future__ import annotations

import functools
import ipaddress
from urllib.parse import urlsplit

from homeostat.foundation import errors

READING = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "homeostat.local"})
_REMEMBERED = 256


def admit(
    method: str, *, address: str | None, host: str, origin: str | None, site: str | None
) -> None:
    """Refuse a request that no program or page of this machine's owner would make.

    Parameters
    ----------
    method
        Of HTTP.
    address
        The caller's IP address; None for a Unix socket, where the file's permissions decided.
    host, origin, site
        The headers Host, Origin and Sec-Fetch-Site.

    Raises
    ------
    UnauthenticatedError
        When the caller is not on this machine.
    NotAllowedError
        When the Host is not a loopback name, or another site's page tries to write.
    """
    if address is not None and not _is_loopback(address):
        raise errors.UnauthenticatedError(
            f"a caller from {address} is not known: sign-in is not configured",
            hint="without sign-in only this machine may call",
        )
    if not _is_known(host):
        raise errors.NotAllowedError(
            f"this server does not answer to the name {host[:80]!r}",
            hint="use http://127.0.0.1 or http://localhost",
        )
    if (origin is None and site is None) or method in READING:
        return
    is_foreign = origin is not None and _netloc(origin) != host
    if site not in (None, "none", "same-origin") or is_foreign:
        raise errors.NotAllowedError(
            "a page of another site may not write here",
            hint="call from a program, or from a page of this server",
            origin=origin or site,
        )


@functools.lru_cache(_REMEMBERED)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@functools.lru_cache(_REMEMBERED)
def _is_known(host: str) -> bool:
    end = "]" if host.startswith("[") else ":"
    name = host.partition(end)[0] + ("]" if end == "]" else "")
    return name.lower() in LOOPBACK_NAMES


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as http://[
        return None
