"""The ONNX twin of a fitted model: made at registration, kept where it answers the same.

Called by `format`, `adopt` and the loop. A twin never stands in the way: where none can be
made, or where it differs, the original answers and the description says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.registry import (
    columns,
    described,
    scored,
    trees,
    twin_features,
    twin_graph,
    twin_models,
    twin_steps,
    twinned,
)
from homeostat.lifecycle.registry.entities import Description, Twin
from homeostat.lifecycle.registry.predictor import Predictor
from homeostat.lifecycle.registry.twin_features import NoTwinError

FILE = "model.onnx"
CARRIED_AT_MOST = 8_000_000
SAMPLE_ROWS = 2_000
NEAR_ROWS = 256
ODD_ROWS = 64
CUT = 0.5

Floats = NDArray[np.float64]
Rows = Mapping[str, Sequence[Any]]
Files = dict[str, bytes]


def made(estimator: Any, original: Predictor, rows: pl.DataFrame) -> tuple[Twin, Files]:
    """Return the twin of an estimator if it has one, and how that was verified.

    Parameters
    ----------
    estimator
        Fitted.
    original
        The same, ready to answer; it tells of schema and classes.
    rows
        That the two are compared on, beside generated ones; up to `SAMPLE_ROWS` are taken.

    Returns
    -------
    Twin, dict
        What the description says, and the file by its path; no file where there is no twin.
    """
    try:
        with warnings.catch_warnings():
            # Odd values are asked for on purpose.
            warnings.simplefilter("ignore")
            data = write(estimator, original.description)
            found = twinned.opened(data, original.description)
            seen, gap = compare(original, found, rows)
    except NoTwinError as error:
        return Twin(refused=str(error)), {}
    except errors.HomeostatError as error:
        return Twin(refused=error.message), {}
    except Exception as error:  # noqa: BLE001 - a model must be registered whatever it is
        told = str(error).strip().partition("\n")[0][:200]
        return Twin(refused=f"making it raised {type(error).__name__}: {told}"), {}
    return Twin(file=FILE, rows=seen, gap=gap), {FILE: data}


def checked(files: Mapping[str, bytes], original: Predictor, rows: pl.DataFrame) -> Files:
    """Return the files of a version without a twin that fails on other rows than its maker's.

    Parameters
    ----------
    files
        As `format.pack` made them, in a process that ran a user's code.
    original
        Loaded from them.
    rows
        Features at least, such as rows held out from training; 1 or more.
    """
    about = original.description
    if not about.twin.file:
        return dict(files)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = twinned.opened(files[about.twin.file], about)
            compare(original, found, rows)
    except (NoTwinError, KeyError, errors.HomeostatError) as error:
        refused = Twin(refused=f"its twin failed on rows it was not made on: {error}")
        without = msgspec.structs.replace(about, twin=refused)
        kept = {path: data for path, data in files.items() if path != about.twin.file}
        return {**kept, described.DESCRIPTION: msgspec.json.encode(without)}
    return dict(files)


def carried(found: Twin, files: Mapping[str, bytes]) -> Twin:
    """Return a twin that carries its bytes itself, for a version whose files are not changed.

    Parameters
    ----------
    found, files
        As `made` returns them.
    """
    data = files.get(found.file, b"")
    if len(data) > CARRIED_AT_MOST:
        return Twin(
            refused=f"its twin has {len(data):,} bytes; {CARRIED_AT_MOST:,} are the most that "
            "a description carries"
        )
    return msgspec.structs.replace(found, data=data)


def write(estimator: Any, description: Description) -> bytes:
    """Return an estimator as an ONNX model, unverified.

    Parameters
    ----------
    estimator
        A fitted classifier or regressor, alone or behind the steps of a scikit-learn pipeline.
    description
        Its schema, task, classes and the positive one.

    Raises
    ------
    NoTwinError
        When a step or the classifier has no counterpart.
    """
    is_pipeline = type(estimator).__name__ == "Pipeline"
    steps = [step for _, step in estimator.steps] if is_pipeline else [estimator]
    features = twin_features.first(description)
    inner = getattr(steps[-1], "_preprocessor", None)
    before = [*steps[:-1], *([] if inner is None else [inner])]
    names = description.schema.names if description.by_name else ()
    for step in before:
        if step is None or isinstance(step, str):
            continue
        features = twin_steps.through(step, features, names=names)
        names = ()
    is_sparse = bool(before) and getattr(before[-1], "sparse_output_", False)
    if is_sparse and type(steps[-1]).__module__.startswith("xgboost."):
        features = twin_features.without_zeros(features)
    positive = description.positive if description.task == "binary" else None
    model = twin_models.read(steps[-1], positive)
    return twin_graph.write(model, features, positive=positive)


def compare(
    original: Predictor, other: twinned.Twinned, rows: pl.DataFrame
) -> tuple[int, float]:
    """Return on how many rows two predictors were compared, and how far they are apart.

    Parameters
    ----------
    original, other
        What ought to answer the same.
    rows
        Of the training data, as a rule.

    Returns
    -------
    int, float
        Rows; largest difference of two scores, at most `twinned.TOLERANCE`.

    Raises
    ------
    NoTwinError
        When a score differs by more, a label at all, or one of them refuses what the other
        answers.

    Notes
    -----
    Compared are rows of the data, spread over all of it; generated ones with every category,
    a missing and an unknown one; and mixtures of the rows whose scores are nearest to another
    label, where a small difference changes it. What a regression may differ by is a share of
    its largest score on the rows of the data.
    """
    description = original.description
    most = twinned.TOLERANCE
    step = max(1, len(rows) // SAMPLE_ROWS)
    sample = columns.lists(rows.gather_every(step).head(SAMPLE_ROWS), description.schema)
    n_rows, gap = 0, 0.0
    scores = np.empty(0)
    for made_rows in (sample, trees.trial_rows(description)):
        for expected, found in _both(original, other, made_rows):
            if not len(scores):
                scores = expected
                most *= scored.size(scores, description)
            gap = max(gap, _gap(expected, found, most, description))
            n_rows += len(found)
    if len(scores) == len(next(iter(sample.values()))):
        nearest = np.argsort(_margins(scores, description), kind="stable")[:NEAR_ROWS]
        for expected, found in _both(original, other, _mixed(sample, nearest)):
            gap = max(gap, _gap(expected, found, most, description))
            n_rows += len(found)
    return n_rows, gap


def _gap(expected: Floats, found: Floats, most: float, description: Description) -> float:
    apart = np.abs(expected - found)
    gap = float(apart.max(initial=0.0))
    if not gap <= most:
        at = np.unravel_index(int(apart.argmax()), apart.shape)
        raise NoTwinError(
            f"it answered {found[at]:.6g} where the original answered {expected[at]:.6g}; "
            f"{most:g} is the most they may differ"
        )
    changed = np.flatnonzero(_labels(expected, description) != _labels(found, description))
    if len(changed):
        first, second = (one[changed[0]].max() for one in (found, expected))
        raise NoTwinError(
            f"it answered {first:.17g} where the original answered {second:.17g}, "
            "which is another label"
        )
    return gap


def _labels(scores: Floats, description: Description) -> NDArray[np.intp]:
    """Return which label scores mean; none for a regression."""
    if description.task == "regression":
        return np.zeros(0, dtype=np.intp)
    if description.task == "multiclass":
        return np.asarray(scores.argmax(axis=1))
    return np.asarray(scores >= CUT, dtype=np.intp)


def _margins(scores: Floats, description: Description) -> Floats:
    """Return how far each row is from another label; all the same for a regression."""
    if description.task == "regression":
        return np.zeros(len(scores))
    if description.task == "multiclass":
        best = np.sort(scores, axis=1)
        return np.asarray(best[:, -1] - best[:, -2])
    return np.abs(scores - CUT)


def _mixed(rows: Rows, nearest: NDArray[np.intp]) -> dict[str, list[Any]]:
    """Return rows made of the values of those near the cut, each column drawn for itself."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name, values in rows.items():
        is_own = rng.random(len(nearest)) < 0.7  # noqa: PLR2004 - most stay near
        places = np.where(is_own, nearest, rng.permutation(nearest))
        drawn[name] = [values[int(at)] for at in places]
    return drawn


def _both(
    original: Predictor, other: twinned.Twinned, rows: Rows
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the scores of the two; row by row, and not for all, where they refuse some."""
    expected, found = _answered(original, rows), _answered(other, rows)
    if expected is not None and found is not None:
        yield expected, found
        return
    for at in range(min(ODD_ROWS, len(next(iter(rows.values()))))):
        row = {name: values[at : at + 1] for name, values in rows.items()}
        expected, found = _answered(original, row), _answered(other, row)
        if (expected is None) != (found is None):
            ours = "refuses" if expected is None else "answers"
            raise NoTwinError(f"the original {ours} a row where the twin does otherwise")
        if expected is not None and found is not None:
            yield expected, found


def _answered(asked: Predictor | twinned.Twinned, rows: Rows) -> Floats | None:
    try:
        return asked.scores(rows)
    except errors.HomeostatError:
        return None
