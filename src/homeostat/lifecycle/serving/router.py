"""Which arm answers a key; the same in every process on every machine, without talking."""

from __future__ import annotations

import hashlib

from homeostat.lifecycle.serving import entities

SLOTS = 10_000


def slot(salt: str, key: str) -> int:
    """Return a key's place in the routing table.

    Parameters
    ----------
    salt
        Of the plan; another salt deals the keys anew.
    key
        What the prediction is joined by.

    Returns
    -------
    int
        In [0, 10,000), uniform over keys.

    Examples
    --------
    >>> slot("a", "customer-1") == slot("a", "customer-1")
    True
    """
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SLOTS


class Router:
    """The routing table of one plan.

    Parameters
    ----------
    plan
        A checked plan. Arms after the first take slots from 0 upwards; the stable arm keeps the
        rest. So while one canary grows, keys move from stable to it and none move back.
    """

    def __init__(self, plan: entities.Plan) -> None:
        self._salt = plan.salt
        self._bounds: list[int] = []
        taken = 0.0
        for arm in plan.arms[1:]:
            taken += arm.share
            self._bounds.append(round(taken * SLOTS))

    def arm(self, key: str) -> int:
        """Return the index of the arm that answers `key`.

        Parameters
        ----------
        key
            What the prediction is joined by.

        Returns
        -------
        int
            0 is the stable arm.
        """
        if not self._bounds:
            return 0
        place = slot(self._salt, key)
        for index, bound in enumerate(self._bounds, start=1):
            if place < bound:
                return index
        return 0


def sampled(share: float, *, salt: str, version: int, key: str) -> bool:
    """Tell whether a shadow scores this key.

    Parameters
    ----------
    share
        Share of keys, 0 to 1.
    salt
        Of the plan.
    version
        The shadow; two shadows sample independently.
    key
        What the prediction is joined by.

    Returns
    -------
    bool
        The same for the same arguments, everywhere.
    """
    return share >= 1 or slot(f"{salt}\0shadow\0{version}", key) < round(share * SLOTS)
