"""Gives a small share of rows the answer that reveals their label; deterministic for each key.

Called by `compiled` for each row that no rule and no person decided. Answers that select which
labels ever come (loans that are refused are never repaid) make what is learned from them
one-sided; a share that is drawn by chance, with the chance kept, undoes it [1]_.

References
----------
.. [1] Swaminathan and Joachims, *Counterfactual risk minimization: learning from logged bandit
   feedback*, JMLR 16, 2015.
"""

from __future__ import annotations

import hashlib
from typing import Any

from homeostat.lifecycle.corrections.entities import Explore

KEY = "\x00key"
"""Column in which keys come beside features and context; no column of a request is so named."""
_PARTS = 2**64


def share_of(salt: str, key: str) -> float:
    """Return where in [0, 1) a key falls: the same on every machine, at every time.

    Parameters
    ----------
    salt
        Id of the correction, so that two explorations draw independently; a changed share of
        one keeps those that were drawn already.
    key
        Of the row.

    Examples
    --------
    >>> found = [share_of("a", str(n)) < 0.05 for n in range(10_000)]
    >>> sum(found)
    519
    """
    text = f"{salt}\x00{key}".encode()
    drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
    return drawn / _PARTS


def answer(  # noqa: PLR0917 - once a row: what the loop holds, by place
    body: Explore, salt: str, key: str | None, score: float, given: Any
) -> Any:
    """Return the answer of a row: the one that reveals its label where the draw says so.

    Parameters
    ----------
    body
        What is explored.
    salt
        As for `share_of`.
    key
        None where the row has none: nothing is explored, for it could not be drawn again.
    score
        As it is served.
    given
        The answer without exploring.
    """
    if key is None or given == body.answer or not body.low <= score < body.high:
        return given
    return body.answer if share_of(salt, key) < body.share else given
