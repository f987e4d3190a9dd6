"""Rows as the prediction server reads them: a tensor per column; used by `deployments`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as the inputs of a request to infer.

    Parameters
    ----------
    rows
        Columns by name; what a row lacks is missing there.

    Returns
    -------
    list of dict
        One tensor per column, in the order in which they come up.
    """
    names = dict.fromkeys(column for row in rows for column in row)
    return [_tensor(column, rows) for column in names]


def _tensor(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    data = [row.get(name) for row in rows]
    kinds = {_kind(one) for one in data if one is not None}
    if kinds == {bool}:
        datatype = "BOOL"
    elif kinds == {int}:
        datatype = "INT64"
    else:
        datatype = "FP64" if kinds <= {int, float} else "BYTES"
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}


def _kind(value: Any) -> type:
    """Return what a value is in JSON; numpy's float64 is a float too."""
    if isinstance(value, float) and type(value) is not float:
        return float
    return type(value)
