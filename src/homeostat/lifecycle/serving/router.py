"""Which arm answers whom; the same in every process on every machine, without talking."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Protocol

from homeostat.lifecycle.serving import entities, rules
from homeostat.lifecycle.serving import plan as plans

SLOTS = 10_000
_ALL = 2**64 - 1


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
    return Slots(salt).of(key)


class Slots:
    """The routing table of a salt, which is hashed once for all keys; see `slot`.

    Parameters
    ----------
    salt
        Of the plan.
    """

    __slots__ = ("_begun",)

    def __init__(self, salt: str) -> None:
        self._begun = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)

    def draw(self, key: str) -> int:
        """Return what a key draws, uniform over keys in [0, 2**64); always the same."""
        hashed = self._begun.copy()
        hashed.update(key.encode())
        return int.from_bytes(hashed.digest(), "big")

    def of(self, key: str) -> int:
        """Return a key's place, in [0, 10,000)."""
        return self.draw(key) % SLOTS


class Sample:
    """The keys that a shadow scores; the same for the same arguments, everywhere.

    Parameters
    ----------
    share
        Share of keys, 0 to 1.
    version
        The shadow; two shadows sample independently, and of what arm a key comes to.

    Notes
    -----
    A key is hashed once, for its arm and all shadows: each shadow multiplies what was drawn by
    an odd number of its own, modulo 2**64 [1]_.

    References
    ----------
    .. [1] M. Dietzfelbinger et al., *A reliable randomized algorithm for the closest-pair
       problem*, J. Algorithms 25, 1997.

    Examples
    --------
    >>> Sample(1.0, version=3).takes(Slots("a").draw("customer-1"))
    True
    """

    __slots__ = ("_bound", "_by")

    def __init__(self, share: float, *, version: int) -> None:
        self._bound = 2**64 if share >= 1 else round(share * SLOTS) * 2**64 // SLOTS
        self._by = Slots("shadow").draw(str(version)) | 1

    def takes(self, drawn: int) -> bool:
        """Tell whether the shadow scores the rows of the key that drew this."""
        return drawn * self._by & _ALL < self._bound


class Router:
    """The routing table of one plan.

    Parameters
    ----------
    plan
        A checked plan. Arms after the first take slots from 0 upwards; the stable arm keeps the
        rest. So while one canary grows, keys move from stable to it and none move back.
    place
        What requests hold, for the rules.
    """

    def __init__(self, plan: entities.Plan, *, place: rules.Place | None = None) -> None:
        self.draw = Slots(plan.salt).draw
        self._override = plan.override
        names = [arm.name for arm in plan.arms]
        self._rules = rules.compile_rules(plan.rules, arms=names, place=place or rules.Place())
        self._named = {plans.label(arm): at for at, arm in reversed([*enumerate(plan.arms)])}
        self._named |= {arm.name: at for at, arm in enumerate(plan.arms)}
        self._bounds: list[tuple[int, int]] = []
        taken = 0.0
        for index, arm in enumerate(plan.arms[1:], start=1):
            taken += arm.share
            self._bounds.append((index, round(taken * SLOTS)))

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
        return self.dealt(self.draw(key)) if self._bounds else 0

    def dealt(self, drawn: int) -> int:
        """Return the index of the arm that answers the key that drew this, in [0, 2**64)."""
        place = drawn % SLOTS
        for index, bound in self._bounds:
            if place < bound:
                return index
        return 0

    @property
    def is_ruled(self) -> bool:
        """Whether `choose` must be asked, because a rule may decide otherwise than the key."""
        return bool(self._rules)

    def choose(
        self,
        keys: Sequence[str],
        columns: Sequence[Sequence[Any]],
        context: Sequence[Sequence[Any]],
    ) -> list[int]:
        """Return the index of the arm that answers each row.

        Parameters
        ----------
        keys
            What the predictions are joined by, one per row.
        columns, context
            Features and context of the request, as checked, in the order of `place`.

        Returns
        -------
        list of int
            The arm of the first rule that fits a row, else `arm` of its key.
        """
        return self.deal(keys, columns, context)[0]

    def deal(
        self,
        keys: Sequence[str],
        columns: Sequence[Sequence[Any]],
        context: Sequence[Sequence[Any]],
    ) -> tuple[list[int], list[bool]]:
        """Return the arm of each row, and whether a rule decided that and not its key.

        Parameters
        ----------
        keys, columns, context
            As for `choose`.

        Returns
        -------
        tuple
            Arms as `choose` gives them, and a truth value for each.

        Notes
        -----
        Keys deal by a salted hash, as good as chance: the log gives their rows the arm's share
        as propensity. A row that a rule or its caller sent to an arm could have come to no
        other one: its propensity is 1, and it says nothing of how the arms compare.
        """
        arm = self.arm
        if not self._rules:
            return [arm(key) for key in keys], [False] * len(keys)
        chosen, ruled = [], []
        for row, key in enumerate(keys):
            for at, conditions in self._rules:
                for find, holds in conditions:
                    if not holds(find(keys, columns, context)[row]):
                        break
                else:
                    chosen.append(at)
                    ruled.append(True)
                    break
            else:
                chosen.append(arm(key))
                ruled.append(False)
        return chosen, ruled

    def named(self, version: str) -> int | None:
        """Return the arm that answers as `version`, or is called so; None when there is none.

        Parameters
        ----------
        version
            Such as ``4``, ``3+4`` or ``canary``.
        """
        return self._named.get(version)

    def may_override(self, token: str | None) -> bool:
        """Tell whether a caller may name the arm that answers.

        Parameters
        ----------
        token
            What the caller showed, if anything.

        Returns
        -------
        bool
            By the plan: nobody, holders of its tokens, or everyone that was let in.
        """
        if self._override is None:
            return False
        if not self._override.tokens:
            return True
        shown = token_digest(token or "")
        return any([hmac.compare_digest(shown, one) for one in self._override.tokens])  # noqa: C419


class Dealt(Protocol):
    """What is known of how the rows of a request came to their arm; `asking.Request`."""

    arm: int | None
    ruled: list[bool] | None
    n_rows: int


def propensities(batch: Sequence[Dealt], *, share: float) -> list[float]:
    """Return with which chance each row came to its arm, for the log.

    Parameters
    ----------
    batch
        Requests that one arm answers.
    share
        Of the arm, 0 to 1.

    Returns
    -------
    list of float
        `share` where the key decided, 1 where a rule or the caller did; empty: 1 for all.
    """
    if not 0.0 < share < 1.0:
        return []
    if all([one.arm is None and one.ruled is None for one in batch]):  # noqa: C419 - each batch
        return [share] * sum([one.n_rows for one in batch])
    return [
        1.0 if one.arm is not None or (one.ruled is not None and one.ruled[at]) else share
        for one in batch
        for at in range(one.n_rows)
    ]


def token_digest(token: str) -> str:
    """Return how a plan names a token that may override: SHA-256, 64 hexadecimal digits.

    Parameters
    ----------
    token
        At least 128 random bits as text; a digest of anything shorter could be guessed.
    """
    return hashlib.sha256(token.encode()).hexdigest()
