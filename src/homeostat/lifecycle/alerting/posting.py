"""Sends bytes to addresses that others have chosen, and never into this network unless told to.

A name is resolved once and the connection goes to the address that was judged, so that a name
cannot mean one thing when it is judged and another when it is used. Nothing is redirected, and
no proxy of the environment is asked.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import smtplib
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import urlsplit

from homeostat.foundation import settings

TIMEOUT_S = 15.0
WHOLE_S = 30.0
"""How long a whole answer may take; one that trickles in byte by byte is cut off."""
_ANSWER_BYTES = 4096
_SENTENCE = 200
_OK, _GONE = range(200, 300), 410
_NEVER = 500
_TRIED = 3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Outcome(NamedTuple):
    """What came of one attempt; `error` is empty when it went well.

    `is_final` says that trying again would be wrong, `wait_s` that the receiver asked for time,
    `remark` what was not quite well with one that went out.
    """

    error: str = ""
    is_final: bool = False
    wait_s: int = 0
    remark: str = ""


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the whole Internet's.

    Parameters
    ----------
    address
        IPv4 or IPv6; what an IPv6 address carries of IPv4 is judged too.

    Examples
    --------
    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
    [True, False, False, False]
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Outcome:
    """Post bytes.

    Parameters
    ----------
    url
        ``https://...``; ``http://...`` where private addresses are allowed.
    body, headers
        As they are sent.
    allow_private
        Whether addresses that only this network reaches are.

    Returns
    -------
    Outcome
        Never raises for what the other side or the way to it does; says nothing of paths and
        queries, which may be secret.
    """
    try:
        connection, path = _connection(url, allow_private=allow_private)
    except ValueError as error:
        return Outcome(str(error), is_final=True)
    except OSError as error:
        return Outcome(_told(error))
    ending = threading.Timer(WHOLE_S, connection.cut)
    ending.daemon = True
    ending.start()
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        answer.read(_ANSWER_BYTES)
    except (UnicodeError, http.client.InvalidURL):  # whose words would tell the path
        return Outcome("the path of the address is not plain ASCII", is_final=True)
    except (OSError, http.client.HTTPException) as error:
        slow = f"no whole answer within {WHOLE_S:g} s"
        return Outcome(slow if connection.is_cut else _told(error))
    finally:
        ending.cancel()
        connection.close()
    if answer.status in _OK:
        return Outcome()
    wait = answer.headers.get("Retry-After", "")
    return Outcome(
        f"the receiver answered {answer.status}",
        is_final=answer.status == _GONE,
        wait_s=min(int(wait), 3600) if wait.isascii() and wait.isdigit() else 0,
    )


def send_mail(letter: EmailMessage, told: settings.Settings) -> Outcome:
    """Hand e-mail to the server of the settings.

    Parameters
    ----------
    letter
        With sender and receivers.
    told
        ``smtp_*``.

    Returns
    -------
    Outcome
        Never raises for what the server or the way to it does.
    """
    if not told.smtp_host:
        return Outcome("no e-mail is sent: the setting smtp_host is empty", is_final=True)
    is_tls = told.smtp_security == "tls"
    trust = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(told.smtp_host, told.smtp_port, timeout=TIMEOUT_S, context=trust)
            if is_tls
            else smtplib.SMTP(told.smtp_host, told.smtp_port, timeout=TIMEOUT_S)
        )
        with server:
            if told.smtp_security == "starttls":
                server.starttls(context=trust)
            if told.smtp_user:
                server.login(told.smtp_user, told.smtp_password)
            refused = server.send_message(letter)
    except smtplib.SMTPRecipientsRefused as error:
        is_final = all(code >= _NEVER for code, _ in error.recipients.values())
        return Outcome(f"the mail server refused {_refused(error.recipients)}", is_final)
    except smtplib.SMTPResponseException as error:
        return Outcome(f"the mail server answered {error.smtp_code}")
    except UnicodeError:
        return Outcome("the mail server takes plain ASCII alone", is_final=True)
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(_told(error))
    remark = f"the mail server refused {_refused(refused)}" if refused else ""
    return Outcome(remark=remark)


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was judged, under the name it was asked by."""

    def __init__(
        self, host: str, port: int, *, addresses: Sequence[str], trust: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self._addresses = addresses
        self._trust = trust
        self.is_cut = False

    def connect(self) -> None:
        self.sock = self._reach()
        if self._trust is not None:
            self.sock = self._trust.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End it from another thread, whoever waits for what."""
        self.is_cut = True
        with contextlib.suppress(AttributeError, OSError):  # not there yet, or gone already
            self.sock.shutdown(socket.SHUT_RDWR)

    def _reach(self) -> socket.socket:
        """Connect to the first address that takes it: a name may have some that do not."""
        *others, last = self._addresses
        for address in others:
            with contextlib.suppress(OSError):
                return socket.create_connection((address, self.port), TIMEOUT_S / 3)
        return socket.create_connection((last, self.port), self.timeout)


def _connection(url: str, *, allow_private: bool) -> tuple[_Pinned, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"https", "http"} or not host or parts.username is not None:
        raise ValueError("this is no address of the web without user and password")
    is_tls = parts.scheme == "https"
    if not is_tls and not allow_private:
        raise ValueError("messages go out encrypted: https, not http")
    port = parts.port or (443 if is_tls else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not allow_private:
        private = [address for address in addresses if not is_public(address)]
        if private:
            raise ValueError(
                f"{host} is {private[0]}, an address that is not public; the setting "
                "allow_private_webhooks allows it"
            )
    trust = ssl.create_default_context() if is_tls else None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Pinned(host, port, addresses=addresses[:_TRIED], trust=trust), path


def _refused(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    told = (f"{address} ({code})" for address, (code, _) in recipients.items())
    return ", ".join(told)[:_SENTENCE]


def _told(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error) or "no answer"
    return f"{type(error).__name__}: {words}"[:_SENTENCE]
