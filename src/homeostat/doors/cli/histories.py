"""Where `homeostat backtest` gets its rows: a table, or what a deployment was asked.

A policy says which columns are no features, when rows happened and how late labels are, unless
the options do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from homeostat.foundation import errors

LABEL, FEATURE, CONTEXT = "label", "x.", "c."
SERVED, KNOWN = "served_at", "known_at"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say of the rows; `policy` is None where none was named."""

    data: Path | None
    deployment: str | None
    target: str
    is_number: bool
    time: str | None
    drop: tuple[str, ...]
    warmup: float
    label_delay: str | None
    policy: Any


def target(
    data: Path | None, deployment: str | None, named: str | None, *, policy: Path | None
) -> str:
    """Return the column to predict.

    Parameters
    ----------
    data, deployment
        Exactly one must be named.
    named
        By an option.
    policy
        A file that names it, too.

    Raises
    ------
    InvalidInputError
        When there are two sources or none, or nothing names the column.
    """
    from homeostat.lifecycle import policy as policies

    if (data is None) == (deployment is None):
        raise errors.InvalidInputError(
            "name either a table or, with --deployment, a prediction log",
            hint="homeostat backtest DATA --target COL",
        )
    if named is not None:
        return named
    if policy is not None:
        return policies.read(policy).model.target
    if deployment is not None:
        return LABEL
    raise errors.InvalidInputError(
        "--target is missing: which column is to be predicted?", hint="name it"
    )


def read(asked: Asked) -> tuple[Any, int]:
    """Return the history, and the rows until a label is known where that is always the same.

    Parameters
    ----------
    asked
        What the options say.
    """
    return _of_table(asked) if asked.data is not None else _of_log(asked)


def _of_table(asked: Asked) -> tuple[Any, int]:
    from homeostat.lifecycle.data import tables
    from homeostat.lifecycle.loop import history

    assert asked.data is not None, "read looked"
    frame, told = tables.read(asked.data), asked.policy
    groups = _there(frame, told.data.protected if told else (), besides=(asked.target,))
    keys = (told.model.key,) if told else ()
    dates = (told.data.time,) if told else ()
    time = asked.time or next(iter(_there(frame, dates)), None)
    late, late_s, column = 0, None, None
    if asked.label_delay is not None:
        late, column = _late(asked.label_delay)
    elif told:
        span = told.data.label_delay_span
        late, late_s = span.rows or 0, span.seconds or None
        if late_s is not None and not (time and frame[time].dtype.is_temporal()):
            _say(f"labels are {told.data.label_delay} late, but no row has a date: taken as 0")
            late_s = None
    found = history.prepare(
        frame,
        target=asked.target,
        time=time,
        drop=(*asked.drop, *_there(frame, keys, besides=asked.drop)),
        warmup=asked.warmup,
        regression=asked.is_number,
        delay=column,
        late_s=late_s,
        groups=groups,
        quantile=_quantile(asked),
    )
    return found, late


def _of_log(asked: Asked) -> tuple[Any, int]:
    import numpy as np
    import polars as pl

    from homeostat.doors.cli import session
    from homeostat.lifecycle.loop import history

    assert asked.deployment is not None, "read looked"
    with session.client() as client:
        log = client.predictions.read(asked.deployment, with_labels=True)
    log = log.filter(pl.col(LABEL).is_not_null())
    features = [name for name in log.columns if name.startswith(FEATURE)]
    if log.is_empty() or not features:
        raise errors.InvalidInputError(
            f"no row of the log of '{asked.deployment}' has its label yet",
            hint="labels are told to the server by the key of their row",
        )
    groups = [name for name in log.columns if name.startswith(CONTEXT)]
    frame = log.select(
        *[pl.col(name).alias(name.removeprefix(FEATURE)) for name in features],
        *groups,
        *[_date(name) for name in (SERVED, KNOWN)],
        (pl.col(LABEL).cast(pl.Float64) if asked.is_number else pl.col(LABEL)).alias(
            asked.target
        ),
    )
    late, column = (0, None) if asked.label_delay is None else _late(asked.label_delay)
    as_it_was = asked.label_delay is None
    found = history.prepare(
        frame if as_it_was else frame.drop(f".{KNOWN}"),
        target=asked.target,
        time=f".{SERVED}",
        drop=asked.drop,
        warmup=asked.warmup,
        regression=asked.is_number,
        delay=column,
        known=f".{KNOWN}" if as_it_was else None,
        groups=groups,
        quantile=_quantile(asked),
    )
    if found.delays is not None and as_it_was:
        half = np.sort(found.delays)[len(found.delays) // 2]
        _say(f"labels as late as they came: half of them {half:,} rows or less")
    return found, late


def _quantile(asked: Asked) -> float | None:
    """Return the quantile that the gates of the policy are about; None for the mean."""
    from homeostat.lifecycle.loop import aims

    return aims.quantile(asked.policy.gates.metric) if asked.policy else None


def _date(name: str) -> Any:
    """Return an instant as a date, under a name that no feature has."""
    import polars as pl

    return pl.from_epoch(pl.col(name), time_unit="ms").alias(f".{name}")


def _late(text: str) -> tuple[int, str | None]:
    """Return how late labels are, in rows, or the column that says so."""
    if text.lstrip("-").isdigit():
        return int(text), None
    return 0, text


def _there(
    frame: Any, names: Sequence[str | None], *, besides: Sequence[str] = ()
) -> tuple[str, ...]:
    return tuple(one for one in names if one and one in frame.columns and one not in besides)


def _say(sentence: str) -> None:
    click.secho(sentence, err=True, dim=True)
