"""From the file of a model that MLflow's users logged to a classifier or regressor.

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
from homeostat.lifecycle.registry import mlmodel, own, trust

Floats = NDArray[np.float64]

ELSEWHERE = "elsewhere"
"""What loads a version whose model is served elsewhere: nothing."""
_DANGERS = {
    "pickle": "is pickled",
    "pyfunc": "its flavour python_function is Python code",
    "skops-any": "holds types that are not on the list of trusted ones",
}
_NARROW = {"float": "float32", "integer": "int32"}
_LIGHTGBM_CLASSES = frozenset({"binary", "multiclass", "multiclassova", "cross_entropy"})
_LIGHTGBM_NUMBERS = frozenset(
    {
        *("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
        *("poisson", "gamma", "tweedie"),
    }
)
_XGBOOST_CLASSES = frozenset({"binary:logistic", "multi:softprob"})
_SAY_REGRESSION = 'say task = "regression" under [model] of the policy'
_SAY_CLASSES = 'of a model of classes, say task = "classification" under [model] of the policy'
_MADE_UP = re.compile(r"(Column_|f)?\d+\Z")


def estimator(
    files: Mapping[str, bytes],
    *,
    loader: str,
    file: str,
    is_trusted: bool,
    classes: Sequence[Any] = (),
    is_regression: bool = False,
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
    is_regression
        Whether it is to answer numbers, not probabilities of classes.

    Returns
    -------
    object
        With ``predict_proba`` and, where it knows them, ``classes_``; with ``predict`` for a
        regression.

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
        if loader == "skops":
            return trust.loads(data, name=file)
        if loader == "lightgbm":
            return _LightGbm(data, file, is_regression=is_regression)
        if loader == "xgboost":
            make = _XgBoost if _is_booster(files) else _xgboost
            return make(data, file, is_regression=is_regression)
        if loader in {"skops-any", "pickle"}:
            with own.importing(files):
                if loader == "pickle":
                    return _unpickled(data, file)
                return trust.loads(data, name=file, any_type=True)
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
    """A LightGBM booster from its text, asked for probabilities or numbers."""

    def __init__(self, data: bytes, file: str, *, is_regression: bool) -> None:
        package = _package("lightgbm", file)
        try:
            text = data.decode()
            self._booster = package.Booster(model_str=text)
        except Exception as error:
            raise _broken(file, error) from error
        found = re.search(r"^objective=(\S+)", text, re.MULTILINE)
        objective = found[1] if found else "none"
        known = _LIGHTGBM_NUMBERS if is_regression else _LIGHTGBM_CLASSES
        if objective not in known:
            raise _of_another_task(file, objective, is_regression=is_regression)
        self._is_each_alone = objective == "multiclassova"
        if not is_regression:
            n_classes = re.search(r"^num_class=(\d+)", text, re.MULTILINE)
            self.classes_ = np.arange(max(int(n_classes[1]) if n_classes else 1, 2))
        _name(self, self._booster.feature_name())

    def predict(self, rows: Any) -> Floats:
        """Return the number of a regression."""
        return np.asarray(self._booster.predict(rows), dtype=np.float64)

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class."""
        chances = _two_sided(self._booster.predict(rows))
        return chances / chances.sum(axis=1, keepdims=True) if self._is_each_alone else chances

    def text(self) -> str:
        """Return the model as LightGBM writes it."""
        return str(self._booster.model_to_string())


class _XgBoost:
    """An XGBoost booster, asked for probabilities or numbers."""

    def __init__(self, data: bytes, file: str, *, is_regression: bool) -> None:
        self._package = _package("xgboost", file)
        try:
            self._booster = self._package.Booster()
            self._booster.load_model(bytearray(data))
            told = json.loads(self._booster.save_config())["learner"]
        except Exception as error:
            raise _broken(file, error) from error
        objective = str(told["objective"]["name"])
        is_of_numbers = objective.startswith("reg:") or objective == "count:poisson"
        if not (is_of_numbers if is_regression else objective in _XGBOOST_CLASSES):
            raise _of_another_task(file, objective, is_regression=is_regression)
        if not is_regression:
            n = int(told["learner_model_param"]["num_class"])
            self.classes_ = np.arange(max(n, 2))
        _name(self, self._booster.feature_names or ())

    def predict(self, rows: Any) -> Floats:
        """Return the number of a regression."""
        found = self._booster.predict(self._package.DMatrix(rows))
        return np.asarray(found, dtype=np.float64)

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class."""
        return _two_sided(self._booster.predict(self._package.DMatrix(rows)))

    def text(self) -> bytes:
        """Return the model as XGBoost's JSON."""
        return bytes(self._booster.save_raw("json"))


class _PyFunc:
    """Any model that MLflow itself can load, asked for probabilities or numbers."""

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

    def predict(self, rows: Any) -> Any:
        """Return what the model answers."""
        kinds = {name: kind for name, kind in self._narrow.items() if name in rows}
        found = np.asarray(self._model.predict(rows.astype(kinds) if kinds else rows))
        is_column = found.ndim == 2 and found.shape[1] == 1  # noqa: PLR2004 - one column
        return found[:, 0] if is_column else found

    def predict_proba(self, rows: Any) -> Floats:
        """Return one probability per class, whichever way the model writes them."""
        found = self.predict(rows)
        is_chance = found.dtype.kind == "f" and found.size > 0
        if not is_chance or not (np.nanmin(found) >= 0.0 and np.nanmax(found) <= 1.0):
            raise errors.InvalidInputError(
                "its predict answers labels or numbers that are no probability; gates, "
                "canaries and drift need probabilities",
                hint="log it with pyfunc_predict_fn='predict_proba', or in its own flavour; of "
                f"numbers, {_SAY_REGRESSION}",
            )
        return _two_sided(found)


def _xgboost(data: bytes, file: str, *, is_regression: bool) -> Any:
    package = _package("xgboost", file)
    made = package.XGBRegressor() if is_regression else package.XGBClassifier()
    try:
        made.load_model(bytearray(data))
    except Exception as error:
        raise _broken(file, error, hint=_hint(is_regression=is_regression)) from error
    objective = str(
        json.loads(made.get_booster().save_config())["learner"]["objective"]["name"]
    )
    if not is_regression and not objective.startswith(("binary:", "multi:")):
        raise _of_another_task(file, objective, is_regression=is_regression)
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


def _broken(file: str, error: Exception, *, hint: str = "") -> errors.InvalidInputError:
    told = str(error).strip().partition("\n")[0][:300]
    return errors.InvalidInputError(f"{file} cannot be read: {told}", hint=hint)


def _of_another_task(
    file: str, objective: str, *, is_regression: bool
) -> errors.InvalidInputError:
    lacking = "no numbers" if is_regression else "no probabilities of classes"
    return errors.InvalidInputError(
        f"{file} was fitted for {objective!r}, which answers {lacking}",
        hint=_hint(is_regression=is_regression),
    )


def _hint(*, is_regression: bool) -> str:
    return _SAY_CLASSES if is_regression else f"of a model of numbers, {_SAY_REGRESSION}"


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
