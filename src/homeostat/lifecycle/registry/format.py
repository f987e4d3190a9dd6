"""The folder of a model in MLflow's format: written by pipelines, read by serving and MLflow.

`MLmodel` names the flavours ``sklearn`` (skops) and ``python_function``, so that
``mlflow.sklearn.load_model`` and ``mlflow.pyfunc.load_model`` take the folder as it is;
`homeostat.json` adds what serving needs and MLflow does not know.
"""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from homeostat.foundation import clock, errors, ids
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry import (
    columns,
    described,
    opening,
    own,
    predictor,
    reference,
    trust,
    twin,
)
from homeostat.lifecycle.registry.entities import Description, Task, Twin

MLMODEL = "MLmodel"
MODEL = "model.skops"
DESCRIPTION = described.DESCRIPTION
read = described.read
EXAMPLE = "input_example.json"
EXAMPLE_ROWS = 20
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")

_MLFLOW_TYPES = {
    "number": "double",
    "integer": "long",
    "boolean": "boolean",
    "category": "string",
    "text": "string",
    "timestamp": "datetime",
}
_OWN = Twin(refused="the model runs code of the project, which has no counterpart in ONNX")


def pack(
    estimator: Any,
    *,
    schema: Schema,
    example: pl.DataFrame,
    target: str = "",
    positive: object = None,
    run_id: str = "",
    outcomes: pl.Series | None = None,
    code: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Write a fitted estimator as the files of a version.

    Parameters
    ----------
    estimator
        A scikit-learn classifier of two or more classes with ``predict_proba``, or a
        regressor.
    schema
        Of the features it was fitted on, in that order.
    example
        The training data, or some rows of it; the first `EXAMPLE_ROWS` are kept, so give none
        that must not be shown; of all only quantiles, shares and means.
    target
        Column it predicts.
    positive
        Label whose probability is the score. When None, the last of two classes; of more,
        every class has its score.
    run_id
        Run that made it.
    outcomes
        Of a regression the numbers it was fitted on, by which errors are measured later; None
        for a classifier.
    code
        Text by path of the project whose pipeline has just made the estimator here; an
        estimator with classes or functions of one's own brings it along and is loaded where
        somebody trusts it. None where it comes from elsewhere: such a one is refused.

    Returns
    -------
    dict
        Path to bytes.

    Raises
    ------
    InvalidInputError
        When it is no fitted classifier, knows one class only, or skops cannot write it.
    NotAllowedError
        When it holds a type that would be refused on loading.
    UserCodeError
        When it cannot score the example.
    """
    is_regression = outcomes is not None
    classes = [] if is_regression else classes_of(estimator)
    if is_regression:
        need_regressor(estimator)
    written = _written(estimator, is_made_here=code is not None)
    rows = columns.lists(example.head(EXAMPLE_ROWS), schema)
    by_name = hasattr(estimator, "feature_names_in_")
    draft = Description(
        format=1,
        schema=schema,
        target=target,
        classes=tuple(str(label) for label in classes),
        positive=0 if is_regression else place_of(classes, positive),
        by_name=by_name,
        example={name: [plain(value) for value in values] for name, values in rows.items()},
        scores=(),
        trusted=written.types,
        loader=written.loader,
        file=written.file,
        packages={name: metadata.version(name) for name in PACKAGES},
        reference=reference.of(estimator, example, schema, by_name=by_name),
        task="regression" if is_regression else task_of(classes, positive),
        deviation=0.0 if outcomes is None else deviation_of(outcomes),
    )
    is_own = own.is_own([written.file])
    files = {written.file: written.data, **(own.packed(code or {}) if is_own else {})}
    opened = opening.estimator(
        files, loader=written.loader, file=written.file, is_trusted=True, classes=classes
    )
    original = predictor.Predictor(opened, draft)
    twins, more = (_OWN, {}) if is_own else twin.made(opened, original, example)
    about = msgspec.structs.replace(draft, scores=kept(original.scores(rows)), twin=twins)
    files |= {DESCRIPTION: msgspec.json.encode(about), **more}
    size_bytes = len(written.data)
    return files | _for_mlflow(about, classes, run_id=run_id, size_bytes=size_bytes)


def write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a version into a folder, which is made."""
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a model's folder; NotFoundError when it is none."""
    if not (folder / MLMODEL).is_file():
        raise errors.NotFoundError(f"{folder} is no folder of a model: it has no {MLMODEL}")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def classes_of(estimator: Any) -> list[Any]:
    """Return the labels of a fitted classifier, in its order.

    Raises
    ------
    InvalidInputError
        When it is no fitted classifier with ``predict_proba``, or knows one class only.
    """
    kind = type(estimator).__name__
    classes = getattr(estimator, "classes_", None)
    if classes is None or not hasattr(estimator, "predict_proba"):
        raise errors.InvalidInputError(
            f"{kind} is no fitted classifier with predict_proba",
            hint="fit a classifier that answers probabilities, such as scikit-learn's",
        )
    found: list[Any] = classes.tolist()
    if len(found) < 2:  # noqa: PLR2004 - nothing to tell apart
        raise errors.InvalidInputError(
            f"{kind} was fitted on one class only ({found}); there is nothing to predict"
        )
    return found


def need_regressor(estimator: Any) -> None:
    """Refuse what is no fitted regressor.

    Raises
    ------
    InvalidInputError
        When it has no ``predict``, or tells classes apart.
    """
    if hasattr(estimator, "predict") and getattr(estimator, "classes_", None) is None:
        return
    raise errors.InvalidInputError(
        f"{type(estimator).__name__} is no regressor, and the policy's task is regression",
        hint='fit a regressor, or say task = "classification" under [model]',
    )


def deviation_of(outcomes: pl.Series) -> float:
    """Return the standard deviation of the numbers a regressor was fitted on.

    Raises
    ------
    InvalidInputError
        When none of them is a finite number.

    Examples
    --------
    >>> deviation_of(pl.Series("y", [1, 3, None]))
    1.0
    """
    found = outcomes.cast(pl.Float64, strict=False).drop_nulls()
    found = found.filter(found.is_finite())
    if found.is_empty():
        raise errors.InvalidInputError(f"column {outcomes.name!r} holds no number")
    return float(found.to_numpy().std())


def task_of(classes: list[Any], positive: object) -> Task:
    """Return what the scores of a classifier are.

    Examples
    --------
    >>> task_of([0, 1], None), task_of(["a", "b", "c"], None), task_of(["a", "b", "c"], "b")
    ('binary', 'multiclass', 'binary')
    """
    return "multiclass" if positive is None and len(classes) > 2 else "binary"  # noqa: PLR2004


def kept(scores: NDArray[np.float64]) -> tuple[float | tuple[float, ...], ...]:
    """Return scores as a description keeps them."""
    return tuple(tuple(one) if isinstance(one, list) else one for one in scores.tolist())


def place_of(classes: list[Any], positive: object) -> int:
    """Return the place of the positive label; the last one when it is None.

    Raises
    ------
    InvalidInputError
        When it is not among the classes.
    """
    if positive is None:
        return len(classes) - 1
    if positive not in classes:
        raise errors.InvalidInputError(
            f"the positive label {positive!r} is not among the classes {classes}"
        )
    return classes.index(positive)


class _Written(NamedTuple):
    """An estimator as a file, and how that is read."""

    loader: str
    file: str
    data: bytes
    types: tuple[str, ...] = ()


def _written(estimator: Any, *, is_made_here: bool) -> _Written:
    import skops.io  # noqa: PLC0415 - only processes that write models need it

    try:
        data: bytes = skops.io.dumps(estimator)
    except (TypeError, ValueError, AttributeError) as error:
        if is_made_here:
            return _pickled(estimator)
        raise errors.InvalidInputError(
            f"{type(estimator).__name__} cannot be written without pickle: {error}",
            hint="build it from scikit-learn's own estimators and numpy functions",
        ) from error
    types = tuple(trust.types(data))
    if not is_made_here:
        trust.loads(data)  # refuses by name what is not allowed
    if not trust.refused(data):
        return _Written("skops", MODEL, data, types)
    try:
        trust.loads(data, any_type=True)
    except Exception:  # noqa: BLE001 - a lambda is written by a name that nobody can look up
        return _pickled(estimator)
    return _Written(own.LOADERS[own.SKOPS], own.SKOPS, data, types)


def _pickled(estimator: Any) -> _Written:
    import cloudpickle  # noqa: PLC0415 - only processes that write models need it

    try:
        data: bytes = cloudpickle.dumps(estimator)
    except Exception as error:  # a class of the user's may raise anything
        raise errors.InvalidInputError(
            f"{type(estimator).__name__} cannot be written, not even by pickle: {error}",
            hint="leave open files, locks and connections out of what the pipeline returns",
        ) from error
    return _Written(own.LOADERS[own.PICKLE], own.PICKLE, data)


def _for_mlflow(
    about: Description, classes: list[Any], *, run_id: str, size_bytes: int
) -> dict[str, bytes]:
    """Return the files that MLflow reads beside the model."""
    requirements = [f"{name}=={version}" for name, version in about.packages.items()]
    requirements.append("mlflow>=3.0")
    python = platform.python_version()
    rows = [list(row) for row in zip(*about.example.values(), strict=True)]
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
        "name": "mlflow-env",
    }
    environment = {
        "python": python,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    example = {"columns": list(about.schema.names), "data": rows}
    model = _about(about, classes, run_id=run_id, size_bytes=size_bytes)
    return {
        MLMODEL: _yaml(model),
        "requirements.txt": ("\n".join(requirements) + "\n").encode(),
        "conda.yaml": _yaml(conda),
        "python_env.yaml": _yaml(environment),
        EXAMPLE: msgspec.json.encode(example),
    }


def _about(
    description: Description, classes: list[Any], *, run_id: str, size_bytes: int
) -> dict[str, Any]:
    inputs = [
        {
            # MLflow's integers cannot be missing; as doubles they can.
            "type": "double"
            if column.kind == "integer" and column.nullable
            else _MLFLOW_TYPES[column.kind],
            "name": column.name,
            "required": not column.nullable,
        }
        for column in description.schema.columns
    ]
    first = classes[0] if classes else 0.0
    label = (
        "string" if isinstance(first, str) else "long" if isinstance(first, int) else "double"
    )
    code = own.CODE if own.is_own([description.file]) else None
    about: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "code": code,
                "loader_module": "mlflow.sklearn",
                "model_path": description.file,
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": code,
                "pickled_model": description.file,
                "serialization_format": "cloudpickle"
                if description.loader == "pickle"
                else "skops",
                "sklearn_version": description.packages["scikit-learn"],
                "skops_trusted_types": list(description.trusted),
            },
        },
        "model_size_bytes": size_bytes,
        "model_uuid": ids.new_id(),
        "saved_input_example_info": {
            "artifact_path": EXAMPLE,
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {
            "inputs": msgspec.json.encode(inputs).decode(),
            "outputs": msgspec.json.encode([{"type": label, "required": True}]).decode(),
            "params": None,
        },
        "utc_time_created": clock.iso(clock.now_ms()).rstrip("Z").replace("T", " "),
    }
    return {**about, "run_id": run_id} if run_id else about


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=True).encode()


def plain(value: Any) -> Any:
    """Return a value JSON can hold."""
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return value
