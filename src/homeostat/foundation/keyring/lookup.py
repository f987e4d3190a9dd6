"""Which key a request shows; asked for every request, so it hardly ever asks the database.

Each server process holds the keys that open for half a second at most. So what another
process makes or revokes counts here within a second.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Mapping
from typing import Final

import blake3

from homeostat.foundation import clock
from homeostat.foundation.database import Database
from homeostat.foundation.keyring import records
from homeostat.foundation.keyring.entities import AccessKey

SECRET_BYTES: Final = 32
PREFIX: Final = "hs_"
FRESH_S: Final = 0.5
"""How old what is held may be."""
RUSH_S: Final = 0.02
"""How old it must be before a key that is not held is looked for in the database."""
_NOBODYS: Final = "0" * 64
Held = Mapping[str, tuple[AccessKey, str]]


class Keyring:
    """The keys of one database, as one process knows them.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Held = {}
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def find(self, secret: str) -> AccessKey | None:
        """Return the key that opens with `secret` now; None when none does.

        Parameters
        ----------
        secret
            As the caller sent it.

        Returns
        -------
        AccessKey or None
            Of whatever project.

        Raises
        ------
        UnavailableError
            When the database cannot be reached.
        """
        self._renew(FRESH_S)
        found = match(self._held, secret)
        if found is None and secret.startswith(PREFIX):
            # It may have been made just now; guesses must not become a load on the database.
            self._renew(RUSH_S)
            found = match(self._held, secret)
        return found if found is not None and found.opens_at(clock.now_ms()) else None

    def _renew(self, oldest_s: float) -> None:
        if time.monotonic() - self._read_at <= oldest_s:
            return
        with self._reading:
            begun = time.monotonic()
            if begun - self._read_at > oldest_s:
                with self._database.read() as tx:
                    self._held = records.valid(tx)
                self._read_at = begun


def text(key_id: str, random: str) -> str:
    """Return the text of a key, as it is shown and sent.

    Parameters
    ----------
    key_id
        32 hexadecimal digits.
    random
        Of `SECRET_BYTES` random bytes.
    """
    return f"{PREFIX}{key_id}_{random}"


def digest(secret: str) -> str:
    """Return what is kept of a key's text: random enough to need no salt and no slow hash."""
    return blake3.blake3(secret.encode()).hexdigest()


def match(held: Held, secret: str) -> AccessKey | None:
    """Return the key whose text is `secret`.

    The time it takes tells nothing of how much of a guess was right: the id is no secret, and
    digests are compared in constant time, for an unknown id too.

    Parameters
    ----------
    held
        Keys and digests by id.
    secret
        Any text.

    Returns
    -------
    AccessKey or None
        None when there is none.
    """
    key, kept = held.get(secret[len(PREFIX) :].partition("_")[0], (None, _NOBODYS))
    return key if hmac.compare_digest(digest(secret), kept) else None
