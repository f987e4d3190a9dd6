"""How frequent the classes are in rows without labels; monitoring tells prior shift by it."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import noise

Floats = NDArray[np.float64]

_STEPS = 2000
_ENOUGH = 1e-9
_TINY = 1e-12


class Priors(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the classes, before and now.

    `standard_errors` are those of `current` for the rows seen, as far as these depend on each
    other; `p_value` is the chance of at least this much evidence when the shares have not
    changed (likelihood ratio).
    """

    reference: tuple[float, ...]
    current: tuple[float, ...]
    standard_errors: tuple[float, ...]
    p_value: float
    n_rows: int


def estimate(
    probabilities: Floats,
    reference: Floats,
    *,
    n_reference: int = 0,
    series: noise.Design | None = None,
) -> Priors:
    """Estimate the shares of the classes among unlabelled rows.

    Parameters
    ----------
    probabilities
        Shape ``(n, k)``, n >= 1: calibrated probabilities of the classes, rows adding to 1,
        or ``(n,)`` of the positive one of two classes.
    reference
        Shape ``(k,)``: shares of the classes where the probabilities were calibrated, each
        above 0 (for ``(n,)``: those of negative and positive).
    n_reference
        Labelled rows that the shares of the reference were counted in; 0: they are known.
    series
        How strongly the probabilities depend on the row before, from `noise.design`;
        independent when None.

    Returns
    -------
    Priors
        By maximum likelihood.

    Raises
    ------
    ValueError
        When shapes do not fit, or shares are not above 0.

    Notes
    -----
    Expectation-maximisation on the shares alone [1]_. Right when only the shares of the
    classes moved and the rows within a class look as before (prior shift), and probabilities
    were calibrated. The error is from the curvature of the likelihood; for more than two
    classes each share is taken on its own.

    The likelihood ratio grows by the variance of the sum of the rows' slopes, which is as many
    times that of independent rows as `series` says, and by what the shares of the reference
    may be off, ``p (1 - p) / n_reference`` (the largest of the classes) over the square of the
    error: it is divided by both [3]_. Measured at a memory of .8 from row to row:
    tests/unit/measures/test_noise.py.

    References
    ----------
    .. [1] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier
       to new a priori probabilities", Neural Computation 14, 2002.
    .. [2] A. Alexandari, A. Kundaje and A. Shrikumar, "Maximum likelihood with bias-corrected
       calibration is hard-to-beat at label shift adaptation", ICML 2020.
    .. [3] J. T. Kent, "Robust properties of likelihood ratio tests", Biometrika 69, 1982.

    Examples
    --------
    >>> found = estimate(np.array([0.9, 0.8, 0.1, 0.9] * 50), np.array([0.5, 0.5]))
    >>> round(found.current[1], 2), found.p_value < 0.01
    (0.8, True)
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim == 1:
        p = np.column_stack([1 - p, p])
    before = np.asarray(reference, dtype=np.float64)
    if p.ndim != 2 or not len(p) or before.shape != p.shape[1:] or before.min() <= 0:  # noqa: PLR2004
        msg = f"need rows of probabilities and shares above 0; got {p.shape}, {before.tolist()}"
        raise ValueError(msg)
    before = before / before.sum()
    ratios = p / before  # likelihood of a row in each class, up to a factor of its own
    current = before.copy()
    for _ in range(_STEPS):
        joint = ratios * current
        updated = (joint / np.maximum(joint.sum(axis=1, keepdims=True), _TINY)).mean(axis=0)
        done = float(np.abs(updated - current).max()) < _ENOUGH
        current = updated
        if done:
            break
    mixed = np.maximum(ratios @ current, _TINY)
    old = np.maximum(ratios @ before, _TINY)
    evidence = 2 * float(np.sum(np.log(mixed) - np.log(old)))
    design = (series or noise.Design()).joined(len(before) - 1)
    errors = _errors(ratios, current, mixed)
    evidence /= 1 + _of_the_reference(before, errors, n_reference)
    return Priors(
        reference=tuple(before.tolist()),
        current=tuple(current.tolist()),
        standard_errors=tuple(each * math.sqrt(design.effect) for each in errors),
        p_value=noise.chi_square_tail(max(0.0, evidence), len(before) - 1, design),
        n_rows=len(p),
    )


def _of_the_reference(before: Floats, errors: tuple[float, ...], n: int) -> float:
    """Variance of the reference's shares over that of the current ones; 0 of known ones."""
    if not n:
        return 0.0
    shares = zip(before.tolist(), errors, strict=True)
    return max(float(p * (1 - p) / n / (error * error)) for p, error in shares)


def _errors(ratios: Floats, current: Floats, mixed: Floats) -> tuple[float, ...]:
    """Move one share against all others in proportion; the information is the mean square."""
    found = []
    for k, share in enumerate(current.tolist()):
        rest = (mixed - ratios[:, k] * share) / max(1 - share, _TINY)
        slope = (ratios[:, k] - rest) / mixed
        information = float(slope @ slope)
        found.append(1 / math.sqrt(information) if information > 0 else math.inf)
    return tuple(found)
