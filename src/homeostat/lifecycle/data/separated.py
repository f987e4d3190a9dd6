"""CSV text to a frame, refusing what Polars would quietly mend; for `tables` and `batches`."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

import polars as pl

from homeostat.foundation.errors import InvalidInputError

_SEPARATORS = (",", ";", "\t", "|")
# What pandas, R and SQL clients write for "no value"; counts as missing in a column of numbers,
# and stays text in a column of texts, where NA may be Namibia.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M")
_ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_FIELD_LIMIT = 16 * 1024 * 1024


def parse(data: bytes, separator: str | None, *, where: str) -> pl.DataFrame:
    """Read a CSV.

    Parameters
    ----------
    data
        UTF-8 text with a line of column names.
    separator
        One character; found from the first line when None.
    where
        Name of the source, for messages.

    Returns
    -------
    polars.DataFrame
        Numbers, booleans and times recognised over all rows, empty fields as null.

    Raises
    ------
    InvalidInputError
        When a row has more or fewer fields than the first line, a name is missing or comes
        twice, or the text is not UTF-8.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInputError(
            f"{where}, line {line}: the text is not UTF-8", hint="save it as UTF-8"
        ) from None
    chosen = separator or separator_of(text)
    _refuse_ragged(text, chosen, where)
    # Polars tries every field of every row as a time when asked to; ten times slower.
    frame = pl.read_csv(io.BytesIO(data), separator=chosen, infer_schema_length=None)
    texts = [values for values in frame.iter_columns() if values.dtype == pl.String]
    found = [(_as_numbers(values), _as_times(values)) for values in texts]
    return frame.with_columns(
        [values for pair in found for values in pair if values is not None]
    )


def separator_of(text: str) -> str:
    """Return the separator of a CSV: of the known ones, the most frequent in its first line."""
    first = text[: text.find("\n")] if "\n" in text else text
    return max(_SEPARATORS, key=first.count)


def _refuse_ragged(text: str, separator: str, where: str) -> None:
    csv.field_size_limit(_FIELD_LIMIT)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = next(rows, [])
        refuse_names(names, where)
        for row in rows:
            # A blank line is no row of a table with several columns, and an empty value of one.
            if len(row) != len(names) and row:
                raise InvalidInputError(
                    f"{where}, line {rows.line_num}: {len(row)} fields, "
                    f"but the first line names {len(names)}",
                    hint="quote fields that hold the separator",
                    line=rows.line_num,
                )
    except csv.Error as error:
        raise InvalidInputError(f"{where}, line {rows.line_num}: {error}") from None


def refuse_names(names: list[str], where: str) -> None:
    """Refuse a first line that names a column twice or not at all."""
    counted = Counter(names)
    twice = [name for name, n in counted.items() if n > 1]
    if twice:
        raise InvalidInputError(f"{where} names the column {twice[0]!r} twice")
    if "" in counted:
        raise InvalidInputError(
            f"{where} has no name for column {names.index('') + 1}",
            hint="give it one, or drop the column",
        )


def _as_numbers(values: pl.Series) -> pl.Series | None:
    """Return a column of texts as numbers, when all that is not missing is a number."""
    shown = values.set(values.is_in(MISSING), None)
    if shown.null_count() == len(shown) or shown.null_count() == values.null_count():
        return None
    numbers = shown.cast(pl.Float64, strict=False)
    if numbers.null_count() > shown.null_count():
        return None
    whole = shown.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == shown.null_count() else numbers


def _as_times(values: pl.Series) -> pl.Series | None:
    """Return a column of texts as dates or times, when all that is not missing is one."""
    first = values.drop_nulls().head(1).to_list()
    if not first or _DATE.match(first[0]) is None:
        return None
    for times in _readings(values):
        if times.null_count() == values.null_count():
            return times
    return None


def _readings(values: pl.Series) -> Iterator[pl.Series]:
    """Yield the column in each form of date and time; what does not fit is null."""
    yield values.str.to_date("%Y-%m-%d", strict=False)
    for form in _TIME_FORMATS:
        yield values.str.to_datetime(form, strict=False, time_unit="us")
    for form in _ZONED_FORMATS:
        yield values.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
