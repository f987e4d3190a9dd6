"""How much each column moved an answer: exact where a model allows, else drawn; for `explain`.

A way of explaining is taken only after it was proved on the version's own example: the margin
it starts from must give the scores that the model answers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors, log
from homeostat.lifecycle.explanations import (
    boosted,
    entities,
    forests,
    histogram,
    linear,
    numbers,
    original,
    origins,
    sampled,
    told,
)
from homeostat.lifecycle.registry import scored

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]

TOLERANCE = 1e-6
_BACKGROUND_ROWS = 10
_log = log.get(__name__)


def chance(margins: Floats) -> Floats:
    """Return the probability of log-odds."""
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(margins, -700.0, 700.0)))
    return found


class Parts(NamedTuple):
    """Contributions of a model's columns to `space` of the positive class.

    `values` has shape ``(rows, columns)``, `margins`, `scores` and `gaps` ``(rows,)``: what
    the model itself says in that space, the same as probability, and how far ``base + sum`` is
    from the former.
    """

    names: tuple[str, ...]
    base: float
    values: Floats
    margins: Floats
    scores: Floats
    gaps: Floats
    method: str
    space: entities.Space


class Explainer:
    """Explains one version, the same way each time.

    Parameters
    ----------
    of
        The original estimator.

    Attributes
    ----------
    of
        As given.
    method
        ``linear``, ``tree paths``, ``lightgbm``, ``xgboost``, which are exact, or ``sampled``.
    """

    def __init__(self, of: original.Original) -> None:
        self.of = of
        self._origins = origins.origins(of.before, of.names)
        self._exact = self._proved()
        self.method = sampled.METHOD if self._exact is None else self._exact.method

    def parts(self, rows: Columns) -> Parts:
        """Explain rows.

        Parameters
        ----------
        rows
            Columns by name, 1 row or more; a category that is not known is explained as the
            model takes it.

        Returns
        -------
        Parts
            Values of one-hot columns and missing flags are summed into the column they were
            made of.

        Raises
        ------
        UserCodeError
            When the model raises.
        """
        of = self.of
        if self._exact is None:
            found = sampled.tell(
                of.scores,
                rows,
                names=of.names,
                background=_first(of.description.example),
                space="value" if of.description.task == "regression" else "log-odds",
            )
            values = found.values
        else:
            found = self._turned(self._tell(self._exact, rows))
            values = self._summed(found.values)
        base, margins = found.base, found.margins
        scores = chance(margins) if found.space == "log-odds" else margins
        gaps = np.abs(base + values.sum(axis=1) - margins)
        return Parts(of.names, base, values, margins, scores, gaps, self.method, found.space)

    def of_classes(self, rows: Columns) -> dict[str, Parts]:
        """Explain the probability of every class, of a model of several.

        Parameters
        ----------
        rows
            As for `parts`.

        Returns
        -------
        dict
            Parts by class, in ``probability``; estimates whose sum is exact.
        """
        of = self.of
        base, values, margins = sampled.walked(
            of.scores, rows, names=of.names, background=_first(of.description.example)
        )
        found = {}
        for at, name in enumerate(of.description.classes):
            own, told_of = values[:, :, at], margins[:, at]
            gaps = np.abs(base[at] + own.sum(axis=1) - told_of)
            found[name] = Parts(
                of.names,
                float(base[at]),
                own,
                told_of,
                told_of,
                gaps,
                sampled.METHOD,
                "probability",
            )
        return found

    def _turned(self, found: told.Told) -> told.Told:
        """Return what was said of the second class, of the positive one."""
        if self.of.sign > 0:
            return found
        whole = 0.0 if found.space == "log-odds" else 1.0
        return told.Told(whole - found.base, -found.values, whole - found.margins, found.space)

    def _tell(self, way: told.Telling, rows: Columns) -> told.Told:
        try:
            return way.tell(self.of.inputs(rows))
        except errors.HomeostatError:
            raise
        except Exception as error:
            said = str(error).strip().partition("\n")[0]
            raise errors.UserCodeError(
                f"the model raised {type(error).__name__}: {said}",
                hint="score the same rows in the pipeline to see it there",
            ) from error

    def _summed(self, values: Floats) -> Floats:
        made = np.zeros((len(values), len(self.of.names)))
        for at, source in enumerate(self._origins or ()):
            made[:, source] += values[:, at]
        return made

    def _proved(self) -> told.Telling | None:
        """Return the exact way, if it gives the model's own scores on its example."""
        of = self.of
        about = of.description
        is_number = about.task == "regression"
        if self._origins is None or (len(about.classes) != 2 and not is_number):  # noqa: PLR2004
            return None
        example = _first(of.description.example, n=sys.maxsize)
        try:
            way = (
                numbers.exact(of.last, _means(of, example))
                if is_number
                else _exact(of, example)
            )
            if way is None:
                return None
            found = way.tell(of.inputs(example))
            if found.values.shape[1] != len(self._origins):
                return None
            gaps = np.abs(found.base + found.values.sum(axis=1) - found.margins)
            said = self._turned(found)
            scores = chance(said.margins) if said.space == "log-odds" else said.margins
            own = of.scores(example)
            far = np.abs(scores - own).max()
            most = TOLERANCE * max(1.0, scored.size(own, about))
        except Exception as error:  # noqa: BLE001 - whatever it is, there is another way
            _log.warning("no exact explanation", why=f"{type(error).__name__}: {error}")
            return None
        return way if gaps.max() <= most and far <= most else None


def _exact(of: original.Original, example: Columns) -> told.Telling | None:
    """Return the exact way of explaining the last step, where there is one."""
    last = of.last
    kind = type(last).__name__
    module = type(last).__module__
    if kind == "HistGradientBoostingClassifier":
        return histogram.Histogram(last)
    if kind in forests.FORESTS or kind == forests.BOOSTED:
        return forests.Forest(last)
    if kind == "LGBMClassifier":
        return boosted.LightGbm(last.predict_proba)
    if kind == "XGBClassifier":
        return boosted.XgBoost(
            last.get_booster(),
            missing=last.missing,
            enable_categorical=bool(last.enable_categorical),
        )
    if module.startswith("homeostat.") and hasattr(last, "_booster"):
        booster = last._booster  # noqa: SLF001 - our own wrapper of a native file
        is_light = type(booster).__module__.startswith("lightgbm")
        return boosted.LightGbm(booster.predict) if is_light else boosted.XgBoost(booster)
    if np.shape(getattr(last, "coef_", ()))[:1] == (1,) and hasattr(last, "decision_function"):
        return linear.Linear(last, _means(of, example))
    return None


def _means(of: original.Original, example: Columns) -> Floats:
    """Return the mean of what the last step is given: of the training rows, or the example."""
    reference = of.description.reference
    width = int(of.last.n_features_in_)
    if reference is not None and len(reference.means) == width:
        return np.asarray(reference.means)
    means: Floats = np.asarray(of.inputs(example), dtype=np.float64).mean(axis=0)
    return means


def _first(example: Columns, n: int = _BACKGROUND_ROWS) -> dict[str, Sequence[Any]]:
    return {name: values[:n] for name, values in example.items()}
