"""Named parts of a snapshot's rows, as the digest of a run's input says them after a slash."""

from __future__ import annotations

import polars as pl

from homeostat.foundation import errors

EXAM_SHARE = 0.25


def take(frame: pl.DataFrame, part: str, *, time: str | None) -> tuple[pl.DataFrame, int]:
    """Return the rows of a snapshot in the order of a part, and how many of them are in it.

    Parameters
    ----------
    frame
        All rows.
    part
        Empty for all, or ``past``: all but the latest `EXAM_SHARE`, which a first model is
        examined on.
    time
        Column that orders them; None for the order they are in.

    Returns
    -------
    tuple
        Rows, those of the part first, and the number of these.

    Raises
    ------
    InvalidInputError
        When the part has another name.

    Examples
    --------
    >>> rows, n = take(pl.DataFrame({"at": [3, 1, 2, 4]}), "past", time="at")
    >>> rows["at"].to_list(), n
    ([1, 2, 3, 4], 3)
    """
    if not part:
        return frame, frame.height
    if part != "past":
        raise errors.InvalidInputError(f"no part of a snapshot is named {part!r}")
    if time:
        frame = frame.sort(time, maintain_order=True)
    return frame, frame.height - max(1, round(frame.height * EXAM_SHARE))
