"""Which types a model file may hold; anything else is refused before it is made.

Skops writes a model as plain data with the names of its types and makes them again on loading;
nothing is unpickled. It knows scikit-learn's estimators and numpy's types; the private parts of
fitted trees and the like are listed here one by one: none runs code, opens a file or reaches
out when it is made or asked for a prediction.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from homeostat.foundation import errors

ALLOWED = frozenset(
    {
        "collections.OrderedDict",
        # Calls what it holds, and that is checked by the same list.
        "functools.partial",
        # Its state is the model's own text, handed to the same parser as a model.lgb.
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyExponentialLoss",
        "sklearn._loss._loss.CyHalfGammaLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss._loss.CyPinballLoss",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
        # Its state is the model's own bytes, handed to the same parser as a model.xgb.
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)
MOST_BYTES = 2_000_000_000
MOST_PARTS = 200_000


def loads(data: bytes, *, name: str = "model.skops", any_type: bool = False) -> Any:
    """Make the object of a skops file, after checking every type in it.

    Parameters
    ----------
    data
        The file.
    name
        For messages.
    any_type
        Take types that are not on the list too: somebody who may has said so.

    Returns
    -------
    object
        Usually a fitted estimator.

    Raises
    ------
    NotAllowedError
        When the file holds a type that is not allowed; it is named.
    InvalidInputError
        When it is no skops file, or unpacks to more than can be meant.
    """
    import skops.io  # noqa: PLC0415 - only processes that load models need it

    _bounded(data, name)
    try:
        unknown = skops.io.get_untrusted_types(data=data)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise errors.InvalidInputError(f"{name} is no skops file: {error}") from error
    refused = [] if any_type else sorted(set(unknown) - ALLOWED)
    if refused:
        raise errors.NotAllowedError(
            f"{name} holds {refused[0]}, a type that is not trusted",
            hint="build the model from scikit-learn's own estimators; functions and classes of "
            "your own belong into the pipeline's steps, or a reviewer says that this version "
            "may run them: homeostat model trust MODEL VERSION --reason WHY",
            type=refused[0],
            n_refused=len(refused),
        )
    try:
        return skops.io.loads(data, trusted=sorted(unknown))
    except ModuleNotFoundError as error:
        raise errors.InvalidInputError(
            f"{name} needs the package {error.name}, which is not installed here",
            hint=f"pip install {error.name}, where predictions are made and models are judged",
        ) from None


def refused(data: bytes) -> list[str]:
    """Return the types in a skops file that are not trusted; empty when it is no such file."""
    import skops.io  # noqa: PLC0415 - only processes that load models need it

    try:
        return sorted(set(skops.io.get_untrusted_types(data=data)) - ALLOWED)
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        zipfile.BadZipFile,
    ):
        return []


def types(data: bytes) -> list[str]:
    """Return the allowed types that skops itself does not know, for the model's description."""
    import skops.io  # noqa: PLC0415 - only processes that write models need it

    return sorted(skops.io.get_untrusted_types(data=data))


def _bounded(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile:
        raise errors.InvalidInputError(
            f"{name} is no skops file",
            hint="pickled models are not loaded; register them again with skops",
        ) from None
    size = sum(part.file_size for part in parts)
    if size > MOST_BYTES or len(parts) > MOST_PARTS:
        raise errors.TooLargeError(
            f"{name} unpacks to {size} bytes in {len(parts)} parts; "
            f"{MOST_BYTES} bytes in {MOST_PARTS} parts are the most"
        )
