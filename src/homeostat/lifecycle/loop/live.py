"""The live loop of one deployment: windows, blocks and canaries in log order, for `duties`.

Everything here is reading, scoring and carrying out. What it means is `decide`'s alone, the
same as in a backtest. Each step is one transaction: the decision, what it asks for, and how far
the loop has come; whoever is killed between two steps goes on from the last one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import access, errors, log
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.alerting import watching
from homeostat.lifecycle.loop import (
    actions,
    aims,
    blaming,
    carrying,
    decide,
    entities,
    guarding,
    guards,
    members,
    observing,
    pacing,
    places,
    relearning,
    scoring,
    summarising,
)
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.monitoring import baseline, judge
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Deployment

STEPS_AT_MOST = 10_000

_log = log.get(__name__)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a step starts from, read in one transaction."""

    deployment: Deployment
    policy: Policy
    state: entities.LoopState
    place: places.Place


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of `Loop.advance` did."""

    windows: int = 0
    blocks: int = 0
    looks: int = 0
    pieces: int = 0


class Loop:
    """Advances deployments; keeps models and baselines in memory between steps.

    Parameters
    ----------
    house
        Open.
    actor
        A part of the system.
    scorer
        Shared with the exams.
    """

    def __init__(self, house: House, actor: access.Actor, scorer: scoring.Scorer) -> None:
        self._house = house
        self._actor = actor
        self.members = members.Members(house, actor, scorer)
        self._keeper = summarising.Keeper(house, actor)
        self._labels: dict[str, pl.DataFrame] = {}
        self._pacing = pacing.Pacing(house.settings)
        self._too_few: dict[str, tuple[int, places.Place]] = {}

    def advance(self, deployment: str) -> Advance:
        """Summarise rows, judge full windows, take in full blocks, look at the canary.

        Parameters
        ----------
        deployment
            Its name.

        Returns
        -------
        Advance
            How many steps were made.

        Raises
        ------
        ConflictError
            When another worker advances the same deployment; nothing is lost.
        """
        # The canary first: one that raises must be gone before anything is asked of it.
        return Advance(
            looks=int(self._watch_canary(deployment)),
            pieces=self._repeat(self._keeper.keep_up, deployment),
            windows=self._repeat(self._judge_window, deployment),
            blocks=self._repeat(self._take_block, deployment),
        )

    def _repeat(self, step: Callable[[str], bool], deployment: str) -> int:
        for count in range(STEPS_AT_MOST):
            if not step(deployment):
                return count
        return STEPS_AT_MOST

    def view(self, tx: Transaction, deployment: str) -> View:
        """Read what a step starts from; a deployment's first step begins its state."""
        found = serving.get_deployment(tx, self._actor, deployment)
        return View(
            deployment=found,
            policy=serving.get_policy(found),
            state=actions.state(tx, deployment),
            place=places.find(tx, deployment),
        )

    def record(
        self,
        tx: Transaction,
        seen: View,
        event: entities.Event,
        *,
        after: places.Place | None = None,
    ) -> None:
        """Decide on an event, carry it out, and go on; in one transaction."""
        name = seen.deployment.name
        carrying.tell(tx, self._actor, name, event, seen.policy)
        if after is not None:
            places.move(tx, name, before=seen.place, after=after)

    # --- windows ---------------------------------------------------------------------------

    def _judge_window(self, deployment: str) -> bool:
        def look(tx: Transaction) -> tuple[View, pl.DataFrame | None]:
            seen = self.view(tx, deployment)
            return seen, observing.window(
                self._house,
                tx,
                deployment,
                first_row=seen.place.judged_row,
                policy=seen.policy,
            )

        seen, rows = self._house.read(look)
        if rows is None:
            return False
        frozen = self._keeper.allowing(
            deployment,
            seen.deployment.model,
            self._baseline(seen),
            n_rows=rows.height,
            at=int(rows["served_at"][-1]),
        )
        judgement = observing.placed(
            judge.window(
                observing.features(rows),
                frozen,
                first_row=0,
                budget=observing.budget(seen.policy),
                tolerance=seen.policy.monitoring.tolerance,
            ),
            rows["row"].to_numpy(),
        )
        event = observing.window_event(judgement)
        after = msgspec.structs.replace(seen.place, judged_row=judgement.end_row)

        def write(tx: Transaction) -> None:
            monitoring.save_window(tx, self._actor, deployment, judgement)
            watching.see_window(tx, self._actor, deployment, judgement)
            self.record(tx, seen, event, after=after)

        self._house.write(write)
        return True

    def _baseline(self, seen: View) -> baseline.Baseline:
        """Return the baseline of the version that answers most."""
        answering = seen.state.stable
        number = int(max(answering, key=lambda version: answering[version]))

        found = self._keeper.baseline(seen.deployment.model, str(number))
        if found is None:
            raise errors.NotFoundError(f"version {number} has no baseline")
        return found

    # --- blocks ----------------------------------------------------------------------------

    def _take_block(self, deployment: str) -> bool:
        seen, rows = self._house.read(lambda tx: self._next_block(tx, deployment))
        if rows is None:
            return False
        event = self._block_event(seen, rows)
        after = msgspec.structs.replace(seen.place, block_row=event.end_row)
        rollout = seen.state.rollout
        canary = None if rollout is None else self._paired(seen, observing.dealt(rows))

        def write(tx: Transaction) -> None:
            self.record(tx, seen, event, after=after)
            now = actions.state(tx, deployment).rollout
            # The block may have ended that canary and begun another one.
            if canary and rollout and now and now.entrants == rollout.entrants:
                self.record(tx, seen, canary)

        self._house.write(write)
        return True

    def _next_block(self, tx: Transaction, deployment: str) -> tuple[View, pl.DataFrame | None]:
        """Read the next block, or None while there are too few labels for one."""
        seen = self.view(tx, deployment)
        known = self.known_labels(tx, deployment)
        if self._too_few.get(deployment) == (known.height, seen.place):
            return seen, None
        n_block = seen.policy.retraining.block
        rows = observing.labelled(
            self._house,
            tx,
            deployment,
            rows=(seen.place.block_row, seen.place.judged_row),
            without=seen.state.quarantined,
            known=known,
            at_most=n_block,
        )
        if rows.height < n_block:
            self._too_few[deployment] = (known.height, seen.place)
            return seen, None
        return seen, rows

    def known_labels(self, tx: Transaction, deployment: str) -> pl.DataFrame:
        """Return all labels of a deployment; only those that are new are read."""
        before = self._labels.get(deployment)
        first = 0 if before is None else before.height
        fresh = read.labels(self._house, tx, deployment, first_label=first)
        known = fresh if before is None else pl.concat([before, fresh])
        self._labels[deployment] = known
        return known

    def _block_event(self, seen: View, rows: pl.DataFrame) -> entities.BlockLabelled:
        first, end = int(rows["row"][0]), int(rows["row"][-1]) + 1
        pool = [member.version for member in seen.state.members]
        aim = self.members.aim(seen.deployment, pool, rows)
        truth = aims.truth(rows[observing.LABEL], aim)
        losses = {}
        for member in seen.state.members:
            if member.rows[0] < end and member.rows[1] > first:
                continue
            try:
                scores = self.members.placed(seen.deployment, member.version, rows, aim=aim)
            except (errors.ConflictError, errors.UnavailableError):
                raise
            except errors.HomeostatError as error:
                # A model that raises or no longer loads has no record here; the others have.
                _log.warning("member cannot be scored", member=member.version, error=str(error))
                continue
            losses[member.version] = aims.loss(scores, truth, aim)
        share, each = aims.wrong(rows, truth, aim)
        event = entities.BlockLabelled(
            first_row=first,
            end_row=end,
            n_rows=rows.height,
            error=share,
            mixture=aims.loss(aims.said(rows, aim), truth, aim),
            members=losses,
            losses=msgspec.UNSET if each is None else tuple(each.tolist()),
            sureness=aims.sure(rows, truth, aim),
            promised=self.members.promised(seen.deployment, seen.state),
        )
        if aim.task == "binary" and relearning.may_correct(seen.deployment, seen.policy):
            event = relearning.judged(
                self._house,
                self._actor,
                seen.deployment,
                event,
                rows=rows,
                truth=truth,
                aim=aim,
            )
        foreseen = decide.foreseen_harm(seen.state, event)
        if foreseen is None:
            return event
        return blaming.blamed(
            self._house,
            self._actor,
            seen.deployment.name,
            event=event,
            rows=rows,
            accepted=foreseen.accepted,
            frozen=self._baseline(seen),
            aim=aim,
        )

    # --- canary ----------------------------------------------------------------------------

    def _paired(self, seen: View, rows: pl.DataFrame) -> entities.RolloutObserved:
        """Compare the canary's composite with the stable one on freshly labelled rows."""
        first = seen.state.members[0].version
        asked = dict.fromkeys((first, *seen.state.weights, *seen.state.stable))
        aim = self.members.aim(seen.deployment, list(asked), rows)
        truth = aims.truth(rows[observing.LABEL], aim)
        losses, chances = [], []
        try:
            for weights in (seen.state.weights, seen.state.stable):
                chance = sum(
                    weight * self.members.placed(seen.deployment, label, rows, aim=aim)
                    for label, weight in weights.items()
                )
                chances.append(np.asarray(chance))
                losses.append(aims.losses(chances[-1], truth, aim))
        except errors.UserCodeError as error:
            _log.warning("canary cannot be compared", error=str(error))
            return entities.RolloutObserved(n_failed=rows.height)
        of_two = (chances[0], chances[1]) if aim.task == "binary" else None
        guarded = guarding.values(rows, (losses[0], losses[1]), of_two, policy=seen.policy)
        return entities.RolloutObserved(
            paired=tuple((losses[0] - losses[1]).tolist()), guarded=guarded or msgspec.UNSET
        )

    def _slowness(self, seen: View) -> dict[str, tuple[float, ...]] | msgspec.UnsetType:
        """Return which batches of the canary were too slow, where its latency is guarded."""
        if seen.state.rollout is None:
            return msgspec.UNSET
        name, generation = seen.deployment.name, seen.deployment.plan.generation
        found = self._pacing.values(
            name, seen.state.rollout, seen.policy, generation=generation
        )
        return {guards.LATENCY: found} if found else msgspec.UNSET

    def _watch_canary(self, deployment: str) -> bool:
        """Count what the canary answered and failed since the last look."""

        def look(tx: Transaction) -> tuple[View, pl.DataFrame, dict[str, int]]:
            seen = self.view(tx, deployment)
            rows = read.predictions(
                self._house,
                tx,
                deployment,
                first_row=seen.place.canary_row,
                columns=("row", "arm", "answered", "generation"),
            )
            generation = seen.deployment.plan.generation
            return (
                seen,
                rows,
                read.count_failed(tx, deployment, arm=plans.CANARY, generation=generation),
            )

        seen, rows, failed = self._house.read(look)
        place, generation = seen.place, seen.deployment.plan.generation
        if place.canary_generation != generation:  # what an earlier canary did is its own
            place = msgspec.structs.replace(
                place, canary_failed=0, canary_not_finite=0, canary_not_loaded=0
            )
        # Failures and answers come in the same segments: both are counted to the log's end.
        after = msgspec.structs.replace(
            place,
            canary_row=place.canary_row if rows.is_empty() else int(rows["row"][-1]) + 1,
            canary_generation=generation,
            canary_failed=sum(failed.get(kind, 0) for kind in ("raised", "shape")),
            canary_not_finite=failed.get("not-finite", 0),
            canary_not_loaded=failed.get("load", 0),
        )
        if after == seen.place:
            return False
        by_canary = (pl.col("arm") == plans.CANARY) & pl.col("answered")
        answered = rows.filter(by_canary & (pl.col("generation") == generation)).height
        event = entities.RolloutObserved(
            n_answered=answered,
            n_failed=after.canary_failed - place.canary_failed,
            n_not_finite=after.canary_not_finite - place.canary_not_finite,
            n_not_loaded=after.canary_not_loaded - place.canary_not_loaded,
            guarded=self._slowness(seen),
        )
        is_news = seen.state.rollout is not None and event != entities.RolloutObserved()

        def write(tx: Transaction) -> None:
            if is_news:
                self.record(tx, seen, event, after=after)
            else:
                places.move(tx, deployment, before=seen.place, after=after)

        self._house.write(write)
        return is_news
