"""Who may come in at all: pure checks that every server makes before anything else.

Called by the doorways of the API and of the prediction server. Until sign-in is configured the
caller is the owner of this machine: connections come from loopback, the Host names loopback
(else a name that another site rebinds to 127.0.0.1 could read), and no other site's page may
write. With sign-in callers may come from anywhere and show a key, read by `credentials`; what
is said of Host and of other sites holds as before.
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
from urllib.parse import urlsplit

from homeostat.foundation import errors

READING = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "homeostat.local"})
HOW = "send Authorization: Bearer KEY, or Basic with the key as password"
_REMEMBERED = 256


def admit(
    method: str,
    *,
    address: str | None,
    host: str,
    origin: str | None,
    site: str | None,
    names: frozenset[str] = LOOPBACK_NAMES,
    anywhere: bool = False,
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
    names
        What this server answers to, in small letters and without a port.
    anywhere
        Whether callers of other machines may come in; they show a key.

    Raises
    ------
    UnauthenticatedError
        When the caller is not on this machine.
    NotAllowedError
        When the Host is none of `names`, or another site's page tries to write.
    """
    if address is not None and not anywhere and not _is_loopback(address):
        raise errors.UnauthenticatedError(
            f"a caller from {address} is not known: sign-in is not configured",
            hint="without sign-in only this machine may call",
        )
    if not _is_known(host, names):
        where = "use http://127.0.0.1 or http://localhost"
        raise errors.NotAllowedError(
            f"this server does not answer to the name {host[:80]!r}",
            hint=f"{where}, or add the name to allowed_hosts" if anywhere else where,
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


def credentials(authorization: str | None) -> str:
    """Return the key that a request shows.

    Parameters
    ----------
    authorization
        The header of that name: ``Bearer KEY``, or ``Basic`` with the key as password and any
        name; None where there is none.

    Returns
    -------
    str
        As it was sent; whether it opens anything is for the keyring to say.

    Raises
    ------
    UnauthenticatedError
        When there is none, or it cannot be read.

    References
    ----------
    .. [1] RFC 6750, *Bearer Token Usage*, 2012; RFC 7617, *The 'Basic' Authentication Scheme*,
       2015.

    Examples
    --------
    >>> credentials("Bearer hs_abc"), credentials("Basic YWRhOmhzX2FiYw==")
    ('hs_abc', 'hs_abc')
    """
    if not authorization:
        raise errors.UnauthenticatedError("no access key was shown", hint=HOW)
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    kind = scheme.lower()
    if kind == "bearer" and value:
        return value
    if kind == "basic":
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        _, colon, password = text.partition(":")
        if colon:
            return password
    raise errors.UnauthenticatedError(
        f"the Authorization header, of scheme {scheme[:20]!r}, cannot be read", hint=HOW
    )


@functools.lru_cache(_REMEMBERED)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@functools.lru_cache(_REMEMBERED)
def _is_known(host: str, names: frozenset[str]) -> bool:
    end = "]" if host.startswith("[") else ":"
    name = host.partition(end)[0] + ("]" if end == "]" else "")
    return name.lower() in names


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as http://[
        return None
