"""A version that answers by its ONNX twin; made by `load`, asked by serving.

Imports numpy and onnxruntime and nothing of scikit-learn, pandas or polars, so that a worker
stays small. Texts become codes by dictionaries here; the graph takes one matrix of numbers.
"""

from __future__ import annotations

import importlib
import itertools
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column
from homeostat.lifecycle.registry import columns, scored
from homeostat.lifecycle.registry.entities import Description

Floats = NDArray[np.float64]
# The methods of an array go through Python first, which a small batch feels.
_least, _most = np.minimum.reduce, np.maximum.reduce
_FEW = 16

INPUTS = "homeostat.inputs"
# JSON has no other way to write it.
NAN: Literal["nan"] = "nan"
# A twin may differ from its original by this, and from itself on another machine; of a
# regression by this share of its largest score.
TOLERANCE = 1e-5


class Input(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of the graph's matrix.

    Attributes
    ----------
    column
        Of the rows.
    codes
        Known values with the numbers that stand for them, ``"nan"`` for a missing one; None
        where the value is a number.
    unknown, missing
        What stands for an unknown and a missing value; None where the original refuses it.
    """

    column: str
    codes: list[tuple[Any, float | Literal["nan"]]] | None = None
    unknown: float | Literal["nan"] | None = None
    missing: float | Literal["nan"] | None = None


class _Codes(dict[Any, float]):
    """Known values and their codes; a value that is not there is unknown or missing."""

    def __init__(self, told: Input) -> None:
        super().__init__((value, float(code)) for value, code in told.codes or ())
        self._told = told

    def __missing__(self, value: Any) -> float:
        is_missing = value is None or value != value  # noqa: PLR0124 - NaN
        code = self._told.missing if is_missing else self._told.unknown
        if code is None:
            what = "a missing value" if is_missing else f"the unknown value {value!r}"
            raise ValueError(f"column {self._told.column!r} has {what}")
        return float(code)


class Twinned:
    """Scores rows with onnxruntime.

    Parameters
    ----------
    data
        Of the ONNX model, as `twin.make` writes it.
    description
        Of the version.

    Attributes
    ----------
    description
        As given.

    Raises
    ------
    InvalidInputError
        When onnxruntime is not installed, or cannot read it.
    """

    kind = "onnx"
    is_fast = True

    def __init__(self, data: bytes, description: Description) -> None:
        self.description = description
        self._session = _session(data)
        self._outputs = [one.name for one in self._session.get_outputs()]
        # Below the class that looks at names and types again each time, where that is found.
        self._run = getattr(self._session, "_sess", self._session).run
        try:
            told = self._session.get_modelmeta().custom_metadata_map.get(INPUTS, "")
            self._inputs = msgspec.json.decode(told, type=list[Input])
        except msgspec.DecodeError as error:
            raise errors.InvalidInputError(
                f"the twin does not say its inputs: {error}"
            ) from None
        known = {one.name: one for one in description.schema.columns}
        lacking = next((one.column for one in self._inputs if one.column not in known), None)
        if lacking is not None:
            raise errors.InvalidInputError(f"the twin takes {lacking!r}, which is no feature")
        self._readers = [(one.column, _reader(one, known[one.column])) for one in self._inputs]
        self._first = next(iter(description.schema.names), "")

    def scores(self, rows: columns.Rows) -> Floats:
        """Return the probability of the positive class for each row.

        Parameters
        ----------
        rows
            Columns by name, of one length.

        Returns
        -------
        numpy.ndarray
            Shape ``(n,)``, in [0, 1].

        Raises
        ------
        InvalidInputError
            When a column is missing, or columns differ in length.
        UserCodeError
            When the twin raises, as the original would, or answers no probability.
        """
        values = rows if type(rows) is dict else columns.lists(rows, self.description.schema)
        try:
            n_rows = len(values[self._first])
            if n_rows == 0:
                return np.empty(0)
            found: Floats = self._run(
                self._outputs, {"rows": self._matrix(values, n_rows)}, None
            )[0]
        except Exception as error:
            raise self._raised(rows, error) from error
        if not _are_chances(found, n_rows):
            raise self._no_chance(values)
        return found

    def _raised(self, rows: columns.Rows, error: Exception) -> errors.UserCodeError:
        """Say why nothing was answered; first whether a column is missing or too short."""
        columns.lists(rows, self.description.schema)
        first_line = str(error).strip().partition("\n")[0]
        return errors.UserCodeError(
            f"the model raised {type(error).__name__}: {first_line}",
            hint="score the same rows in the pipeline to see it there",
        )

    def _no_chance(self, values: Mapping[str, Sequence[Any]]) -> errors.UserCodeError:
        """Say why an answer is no probability: what is missing, where the model minds."""
        gaps = [one.column for one in self._inputs if None in values[one.column]]
        if gaps:
            named = " and ".join(repr(one) for one in gaps[:3])
            return errors.UserCodeError(
                f"the model answers nothing where {named} is missing",
                hint="fill gaps in the pipeline, or say in the schema that none may come",
            )
        if self.description.task == "regression":
            return errors.UserCodeError("the model answered with a number that is not finite")
        return errors.UserCodeError("the model answered with numbers that are no probability")

    def prove(self) -> None:
        """Score the example that came with the model.

        Raises
        ------
        UserCodeError
            When the scores are further from those at training than a twin may be.
        """
        if not self.description.scores:
            return
        seen = self.scores(self.description.example)
        made = np.asarray(self.description.scores)
        gap = float(np.abs(seen - made).max())
        if not gap <= TOLERANCE * scored.size(made, self.description):
            raise errors.UserCodeError(
                f"the twin scores the example differently here, by up to {gap:.2g}"
            )

    def _matrix(self, values: Mapping[str, Sequence[Any]], n_rows: int) -> Floats:
        parts = [
            values[name] if read is None else read(values[name]) for name, read in self._readers
        ]
        flat = list(itertools.chain.from_iterable(parts))
        try:
            made = np.frombuffer(struct.pack(f"{len(flat)}d", *flat))
        except struct.error:
            # A None among them is a missing number.
            made = np.array(flat, dtype=np.float64)
        if n_rows == 1:
            return made.reshape(1, len(parts))
        return np.ascontiguousarray(made.reshape(len(parts), n_rows).T)


class TwinnedOther(Twinned):
    """The twin of several classes, or of a regression: `scores` as `Predictor` gives them."""

    def scores(self, rows: columns.Rows) -> Floats:
        """Return what the model says of each row; see `predictor.Predictor.scores`."""
        values = rows if type(rows) is dict else columns.lists(rows, self.description.schema)
        try:
            n_rows = len(values[self._first])
            if n_rows == 0:
                return scored.blank(self.description)
            found: Floats = self._run(
                self._outputs, {"rows": self._matrix(values, n_rows)}, None
            )[0]
        except Exception as error:
            raise self._raised(rows, error) from error
        if not np.isfinite(found).all():
            raise self._no_chance(values)
        scored.check(found, n_rows, self.description)
        return found


def opened(data: bytes, description: Description) -> Twinned:
    """Open a twin as its task needs it; errors as `Twinned`."""
    kind = Twinned if description.task == "binary" else TwinnedOther
    return kind(data, description)


def _are_chances(found: Floats, n_rows: int) -> bool:
    """Tell whether all numbers are in [0, 1]; written so that NaN fails it too."""
    if n_rows <= _FEW:  # two calls of numpy cost more than looking at so few
        return all([0.0 <= one <= 1.0 for one in found.tolist()])  # noqa: C419
    return bool(_least(found) >= 0.0 and _most(found) <= 1.0)


def _reader(told: Input, column: Column) -> Callable[[Sequence[Any]], Any] | None:
    """Return what turns the values of a column into numbers; None where they are."""
    if told.codes is None:
        if column.kind != "timestamp":
            return None
        return lambda values: columns.numbers(values, column).tolist()
    code = _Codes(told).__getitem__
    return lambda values: map(code, values)


def _session(data: bytes) -> Any:
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise errors.InvalidInputError(
            "the twin needs the package onnxruntime, which is not installed here",
            hint="pip install onnxruntime, where predictions are made",
            package="onnxruntime",
        ) from None
    options = onnxruntime.SessionOptions()
    # One row takes microseconds: more threads would only wait for each other.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Matrices are small; an arena would keep the largest for ever.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        told = str(error).strip().partition("\n")[0][:300]
        raise errors.InvalidInputError(f"the twin cannot be read: {told}") from error
