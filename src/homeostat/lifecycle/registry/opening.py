"""From the file of a model that MLflow's users logged to something with `predict_proba`.

Called by `load` and `adopt`, in prediction and pipeline processes only: the native formats of
LightGBM and XGBoost are data, a pickle is a program and is opened only when somebody may have
said so and did.
"""

from __future__ import annotations

import importlib
import json
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.registry import mlmodel, trust

Floats = NDArray[np.float64]

ELSEWHERE = "elsewhere"
"""What loads a version whose model is served elsewhere: nothing."""
_DANGERS = {
    "pickle": "is pickled",
    "pyfunc": "its flavour python_function is Python code",
    "skops-any": "holds types that are not on the list of trusted ones",
}
_NARROW = {"float": "float32", "integer": "int32"}
_MADE_UP = re.compile(r"(Column_|f)?\d+\Z")


def estimator(
    files: Mapping[str, bytes],
    *,
    loader: str,
    file: str,
    is_trusted: bool,
    classes: Sequence[Any] = (),
) -> Any:
    """Open the model of a version.

    Parameters
    ----------
    files
        Path to bytes.
    loader, file
        As `mlmodel.read` tells.
    is_trusted
        Whether somebody who may has said that this version may run its code.
    classes
        Labels in order; only for models that do not know them, as those of ``pyfunc``.

    Returns
    -------
    object
        With ``predict_proba`` and, where it knows them, ``classes_``.

    Raises
    ------
    NotAllowedError
        When it is pickled and nobody trusts it, or a type in it is not trusted.
    InvalidInputError
        When the file is not what it should be, or a library it needs is not installed.
    UserCodeError
        When opening it raises.
    """
    if loader == ELSEWHERE:
        raise errors.InvalidInputError(
            "the model of this version is served elsewhere; only its answers are known here"
        )
    need_trust(loader, file, is_trusted=is_trusted)
    with warnings.catch_warnings():
        # Another release of a library warns; whether it matters, the example proves.
        warnings.simplefilter("ignore")
        if loader == "pyfunc":
            return _PyFunc(files, classes)
        data = files.get(file)
        if data is None:
            raise errors.InvalidInputError(f"the version has no file {file!r}")
        if loader in {"skops", "skops-any"}:
            return trust.loads(data, name=file, any_type=loader == "skops-any")
        if loader == "lightgbm":
            return _LightGbm(data, file)
        if loader == "xgboost":
            return _xgboost(data, file, is_booster=_is_booster(files))
        if loader == "pickle":
            return _unpickled(data, file)
    raise errors.InvalidInputError(f"nobody knows how to load {file!r} as {loader!r}")


def need_trust(loader: str, file: str, *, is_trusted: bool) -> None:
    """Refuse a model that can run any code while nobody has said that it may.

    Parameters
    ----------
    loader, file
        As `mlmodel.read` tells.
    is_trusted
        Whether somebody has.

    Raises
    ------
    NotAllowedError
        When trust is needed and missing; says how to give it, and how to do without.
    """
    if is_trusted or loader in mlmodel.DATA_ONLY:
        return
    what = f"{file} {_DANGERS.get(loader, 'is unknown')}".strip()
    raise errors.NotAllowedError(
        f"{what} and is not loaded: it can run any code, and nobody has marked this version "
        "as trusted",
        hint="homeostat model trust MODEL VERSION --reason WHY, by a reviewer; or log it with "
        "serialization_format='skops'",
        file=file,
    )


class _LightGbm:
    """A LightGBM booster from its text, asked for probabilities."""

    def __init__(self, data: bytes, file: str) -> None:
        package = _package("lightgbm", file)
        try:
            text = data.decode()
            self._booster = package.Booster(model_str=text)
        except Exception as error:
            raise _broken(file, error) from error
        found = re.search(r"^objective=(\S+)", text, re.MULTILINE)
        objective = found[1] if found else "none"
        n_classes = re.search(r"^num_class=(\d+)", text, re.MULTILINE)
        if objective not in {"binary", "multiclass", "multiclassova", "cross_entropy"}:
            raise _no_classifier(file, objective)
        n = int(n_classes[1]) if n_classes else 1
        self.classes_ = np.arange(max(n, 2))
        _name(self, self._booster.feature_name())

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class."""
        return _two_sided(self._booster.predict(rows))

    def text(self) -> str:
        """Return the model as LightGBM writes it."""
        return str(self._booster.model_to_string())


class _XgBoost:
    """An XGBoost booster, asked for probabilities."""

    def __init__(self, package: Any, data: bytes, file: str) -> None:
        self._package = package
        try:
            self._booster = package.Booster()
            self._booster.load_model(bytearray(data))
            told = json.loads(self._booster.save_config())["learner"]
        except Exception as error:
            raise _broken(file, error) from error
        objective = str(told["objective"]["name"])
        if objective not in {"binary:logistic", "multi:softprob"}:
            raise _no_classifier(file, objective)
        n = int(told["learner_model_param"]["num_class"])
        self.classes_ = np.arange(max(n, 2))
        _name(self, self._booster.feature_names or ())

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class."""
        return _two_sided(self._booster.predict(self._package.DMatrix(rows)))

    def text(self) -> bytes:
        """Return the model as XGBoost's JSON."""
        return bytes(self._booster.save_raw("json"))


class _PyFunc:
    """Any model that MLflow itself can load, where its `predict` answers probabilities."""

    def __init__(self, files: Mapping[str, bytes], classes: Sequence[Any]) -> None:
        package = _package("mlflow", "a model of flavour python_function")
        # MLflow may read on while the model answers; the folder goes with this object.
        self._folder = tempfile.TemporaryDirectory(prefix="homeostat-model-")
        for path, data in files.items():
            place = Path(self._folder.name, path)
            if ".." in place.parts or Path(path).is_absolute():
                raise errors.InvalidInputError(f"a file of the version has the path {path!r}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        try:
            self._model = package.pyfunc.load_model(self._folder.name)
        except Exception as error:
            raise _raised("the model", error) from error
        if len(classes):
            self.classes_ = np.asarray(classes)
        # MLflow refuses to narrow numbers by itself, and ours are all of 64 bits.
        self._narrow = {
            one.name: _NARROW[one.type]
            for one in mlmodel.read(files).inputs or ()
            if one.type in _NARROW
        }

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class, whichever way the model writes them."""
        kinds = {name: kind for name, kind in self._narrow.items() if name in rows}
        found = np.asarray(self._model.predict(rows.astype(kinds) if kinds else rows))
        is_chance = found.dtype.kind == "f" and found.size > 0
        if not is_chance or not (np.nanmin(found) >= 0.0 and np.nanmax(found) <= 1.0):
            raise errors.InvalidInputError(
                "its predict answers labels or numbers that are no probability; gates, "
                "canaries and drift need probabilities",
                hint="log it with pyfunc_predict_fn='predict_proba', or in its own flavour",
            )
        return _two_sided(found)


def _xgboost(data: bytes, file: str, *, is_booster: bool) -> Any:
    package = _package("xgboost", file)
    if is_booster:
        return _XgBoost(package, data, file)
    made = package.XGBClassifier()
    try:
        made.load_model(bytearray(data))
        made.classes_  # noqa: B018 - a regressor has none
    except Exception as error:
        raise _broken(file, error) from error
    return made


def _is_booster(files: Mapping[str, bytes]) -> bool:
    return b"xgboost.core.Booster" in files.get(mlmodel.MLMODEL, b"")


def _unpickled(data: bytes, file: str) -> Any:
    import cloudpickle  # noqa: PLC0415 - only processes that load models need it

    try:
        return cloudpickle.loads(data)
    except Exception as error:
        raise _raised(file, error) from error


def _raised(what: str, error: Exception) -> errors.UserCodeError:
    told = str(error).strip().partition("\n")[0]
    missing = error.name if isinstance(error, ModuleNotFoundError) else ""
    hint = f"install {missing} where models are loaded" if missing else ""
    return errors.UserCodeError(
        f"opening {what} raised {type(error).__name__}: {told}",
        hint=hint or "load it with mlflow in the same environment to see it there",
    )


def _broken(file: str, error: Exception) -> errors.InvalidInputError:
    told = str(error).strip().partition("\n")[0][:300]
    return errors.InvalidInputError(f"{file} cannot be read: {told}")


def _no_classifier(file: str, objective: str) -> errors.InvalidInputError:
    return errors.InvalidInputError(
        f"{file} was fitted for {objective!r}, which answers no probabilities of classes",
        hint="fit a classifier, such as LightGBM's 'binary' or XGBoost's 'binary:logistic'",
    )


def _package(name: str, file: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise errors.InvalidInputError(
            f"{file} needs the package {name}, which is not installed here",
            hint=f"pip install {name}, where predictions are made and models are judged",
            package=name,
        ) from None


def _name(made: Any, names: Sequence[str]) -> None:
    """Tell of the columns' names as scikit-learn does, unless they were made up."""
    if len(names) and not all(_MADE_UP.match(name) for name in names):
        made.feature_names_in_ = np.asarray(names, dtype=object)


def _two_sided(found: Any) -> Floats:
    chances = np.asarray(found, dtype=np.float64)
    if chances.ndim == 2 and chances.shape[1] == 1:  # noqa: PLR2004 - one column
        chances = chances[:, 0]
    return np.column_stack([1.0 - chances, chances]) if chances.ndim == 1 else chances
