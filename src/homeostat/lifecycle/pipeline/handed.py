"""What a pipeline hands the step that fits its model, without fitting one.

Called by `loop.metering_child`, to compute features of single rows as training computes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import lazy, steps

_Call = tuple[tuple[Any, ...], dict[str, Any]]


class _Deferring:
    """A watcher that runs a step only when somebody looks at what it returns."""

    def __init__(self) -> None:
        self.calls: dict[int, _Call] = {}
        self._kept: list[lazy.Cell] = []  # so that no two have one id

    def call(self, step: steps.Step[Any, Any], args: tuple[Any, ...], options: Any) -> Any:
        """See `steps.Watcher`."""

        def run() -> Any:
            plain = {name: lazy.value_of(value) for name, value in options.items()}
            return step.function(*(lazy.value_of(value) for value in args), **plain)

        cell = lazy.Cell("", run)
        self._kept.append(cell)
        self.calls[id(cell)] = (args, options)
        return lazy.Output(cell)


def table(
    pipeline: steps.Pipeline[..., Any], rows: pl.DataFrame, *, into: str, names: Sequence[str]
) -> pl.DataFrame:
    """Return the columns of a model as a pipeline's steps compute them from rows.

    Parameters
    ----------
    pipeline
        As it was loaded.
    rows
        One or more, with the columns that the pipeline takes.
    into
        Its parameter that takes them.
    names
        Columns of the model, in order.

    Returns
    -------
    polars.DataFrame
        The first table with all of them among the arguments of the last step; that step is
        not run.

    Raises
    ------
    InvalidInputError
        When the pipeline does not end with a step, or hands it no such table.

    Examples
    --------
    >>> @steps.step
    ... def prepare(rows):
    ...     return rows.with_columns(pl.col("x") * 2)
    >>> @steps.step
    ... def fit(rows):
    ...     raise AssertionError("not run")
    >>> made = steps.pipeline(lambda rows: fit(prepare(rows)))
    >>> table(made, pl.DataFrame({"x": [1, 2]}), into="rows", names=["x"])["x"].to_list()
    [2, 4]
    """
    deferring = _Deferring()
    token = steps.watcher.set(deferring)
    try:
        returned = pipeline.function(**pipeline.arguments({into: rows}, {}))
        cells = lazy.cells_in(returned)
        for value in _given(deferring, cells):
            if isinstance(value, pl.DataFrame) and set(names) <= set(value.columns):
                return value.select(names)
    finally:
        steps.watcher.reset(token)
    why = (
        "hands its last step no polars table with" if cells else "ends with no step that takes"
    )
    raise errors.InvalidInputError(
        f"pipeline {pipeline.name!r} {why} the columns {', '.join(names[:5])}"
    )


def _given(deferring: _Deferring, cells: Sequence[lazy.Cell]) -> Iterator[Any]:
    """Yield the arguments of the calls that made these, then of those that made them."""
    waiting = [cell for cell in cells if id(cell) in deferring.calls]
    while waiting:
        args, options = deferring.calls[id(waiting.pop(0))]
        given = (*args, *options.values())
        for value in given:
            yield lazy.value_of(value)
        waiting += [c for value in given for c in lazy.cells_in(value)]
        waiting = [cell for cell in waiting if id(cell) in deferring.calls]
