"""How two tables differ, column by column; `homeostat.drift_report` is this module's.

Needs no server, no home and no model: it compares two files or tables.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import (
    report_columns,
    report_page,
    report_rows,
    report_source,
)
from homeostat.measures import bins, drift, summary

Convention = Literal["homeostat", "evidently"]
_CONVENTIONS = ("homeostat", "evidently")
_LEAST_MISSING = 0.01
_SIGMAS = 4.0


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `drift_report` found; results only, no rows are kept.

    Attributes
    ----------
    convention
        How the statistics were computed.
    n_reference, n_current
        Rows of the two tables.
    columns
        One entry for each column of either table, in order of the reference.
    """

    convention: Convention
    n_reference: int
    n_current: int
    columns: tuple[report_columns.ColumnDrift, ...]

    def values(self) -> dict[str, dict[str, float | None]]:
        """Return the six statistics of each column.

        Returns
        -------
        dict
            Column to ``psi ks ks_p wasserstein js chi2_p``. All six keys are always there;
            None where a statistic does not apply: `ks`, `ks_p` and `wasserstein` are of
            numbers, `chi2_p` of values counted one by one. With Evidently's convention NaN is
            what Evidently answers.
        """
        return {column.name: dict(column.values) for column in self.columns}

    def table(self) -> pl.DataFrame:
        """Return one row for each column.

        Returns
        -------
        polars.DataFrame
            The statistics, the rows and missing shares behind them, what decided
            (``test``, ``score``, ``threshold``, ``p_value``), ``is_drifted`` and a note.
        """
        texts = {"column", "kind", "test", "note"}
        counts = {"n_reference", "n_current"}
        rows = [_row(column) for column in self.columns]
        names = list(rows[0]) if rows else ["column", "kind", *report_columns.STATISTICS]
        kinds: dict[str, Any] = {
            name: pl.String
            if name in texts
            else pl.Int64
            if name in counts
            else pl.Boolean
            if name == "is_drifted"
            else pl.Float64
            for name in names
        }
        return pl.DataFrame(rows, schema=kinds)

    def drifted(self) -> tuple[str, ...]:
        """Return the columns that have drifted, in order of the table."""
        return tuple(column.name for column in self.columns if column.is_drifted)

    def to_json(self) -> str:
        """Return everything as JSON; numbers that are not finite become null.

        Returns
        -------
        str
            An object ``{convention, n_reference, n_current, columns: [...]}``.
        """
        return msgspec.json.encode(_finite(msgspec.to_builtins(self))).decode()

    def to_html(self) -> str:
        """Return a page of its own: no script, nothing loaded from elsewhere.

        Returns
        -------
        str
            HTML with its style and charts (SVG) inside, for light and dark screens.
        """
        return report_page.render(
            self.columns,
            convention=self.convention,
            rows=(self.n_reference, self.n_current),
        )

    def _repr_html_(self) -> str:
        return self.to_html()


def _row(column: report_columns.ColumnDrift) -> dict[str, Any]:
    return {
        "column": column.name,
        "kind": column.kind,
        **column.values,
        "test": column.test,
        "score": column.score,
        "threshold": column.threshold,
        "p_value": column.p_value,
        "is_drifted": column.is_drifted,
        **{f"{name}_noise": column.noise.get(name) for name in ("psi", "ks", "wasserstein")},
        "n_reference": column.n_reference,
        "n_current": column.n_current,
        "missing_reference": column.missing_reference,
        "missing_current": column.missing_current,
        "note": column.note,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def drift_report(
    reference: Any, current: Any, convention: Convention = "homeostat"
) -> DriftReport:
    """Compare two tables column by column.

    Parameters
    ----------
    reference, current
        Path of a Parquet, Arrow or CSV file (str or Path), or a Polars, pandas or Arrow table.
    convention
        ``homeostat``: bins are frozen from the reference and both tables are counted on them,
        as monitoring does. ``evidently``: the numbers of Evidently 0.7 from every single row.

    Returns
    -------
    DriftReport
        With ``.values()``, ``.table()``, ``.to_json()`` and ``.to_html()``.

    Raises
    ------
    InvalidInputError
        When a table cannot be read or the convention is unknown.

    Notes
    -----
    In both conventions `psi` is in nats, `js` the Jensen-Shannon distance in nats,
    `wasserstein` in standard deviations of the reference.

    ``homeostat``: the most frequent 256 categories are counted one by one, all others as one.
    A column has drifted when its PSI on about ten groups exceeds what sampling
    alone gives by 0.1 *and* the chi-square p-value of those groups, adjusted over all columns
    (Holm), is at most 0.01: any false name in a report without a change has a chance of at
    most 1 %. Fewer than 30 values are "not enough data". Missing values (null, NaN, infinite)
    are compared apart, in the note.

    ``evidently``: the default preset's test and threshold decide. Nulls, NaN and infinities
    are left out; integers with at most 10 distinct values are categories; a text column (more
    than half of its values differ) has statistics by value but no decision, as Evidently
    trains a classifier there.

    Examples
    --------
    >>> found = drift_report({"a": list(range(100))}, {"a": list(range(50, 150))})
    >>> found.drifted(), round(found.values()["a"]["ks"], 2)
    (('a',), 0.5)
    """
    if convention not in _CONVENTIONS:
        raise errors.InvalidInputError(
            f"the convention {convention!r} is unknown; needed is one of {_CONVENTIONS}"
        )
    before = report_source.open_table(reference, role="reference")
    after = report_source.open_table(current, role="current")
    columns = [_column(name, before, after, convention) for name in before.names]
    columns += [
        report_columns.nothing(name, "other", "not in the reference")
        for name in after.names
        if name not in before.names
    ]
    if convention == "homeostat":
        columns = _decided(columns)
    return DriftReport(
        convention=convention,
        n_reference=before.n_rows,
        n_current=after.n_rows,
        columns=tuple(columns),
    )


def from_summaries(
    kept: bins.TableBins, reference: summary.TableSummary, current: summary.TableSummary
) -> DriftReport:
    """Compare stored summaries: a baseline with a window, or two months with each other.

    Parameters
    ----------
    kept
        The bins both were counted on.
    reference, current
        Of any number of rows; see `measures.windows.merge` for many windows.

    Returns
    -------
    DriftReport
        As `drift_report` by the convention ``homeostat`` gives it, without reading a row.
    """
    columns = []
    for name, own in kept.columns.items():
        before, after = reference.columns[name], current.columns[name]
        if isinstance(own, bins.NumericBins):
            assert isinstance(before, summary.NumericSummary)
            assert isinstance(after, summary.NumericSummary)
            pair = (before, after)
            found = report_columns.numbers_from_summaries(name, "number", own, pair)
        else:
            assert isinstance(before, summary.CategorySummary)
            assert isinstance(after, summary.CategorySummary)
            found = report_columns.categories_from_summaries(name, own, (before, after))
        columns.append(found)
    return DriftReport(
        convention="homeostat",
        n_reference=reference.n_rows,
        n_current=current.n_rows,
        columns=tuple(_decided(columns)),
    )


def _column(
    name: str,
    before: report_source.Table,
    after: report_source.Table,
    convention: Convention,
) -> report_columns.ColumnDrift:
    if name not in after.names:
        return report_columns.nothing(name, "other", "not in the current table")
    if convention == "evidently":
        return report_rows.compare(before.column(name), after.column(name))
    return report_columns.compare(before.column(name), after.pieces(name))


def _decided(columns: list[report_columns.ColumnDrift]) -> list[report_columns.ColumnDrift]:
    """Adjust the p-values for the number of columns, and decide."""
    tested = [i for i, column in enumerate(columns) if column.p_value is not None]
    adjusted = drift.holm([columns[i].p_value or 0.0 for i in tested])
    decided = list(columns)
    for i, p_value in zip(tested, adjusted, strict=True):
        column = columns[i]
        is_large = column.score is not None and column.score > report_columns.LEAST_EFFECT
        is_drifted = is_large and p_value <= report_columns.LEVEL
        decided[i] = msgspec.structs.replace(column, p_value=p_value, is_drifted=is_drifted)
    return [_with_missing(column) for column in decided]


def _with_missing(column: report_columns.ColumnDrift) -> report_columns.ColumnDrift:
    """Tell of a missing share that moved by a point or more, and not by chance."""
    r, c = column.missing_reference, column.missing_current
    if r is None or c is None or abs(r - c) < _LEAST_MISSING:
        return column
    known = ((column.n_reference, r), (column.n_current, c))
    rows = [n / (1 - share) for n, share in known if share < 1]
    # At least half a row missing on each side, so that a full column has some noise too.
    noise = math.sqrt(sum(max(r * (1 - r), c * (1 - c), 0.5 / n) / n for n in rows))
    if abs(r - c) < _SIGMAS * noise:
        return column
    told = f"missing in {r:.1%} of the reference and {c:.1%} of the current rows"
    note = f"{column.note}; {told}" if column.note else told
    return msgspec.structs.replace(column, note=note)
