"""Makes a version that MLflow's client logged one that can be judged, served and watched.

Such a version has a model file and a signature, and nothing of what serving needs: kinds and
categories of its columns, labels, rows whose scores prove it elsewhere. All of that is read
off the model and some labelled rows, once; the files stay as they are. It opens the model, so
only a process made for that calls it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.registry import (
    columns,
    mlmodel,
    opening,
    reference,
    scored,
    trust,
    twin,
)
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry.entities import Description
from homeostat.lifecycle.registry.predictor import TOLERANCE, Predictor

PACKAGES = (*folder.PACKAGES, "lightgbm", "xgboost", "mlflow")
_MADE_UP = re.compile(r"Column_\d+\Z")
_NUMBERS = frozenset({"number", "integer", "boolean", "timestamp"})


class Adopted(NamedTuple):
    """What was learned of a version: `truth` and `scores` are those of the labelled rows.

    `truth` is where the label is the positive one of two classes, the place of the class among
    several, or the number of a regression.
    """

    description: Description
    predictor: Predictor
    truth: NDArray[Any]
    scores: NDArray[np.float64]


def adopt(
    files: Mapping[str, bytes],
    rows: pl.DataFrame,
    *,
    target: str,
    apart: Sequence[str] = (),
    positive: object = None,
    is_trusted: bool = False,
    is_regression: bool = False,
) -> Adopted:
    """Learn from labelled rows what serving must know of a model, and how it does on them.

    Parameters
    ----------
    files
        The folder that MLflow's client logged, path to bytes.
    rows
        Labelled, not those it was fitted on; rows without a label are left out.
    target
        Column of the label.
    apart
        Columns that are no features where neither signature nor model names its own.
    positive
        Label whose probability is the score. When None, the last of two classes; of more,
        every class has its score.
    is_trusted
        Whether somebody who may has said that this version may run its code.
    is_regression
        Whether it foretells a number.

    Returns
    -------
    Adopted
        The description proves itself: its scores are those of its first rows.

    Raises
    ------
    NotAllowedError
        When the model is pickled and not trusted, or holds a type that is not.
    InvalidInputError
        When the folder is no model, the model of another task, or the rows do not fit it.
    UserCodeError
        When the model raises.
    """
    tables.need_column(rows.columns, target, role="target")
    told = mlmodel.read(files)
    labelled = rows.filter(pl.col(target).is_not_null())
    if labelled.is_empty():
        raise errors.InvalidInputError(f"no row has a label in column {target!r}")
    labels = [] if is_regression else labelled[target].unique().sort().to_list()
    loader = loader_of(told, files)
    estimator = opening.estimator(
        files,
        loader=loader,
        file=told.file,
        is_trusted=is_trusted,
        classes=labels,
        is_regression=is_regression,
    )
    draft = _draft(
        *(estimator, labelled, msgspec.structs.replace(told, loader=loader)),
        target=target,
        apart=(target, *apart),
        positive=positive,
        is_regression=is_regression,
    )
    truth = _truth(labelled[target], draft)
    predictor = Predictor(estimator, draft)
    scores = predictor.scores(labelled)
    example = scores[: folder.EXAMPLE_ROWS]
    gap = np.abs(predictor.scores(draft.example) - example).max()
    if gap > TOLERANCE * scored.size(example, draft):
        raise errors.InvalidInputError(
            "the model answers a row differently when it is asked about other rows with it",
            hint="a served model must answer each row by itself",
        )
    found = twin.carried(*twin.made(estimator, predictor, labelled))
    described = msgspec.structs.replace(draft, scores=folder.kept(example), twin=found)
    return Adopted(described, Predictor(estimator, described), truth, scores)


def _draft(
    estimator: Any,
    rows: pl.DataFrame,
    told: mlmodel.Told,
    *,
    target: str,
    apart: Sequence[str],
    positive: object,
    is_regression: bool,
) -> Description:
    """Return what serving must know of a model, but for its scores and its twin."""
    classes = _classes(estimator, is_regression=is_regression)
    names = _features(estimator, told, rows.columns, apart=apart)
    by_name = bool(_own_names(estimator)) or (
        told.loader == "pyfunc" and told.inputs is not None
    )
    schema = _schema(rows, names, told, by_name=by_name)
    features = columns.lists(rows.head(folder.EXAMPLE_ROWS), schema)
    return Description(
        format=1,
        schema=schema,
        target=target,
        classes=tuple(label_text(label) for label in classes),
        positive=0 if is_regression else folder.place_of(classes, positive),
        by_name=by_name,
        example={name: [folder.plain(value) for value in features[name]] for name in names},
        scores=(),
        trusted=(),
        packages=_packages(),
        loader=told.loader,
        file=told.file,
        reference=reference.of(estimator, rows, schema, by_name=by_name),
        task="regression" if is_regression else folder.task_of(classes, positive),
        deviation=folder.deviation_of(rows[target]) if is_regression else 0.0,
    )


def loader_of(told: mlmodel.Told, files: Mapping[str, bytes]) -> mlmodel.Loader:
    """Return how a model's file is read, after a look at the types in a skops file."""
    if told.loader == "skops" and trust.refused(files[told.file]):
        return "skops-any"
    return told.loader


def label_text(label: object) -> str:
    """Write a label so that 1, 1.0, True and "1" are one label.

    Parameters
    ----------
    label
        Of a classifier or of a table.

    Returns
    -------
    str
        As descriptions keep it.

    Examples
    --------
    >>> [label_text(one) for one in (1, 1.0, True, "1", 0.5, "yes")]
    ['1', '1', '1', '1', '0.5', 'yes']
    """
    if isinstance(label, bool | np.bool_) or (isinstance(label, float) and label.is_integer()):
        return str(int(label))
    return str(label)


def _classes(estimator: Any, *, is_regression: bool) -> list[Any]:
    """Return the labels of a classifier, none of a regressor; refuse one for the other."""
    if is_regression:
        folder.need_regressor(estimator)
        return []
    if hasattr(estimator, "predict") and getattr(estimator, "classes_", None) is None:
        raise errors.InvalidInputError(
            f"{type(estimator).__name__} is no fitted classifier, and the policy's task is "
            "classification",
            hint='say task = "regression" under [model] when it foretells a number',
        )
    return folder.classes_of(estimator)


def _truth(labels: pl.Series, described: Description) -> NDArray[Any]:
    """Return outcomes by the task; refuse labels that the model never saw."""
    if described.task == "regression":
        return _numbers(labels)
    seen = [label_text(label) for label in labels.to_list()]
    strange = sorted(set(seen) - set(described.classes))
    if strange:
        known = ", ".join(described.classes[:10])
        raise errors.InvalidInputError(
            f"column {labels.name!r} holds the label {strange[0]!r}; the model knows {known}",
            hint="name the column of the outcome with --target",
            column=labels.name,
        )
    places = np.array([described.classes.index(label) for label in seen], dtype=np.intp)
    return places if described.task == "multiclass" else places == described.positive


def _numbers(labels: pl.Series) -> NDArray[np.float64]:
    found = labels.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    strange = np.flatnonzero(~np.isfinite(found))
    if len(strange):
        raise errors.InvalidInputError(
            f"column {labels.name!r} holds {labels[int(strange[0])]!r}, which is no number",
            hint="name the column of the outcome with --target",
            column=labels.name,
        )
    return np.asarray(found, dtype=np.float64)


def _own_names(estimator: Any) -> list[str]:
    """Return the columns a model was fitted on by name; none when it was fitted on a matrix."""
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    return [] if all(_MADE_UP.match(name) for name in names) else names


def _features(
    estimator: Any, told: mlmodel.Told, known: Sequence[str], *, apart: Sequence[str]
) -> list[str]:
    names = _own_names(estimator)
    if not names and told.inputs is not None:
        names = [one.name for one in told.inputs]
    if names:
        lacking = next((name for name in names if name not in known), None)
        if lacking is not None:
            raise errors.InvalidInputError(
                f"the model takes {lacking!r}, which is no column of the table",
                hint=tables.nearest(lacking, list(known)),
                column=lacking,
            )
        return names
    names = [name for name in known if name not in apart]
    width = told.width or getattr(estimator, "n_features_in_", None)
    if width is not None and len(names) != int(width):
        raise errors.InvalidInputError(
            f"the model takes {int(width)} columns without names; the table has {len(names)} "
            f"beside {', '.join(apart)}",
            hint="log it with an input_example that is a table, or give a table of just its "
            "columns, in order, and the target",
        )
    return names


def _schema(
    rows: pl.DataFrame, names: Sequence[str], told: mlmodel.Told, *, by_name: bool
) -> Schema:
    signed = {one.name: one for one in told.inputs or ()}
    made = [_column(rows[name], signed.get(name)) for name in names]
    if not by_name:
        text = next((one.name for one in made if one.kind not in _NUMBERS), None)
        if text is not None:
            raise errors.InvalidInputError(
                f"the model was fitted on a matrix of numbers, but column {text!r} is text",
                hint="fit it on a table with column names, its encoding inside the model",
                column=text,
            )
    return Schema(tuple(made))


def _column(values: pl.Series, signed: mlmodel.Input | None) -> Column:
    """Return a column as the signature has it, with what the rows show of it."""
    seen = schemas.infer_column(values)
    if signed is None:
        return seen
    fitting = {
        "number": {"number", "integer", "boolean"},
        "integer": {"integer", "boolean"},
        "text": {"text", "category"},
        "boolean": {"boolean"},
        "timestamp": {"timestamp"},
    }
    is_whole = seen.kind == "number" and _is_whole(values)
    if seen.kind not in fitting[signed.kind] and not (signed.kind == "integer" and is_whole):
        raise errors.InvalidInputError(
            f"column {seen.name!r} of the table is {seen.kind}; the model's signature says "
            f"{signed.type}",
            column=seen.name,
        )
    kind = seen.kind if signed.kind == "text" else signed.kind
    nullable = seen.nullable or not signed.required
    return msgspec.structs.replace(seen, kind=kind, nullable=nullable)


def _is_whole(values: pl.Series) -> bool:
    known = values.drop_nulls().drop_nans()
    return bool((known == known.round()).all())


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
