"""Who answers where exactly one model may: a challenger must prove that it is better.

Called by `learn` and `weights` for ``members = 1``. Averaging makes a wrong promotion
harmless; one model alone needs proof. What is proved holds however often one looks.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities
from homeostat.measures import evidence

SCALES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""One over differences in block loss, from .3 to .003."""
DOUBT = 0.5
"""Standard errors that the correlation of neighbouring blocks is taken above its estimate."""
MOST_CORRELATED = 0.9
FEW_BLOCKS = 3
"""Before so many blocks nothing is known of their correlation; the most is assumed."""
_NONE = (0.0, 0.0, 0.0, 0.0, 0.0)


def observe(
    state: entities.LoopState, event: entities.BlockLabelled, *, is_on: bool
) -> entities.LoopState:
    """Add a block's paired losses to every duel with the model that answers.

    Parameters
    ----------
    state
        Its `weights` name the one that answers.
    event
        Losses of members on rows they were not trained on.
    is_on
        Whether exactly one may answer; otherwise there are no duels.

    Returns
    -------
    LoopState
        With the duels after the block.

    Notes
    -----
    For each challenger ``exp(a S - phi a^2 V / 2)``, where ``S`` is the sum over blocks of
    ``d``, the loss of who answers less that of the challenger, ``V`` the sum of its squares,
    for each scale ``a``. With ``phi = 1`` the mean over the scales is an e-process for "given
    the past, ``d`` is symmetric around 0 or lower" [1]_ [2]_, and any ``phi >= 1`` keeps it
    one. A block is one observation, so that rows may depend on each other inside it; no bound
    and no variance has to be known. Where neighbouring blocks depend on each other too, the
    sum varies ``(1 + r) / (1 - r)`` times as much as ``V`` says, with ``r`` the correlation of
    neighbours [3]_: that is ``phi``, with ``r`` estimated and taken half a standard error
    higher, never below 0. The `k`-th challenger of a reign must reach ``k (k + 1) / error``,
    so that all of them together err with probability `error` at most.

    References
    ----------
    .. [1] V. H. de la Pena, "A general class of exponential inequalities for martingales
       and ratios", Annals of Probability 27, 1999.
    .. [2] A. Ramdas, P. Grunwald, V. Vovk and G. Shafer, "Game-theoretic statistics and
       safe anytime-valid inference", Statistical Science 38, 2023.
    .. [3] W. K. Newey and K. D. West, "A simple, positive semi-definite, heteroskedasticity
       and autocorrelation consistent covariance matrix", Econometrica 55, 1987, for long-run
       variances; here that of an autoregression of order one.
    """
    if not is_on:
        return structs.replace(state, duels=msgspec.UNSET)
    champion = _champion(state)
    duels = state.duels
    if duels is msgspec.UNSET or duels.champion != champion:
        duels = entities.Duels(champion=champion)
    if champion not in event.members:
        return structs.replace(state, duels=duels)
    order, wealth = duels.order, dict(duels.wealth)
    sums = {} if duels.sums is msgspec.UNSET else dict(duels.sums)
    for version, loss in event.members.items():
        if version == champion:
            continue
        if version not in wealth:
            order = (*order, version)
        gap = event.members[champion] - loss
        n, total, squares, products, last = sums.get(version, _NONE)
        now = (n + 1, total + gap, squares + gap * gap, products + gap * last, gap)
        sums[version] = now
        wealth[version] = _wealth(now)
    duels = structs.replace(duels, order=order, wealth=wealth, sums=sums)
    return structs.replace(state, duels=duels)


def dispersion(sums: tuple[float, ...]) -> float:
    """Return how many times as much a sum of differences varies as their squares say.

    Parameters
    ----------
    sums
        As `Duels` keeps them.

    Examples
    --------
    >>> round(dispersion((4.0, 0.0, 4.0, -3.0, 1.0)), 3), round(dispersion(_NONE), 3)
    (1.0, 19.0)
    """
    n, total, squares, products, _ = sums
    correlation = MOST_CORRELATED
    if n >= FEW_BLOCKS:
        mean = total / n
        around = max(squares / n - mean * mean, 1e-18)
        estimate = (products / (n - 1) - mean * mean) / around
        correlation = min(max(estimate + DOUBT / math.sqrt(n), 0.0), MOST_CORRELATED)
    return (1 + correlation) / (1 - correlation)


def _wealth(sums: tuple[float, ...]) -> tuple[float, ...]:
    _, total, squares, _, _ = sums
    phi = dispersion(sums)
    return tuple(a * total - phi * a * a * squares / 2 for a in SCALES)


def choose(state: entities.LoopState, ranked: list[str], *, error: float) -> str | None:
    """Say who answers alone.

    Parameters
    ----------
    state
        With `duels`.
    ranked
        Admitted members, the best discounted record first.
    error
        Chance of ever promoting one that is not better, in a reign.

    Returns
    -------
    str or None
        The emergency path: while the one who answers is proved to be below its own baseline
        (the harm alarm), the best record answers. Otherwise whoever has proved to be better,
        the best record of those; else nothing changes. None when nobody can answer.
    """
    champion = _champion(state)
    if not ranked:
        return None
    if champion not in ranked or state.harm_alert:
        return ranked[0]
    duels = state.duels
    if duels is msgspec.UNSET or duels.champion != champion:
        return champion
    proved = [
        version
        for place, version in enumerate(duels.order, start=1)
        if evidence.log_mean_exp(duels.wealth.get(version, (0.0,)))
        >= math.log(place * (place + 1) / error)
    ]
    return next((version for version in ranked if version in proved), champion)


def renamed(state: entities.LoopState, label: str, version: str) -> entities.LoopState:
    """Know a challenger by its version number from now on."""
    duels = state.duels
    if duels is msgspec.UNSET:
        return state
    duels = entities.Duels(
        champion=version if duels.champion == label else duels.champion,
        order=tuple(version if name == label else name for name in duels.order),
        wealth={version if n == label else n: w for n, w in duels.wealth.items()},
        sums=duels.sums
        if duels.sums is msgspec.UNSET
        else {version if n == label else n: each for n, each in duels.sums.items()},
    )
    return structs.replace(state, duels=duels)


def _champion(state: entities.LoopState) -> str:
    return max(state.weights, key=lambda version: state.weights[version])
