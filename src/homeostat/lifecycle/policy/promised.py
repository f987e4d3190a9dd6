"""What a user wants measured and promised: metrics, indicators of the business, objectives.

Each is a table of its own in `homeostat.toml`, by name: ``[metrics.approvals]``,
``[kpis.recovered]``, ``[objectives.fast]``. Objectives are also kept for classes of models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from homeostat.lifecycle.policy import slices as slicing
from homeostat.lifecycle.policy import spans

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
        description="a name of letters, digits, '.', '_' and '-'",
    ),
]
Text = Annotated[str, Meta(min_length=1, description="some text")]
Number = Annotated[float, Meta(description="a number")]
Amount = Annotated[float, Meta(ge=0, description="a number, 0 or more")]
Share = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Count = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
Better = Annotated[
    Literal["higher", "lower", "neither"], Meta(description="higher, lower or neither")
]
Kind = Annotated[
    Literal["accuracy", "latency", "freshness", "fairness"],
    Meta(description="accuracy, latency, freshness or fairness"),
]
Summed = Annotated[Literal["mean", "sum", "share"], Meta(description="mean, sum or share")]


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[metrics.NAME]``: a function of the user's, asked for a number again and again.

    Attributes
    ----------
    function
        ``module:function`` in the project's folder: takes a table, returns a number or None.
    window
        Newest rows it is asked of: ``1d`` or ``1000 rows``.
    minimum_rows
        With fewer it is not asked.
    slices
        Names of slices it is also asked of, each on its own.
    unit
        For people: ``EUR``, ``%``.
    better
        Which way is better: ``higher``, ``lower``, ``neither``.
    at_least, at_most
        Outside of these, people are told.
    """

    function: Annotated[
        str, Meta(pattern=r"^[\w.]+:\w+\Z", description="module:function, as metrics:approvals")
    ]
    window: str = "1d"
    minimum_rows: Count = 30
    slices: tuple[Name, ...] = ()
    unit: str = ""
    better: Better = "higher"
    at_least: Number | None = None
    at_most: Number | None = None


class Kpi(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[kpis.NAME]``: what the business counts, joined to predictions by their key.

    Attributes
    ----------
    dataset
        Name of a dataset; its newest snapshot counts.
    key, value, time
        Its columns: the key of a prediction, a number, and when it came about. Of several
        values of a key the latest counts; without `time` the last one.
    window
        Predictions served within this time.
    of
        ``mean`` of the values, their ``sum``, or the ``share`` that is not 0.
    minimum_rows
        Joined predictions that are needed to say anything.
    slices, unit, better, at_least, at_most
        As for a metric. People are told when the whole interval is outside.
    """

    dataset: Text
    key: Text
    value: Text
    time: Text | None = None
    window: str = "30d"
    of: Summed = "mean"
    minimum_rows: Count = 30
    slices: tuple[Name, ...] = ()
    unit: str = ""
    better: Better = "higher"
    at_least: Number | None = None
    at_most: Number | None = None


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[objectives.NAME]``: which share of what happens must be good, and over which time.

    Attributes
    ----------
    of
        ``accuracy``: a label that has come is good when the answer was right (in a regression:
        no further off than `within`). ``latency``: a request is good when it took `within` at
        most (``50ms``). ``freshness``: a moment is good when the newest prediction was handed
        over no longer than `within` ago (``15m``). ``fairness``: an hour (`within`) with
        enough rows is good unless its disparate impact is certainly below `at_least`.
    target
        Which share must be good, between 0 and 1; what is left is the error budget.
    window
        Over which time.
    within
        See `of`.
    column, at_least
        For fairness: the protected column, and the smallest disparate impact.
    slice
        Only rows in this slice, for accuracy and fairness.
    """

    of: Kind
    target: Share
    window: str = "30d"
    within: str = ""
    column: str = ""
    at_least: Amount = 0.8
    slice: str = ""

    @property
    def window_ms(self) -> int:
        """`window` in milliseconds."""
        return round(1000 * (spans.parse(self.window).seconds or 0.0))

    @property
    def within_s(self) -> float:
        """`within` in seconds; 0 when it is not given."""
        return _seconds(self.within) if self.within else 0.0


class Flaw(NamedTuple):
    """One thing that cannot be right."""

    section: str
    name: str
    sentence: str
    hint: str = ""


def flaws_of_slices(named: Mapping[str, str]) -> Iterator[Flaw]:
    """Yield slices that are not understood."""
    for name, text in named.items():
        try:
            slicing.parse(text)
        except ValueError as error:
            yield Flaw("slices", name, f"[slices] {name}: {error}", slicing.WRITTEN)


def flaws_of_measured(
    section: str, measured: Mapping[str, Metric] | Mapping[str, Kpi], known: Mapping[str, str]
) -> Iterator[Flaw]:
    """Yield what cannot be right about metrics, or about indicators.

    Parameters
    ----------
    section
        ``metrics`` or ``kpis``.
    measured
        By name.
    known
        The slices that there are.
    """
    for name, one in measured.items():
        where = f"[{section}.{name}]"
        try:
            span = spans.parse(one.window)
        except ValueError:
            yield Flaw(section, name, f"{where} window needs {spans.WRITTEN}: {one.window!r}")
            continue
        if not (span.seconds or (span.rows and isinstance(one, Metric))):
            yield Flaw(section, name, f"{where} window needs a time, got {one.window!r}", "30d")
        low, high = one.at_least, one.at_most
        if low is not None and high is not None and low > high:
            yield Flaw(section, name, f"{where} at_least is {low:g}, at_most is {high:g}")
        for wanted in one.slices:
            if wanted not in known:
                yield _no_slice(section, name, wanted, known)


def flaws_of_objectives(
    promised: Mapping[str, Objective], known: Mapping[str, str]
) -> Iterator[Flaw]:
    """Yield what cannot be right about objectives.

    Parameters
    ----------
    promised
        By name.
    known
        The slices that there are.
    """
    for name, one in promised.items():
        where = f"[objectives.{name}]"
        if not _lasts(one.window):
            told = f"{where} window needs a time, got {one.window!r}"
            yield Flaw("objectives", name, told, "30d")
        try:
            if not one.within_s and one.of in {"latency", "freshness"}:
                told = f"{where} within is needed: {one.of} of what length is good?"
                yield Flaw("objectives", name, told, "50ms" if one.of == "latency" else "15m")
        except ValueError as error:
            if one.of != "accuracy" or not _is_number(one.within):
                yield Flaw("objectives", name, f"{where} within: {error}")
        if one.of == "fairness" and not one.column:
            yield Flaw("objectives", name, f"{where} column is needed: fair between whom?")
        if one.slice and one.of not in {"accuracy", "fairness"}:
            yield Flaw("objectives", name, f"{where} slice says nothing of {one.of}")
        elif one.slice and one.slice not in known:
            yield _no_slice("objectives", name, one.slice, known)


def _no_slice(section: str, name: str, wanted: str, known: Mapping[str, str]) -> Flaw:
    told = f"[{section}.{name}] names the slice {wanted!r}, which there is not"
    return Flaw(section, name, told, f"known are {', '.join(known) or 'none: write [slices]'}")


def _lasts(text: str) -> bool:
    try:
        return bool(spans.parse(text).seconds)
    except ValueError:
        return False


def _seconds(text: str) -> float:
    """Read a time; milliseconds too, which no other key needs."""
    if text.endswith("ms") and _is_number(text.removesuffix("ms")):
        return float(text.removesuffix("ms")) / 1000
    seconds = spans.parse(text).seconds
    if seconds is None:
        raise ValueError(f"{text!r} is not a time such as '50ms' or '15m'")
    return seconds


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()
