"""What a policy would have done on a history: test-then-train through the live `decide`.

Called by `homeostat backtest`. Each batch is answered before its labels are known; labels
come `label_delay` rows later. Unless asked to live through them, gates and canary are taken as
passed: what is replayed is which model the loop would have fitted, when, and how much it would
have been listened to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import structs

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.loop import clocked, estimators, history, looped, prequential, testbed
from homeostat.lifecycle.policy import entities as policies

Progress = Callable[[int, int], None]
WINDOW_ROWS = 4000
"""Rows that ``cron`` and ``every-batch`` learn from; a refresh of the loop takes as many."""
LOOPS = ("loop", "composite")
SMALLEST_BATCH = 20
LARGEST_SEED = 2**32 - 1


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy did; the fields are the keys of ``--json``.

    `fits` counts the fits after the first; `labels_used` the rows whose label was used, the
    warm-up included. `kappa_temporal` is None where the previous label is never wrong. Of a
    regression `r2` is set, and what is said of classes is None. `entered` is set where the loop
    lived through gates, canaries and clocks.
    """

    rows_scored: int
    accuracy: float | None
    log_loss: float | None
    kappa_temporal: float | None
    previous_label_accuracy: float | None
    fits: int
    corrector_fits: int
    promotions: tuple[testbed.Promotion, ...]
    alarms: tuple[testbed.Alarm, ...]
    labels_used: int
    wall_s: float
    strategy: str
    r2: float | msgspec.UnsetType = msgspec.UNSET
    entered: testbed.Entered | msgspec.UnsetType = msgspec.UNSET

    @property
    def score(self) -> float:
        """Accuracy, or R squared of a regression: what strategies are compared by."""
        if self.r2 is not msgspec.UNSET:
            return self.r2
        assert self.accuracy is not None, "classes were answered"
        return self.accuracy


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's outcome, the score of each batch, and the rows where fits were made.

    `fit_s` are the seconds that fits took, the first one's and the correctors' included.
    """

    outcome: Outcome
    batches: tuple[float, ...]
    fit_rows: tuple[int, ...]
    fit_s: float


def run(
    rows: history.History,
    policy: policies.Policy,
    *,
    batch: int = 200,
    label_delay: int = 0,
    strategy: str = "loop",
    seed: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Answer a history with a strategy.

    Parameters
    ----------
    rows
        From `history.prepare`.
    policy
        What `loop` follows; its block is replaced by `batch`.
    batch
        Rows answered at once, and labelled rows judged at once; 20 or more.
    label_delay
        Rows after which a label is known, 0 or more.
    strategy
        ``loop``; ``composite``, the loop without its corrector; ``static``, the first model for
        ever; ``cron:K``, a fit on the last 4000 labelled rows after every K batches;
        ``every-batch``, a fit after each batch on the last 4000 labelled rows or on all,
        whichever turned out better.
    seed
        Of the estimators, 0 to 4294967295.
    progress
        Is told rows answered and rows to answer.

    Returns
    -------
    Outcome
        The same for the same arguments, `wall_s` apart.

    Raises
    ------
    InvalidInputError
        When an option is out of range, or the strategy is not known.
    """
    return live(
        rows,
        policy,
        batch=batch,
        label_delay=label_delay,
        strategy=strategy,
        seed=seed,
        progress=progress,
    ).outcome


def live(
    rows: history.History,
    policy: policies.Policy,
    *,
    batch: int = 200,
    label_delay: int = 0,
    strategy: str = "loop",
    seed: int = 0,
    enters: bool = False,
    progress: Progress | None = None,
) -> Lived:
    """Answer a history with a strategy and tell batch by batch how it went; see `run`.

    With `enters` newcomers of a loop go through gates and canary, and clocks by the dates of
    the rows; see `entering`.
    """
    _check(rows, batch=batch, label_delay=label_delay)
    if not 0 <= seed <= LARGEST_SEED:
        raise InvalidInputError(f"a seed is 0 to {LARGEST_SEED}; got {seed}")
    started = time.perf_counter()
    bed = testbed.Testbed(rows, batch=batch, label_delay=label_delay, seed=seed)
    with estimators.one_thread():
        found, answers = _answered(
            bed, policy, strategy=strategy, enters=enters, progress=progress
        )
    outcome = Outcome(
        **structs.asdict(found),
        fits=answers.fits,
        corrector_fits=answers.corrector_fits,
        promotions=answers.promotions,
        alarms=answers.alarms,
        labels_used=answers.labels_used,
        wall_s=time.perf_counter() - started,
        strategy=strategy,
        entered=answers.entered or msgspec.UNSET,
    )
    return Lived(
        outcome=outcome,
        batches=prequential.by_batch(rows, answers.chances, batch=batch),
        fit_rows=answers.fit_rows,
        fit_s=bed.fit_s,
    )


def policy_for(target: str, *, task: str | None = None) -> policies.Policy:
    """Return the policy a backtest follows when none is given: harm and plain refreshes."""
    kind: Literal["classification", "regression"] = (
        "regression" if task == "regression" else "classification"
    )
    return policies.Policy(
        model=policies.Model(name="backtest", target=target, task=kind),
        retraining=policies.Retraining(on=("harm", "refresh")),
    )


def check_strategy(strategy: str) -> None:
    """Refuse a strategy that is not known.

    Raises
    ------
    InvalidInputError
        When it is none of those that `run` takes.
    """
    if strategy not in {*LOOPS, "every-batch"}:
        _period(strategy)


def _answered(
    bed: testbed.Testbed,
    policy: policies.Policy,
    *,
    strategy: str,
    enters: bool,
    progress: Progress | None,
) -> tuple[prequential.Scores, testbed.Answers]:
    if strategy == "every-batch":
        return _better(bed, progress)
    if strategy in LOOPS:
        answers = looped.answer(
            bed,
            _sized(policy, batch=bed.batch, is_at_once=not enters),
            has_corrector=strategy == "loop",
            enters=enters,
            progress=progress,
        )
    else:
        every = _period(strategy)
        answers = clocked.answer(bed, every=every, window=WINDOW_ROWS, progress=progress)
    return _scores(bed, answers), answers


def _sized(policy: policies.Policy, *, batch: int, is_at_once: bool) -> policies.Policy:
    rollout = policy.rollout
    if is_at_once:
        rollout = structs.replace(rollout, strategy="blue-green")
    sized = structs.replace(policy.retraining, block=batch)
    return structs.replace(policy, retraining=sized, rollout=rollout)


def _better(
    bed: testbed.Testbed, progress: Progress | None
) -> tuple[prequential.Scores, testbed.Answers]:
    """Refit after each batch on recent rows and on all rows; the better one counts."""
    both = [
        clocked.answer(bed, every=1, window=window, progress=progress)
        for window in (WINDOW_ROWS, None)
    ]
    scored = [(_scores(bed, answers), answers) for answers in both]
    return max(scored, key=lambda pair: pair[0].score)


def _scores(bed: testbed.Testbed, answers: testbed.Answers) -> prequential.Scores:
    return prequential.measured(bed.rows, answers.chances, delay=bed.label_delay)


def _period(strategy: str) -> int | None:
    """Return the batches between two fits; None for never."""
    if strategy == "static":
        return None
    name, _, number = strategy.replace("-", ":").partition(":")
    if name == "cron" and number.isdigit() and int(number) > 0:
        return int(number)
    raise InvalidInputError(
        f"there is no strategy '{strategy}'",
        hint="choose loop, composite, static, every-batch or cron:K, K batches between fits",
    )


def _check(rows: history.History, *, batch: int, label_delay: int) -> None:
    n_after = len(rows.labels) - rows.warmup
    if batch < SMALLEST_BATCH:
        raise InvalidInputError(f"a batch needs {SMALLEST_BATCH} rows or more; got {batch}")
    if label_delay < 0:
        raise InvalidInputError(f"labels cannot come before their rows; got {label_delay}")
    if n_after < batch:
        raise InvalidInputError(
            f"{n_after} rows are left after the warm-up; one batch of {batch} is needed",
            hint="give more rows, or choose a smaller --batch or --warmup",
        )
