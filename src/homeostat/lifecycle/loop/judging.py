"""Judges a version that came unjudged, such as one that MLflow's client registered.

Nothing is fitted: labelled rows are scored in a process of their own, the gates look at them,
and report, description and baseline are attached to the version. `ask` is for the doors, the
rest for the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, errors, jobs
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import intake, tables
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.loop import aims, apart, candidates, gating, scoring
from homeostat.lifecycle.loop.asking import Trained
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted, adoptions, files
from homeostat.lifecycle.registry.entities import Description, Version

JUDGE = "judge"
CHAMPION = "champion"
_OUTCOMES: dict[str, type] = {"binary": bool, "multiclass": np.intp, "regression": float}


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """Judge a version: the text of a homeostat.toml, and the snapshot of labelled rows."""

    policy: str
    snapshot: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A version to be judged, as a worker is told."""

    model: str
    number: int
    policy: str
    snapshot: str


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What the process apart has seen, and who is served now, on the same rows."""

    packed: candidates.Packed
    description: Description
    described: str
    examined: gating.Examined
    champion: str


def ask(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    asked: Judge,
    told: bytes | None,
) -> jobs.Job:
    """Ask a worker to judge a version on labelled rows.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    model, number
        Which version.
    asked
        Under which policy, on which rows.
    told
        The version's file `MLmodel`; None when it has none.

    Returns
    -------
    Job
        Its result will be a `Trained`.

    Raises
    ------
    InvalidInputError
        When the policy cannot be understood, is of another model, or names a column the
        snapshot has not; or no process could load the version.
    NotFoundError
        When there is no such version or snapshot.
    ConflictError
        When the version came with a report of its own, or was approved on one.
    NotAllowedError
        When the version is pickled and nobody has marked it as trusted.
    """
    access.require(actor, "model.register")
    policy = policies.parse(asked.policy, where="the policy")
    if policy.model.name != model:
        raise errors.InvalidInputError(
            f"the policy is of model {policy.model.name!r}, not of {model!r}",
            hint="name its file with --policy",
        )
    version = registry.get_version(tx, actor, model, number)
    adoptions.need_open(version, adopted.find(tx, model, number))
    columns = [one.name for one in data.find_snapshot(tx, actor, asked.snapshot).schema.columns]
    tables.need_column(columns, policy.model.target, role="target")
    for name in policy.data.protected:  # else fairness would go unjudged without a word
        tables.need_column(columns, name, role="protected")
    adoptions.need_trust(tx, actor, version, told=told)
    payload = Judgement(
        model=model, number=number, policy=asked.policy, snapshot=asked.snapshot
    )
    return jobs.enqueue(tx, actor, JUDGE, payload=msgspec.to_builtins(payload), max_attempts=2)


class Judging:
    """What a worker does to judge a version.

    Parameters
    ----------
    house
        Open.
    actor
        A part of the system.
    scorer
        Shared with the loop.
    """

    def __init__(self, house: House, actor: access.Actor, scorer: scoring.Scorer) -> None:
        self._house = house
        self._actor = actor
        self._scorer = scorer

    def judge(self, job: jobs.Job) -> Callable[[Transaction], Any]:
        """Score labelled rows apart, and return what attaches the judgement.

        Raises
        ------
        UserCodeError
            When the model raises, hangs or crashes.
        InvalidInputError
            When model and rows do not fit.
        NotAllowedError
            When it is pickled and nobody trusts it any more.
        """
        asked = msgspec.convert(job.payload, Judgement)
        policy = policies.parse(asked.policy, where="the policy of this job")

        def look(tx: Transaction) -> tuple[Version, bool, Snapshot]:
            return (
                registry.get_version(tx, self._actor, asked.model, asked.number),
                adopted.is_trusted(tx, asked.model, asked.number),
                data.find_snapshot(tx, self._actor, asked.snapshot),
            )

        version, is_trusted, snapshot = self._house.read(look)
        rows = intake.read_snapshot(self._house, snapshot)
        seen = self._learn(version, policy, rows, snapshot=snapshot, is_trusted=is_trusted)
        asker = access.Actor(job.created_by, access.Role.CONTRIBUTOR, access.Kind.PERSON)
        return lambda tx: self._attach(tx, asker, version, policy=policy, seen=seen)

    def _learn(
        self,
        version: Version,
        policy: Policy,
        rows: pl.DataFrame,
        *,
        snapshot: Snapshot,
        is_trusted: bool,
    ) -> Learned:
        if policy.data.time:
            rows = rows.sort(policy.data.time, maintain_order=True)
        learned = apart.learn(
            apart.Learn(
                files=files.fetch(self._house, version),
                rows=apart.packed(rows),
                target=policy.model.target,
                apart=_apart(policy),
                is_trusted=is_trusted,
                is_regression=policy.model.task == "regression",
            )
        )
        description = msgspec.json.decode(learned.description, type=Description)
        rows = rows.filter(pl.Series(np.frombuffer(learned.labelled, np.uint8) == 1))
        scores, aim = apart.shaped(learned.scores, description), aims.of([description])
        truth: NDArray[Any] = np.frombuffer(learned.truth, dtype="<f8").astype(
            _OUTCOMES[aim.task]
        )
        frozen = candidates.freeze_scored(
            rows, scores, truth, names=description.schema.names, aim=aim
        )
        owner = f"model:{version.model}"
        packed = candidates.Packed(
            files=version.files,
            digest=version.digest,
            schema=description.schema,
            baseline=self._house.put_blob(owner, baseline.encode(frozen)).digest,
            run_id=version.run_id,
            snapshot=snapshot.reference,
            latency_p99_ms=learned.latency_p99_ms,
        )
        champion = self._champion(version)
        examined = gating.examine(
            packed,
            policy,
            aim=aim,
            truth=truth,
            scores=scores,
            champion=None if champion is None else self._served(champion, rows, aim),
            protected=gating.protected(policy, rows),
            rows=f"{rows.height} rows of {snapshot.reference}",
            table=rows,
        )
        return Learned(
            packed=packed,
            description=description,
            described=self._house.put_blob(owner, learned.description).digest,
            examined=examined,
            champion="" if champion is None else champion.reference,
        )

    def _champion(self, version: Version) -> Version | None:
        """Return the version that answers now, where it is another one."""

        def look(tx: Transaction) -> Version | None:
            for alias in registry.list_aliases(tx, self._actor, version.model):
                is_other = alias.number not in {None, version.number}
                if alias.alias == CHAMPION and is_other and alias.number is not None:
                    return registry.get_version(tx, self._actor, version.model, alias.number)
            return None

        return self._house.read(look)

    def _served(self, champion: Version, rows: pl.DataFrame, aim: aims.Aim) -> Any:
        """Return the champion's scores; None where it cannot be asked about these rows."""
        how = self._house.read(lambda tx: adopted.loadable(tx, champion))
        try:
            asked = self._scorer.predictor(how)
            about = asked.description
            is_known = aim.task != "multiclass" or set(about.classes) <= set(aim.classes)
            if about.task != aim.task or not is_known:
                return None
            return aims.placed(asked.scores(rows), about, aim)
        except (errors.UserCodeError, errors.InvalidInputError, errors.NotAllowedError):
            return None

    def _attach(
        self,
        tx: Transaction,
        actor: access.Actor,
        version: Version,
        *,
        policy: Policy,
        seen: Learned,
    ) -> dict[str, Any]:
        report = gating.save(
            tx, actor, seen.examined, packed=seen.packed, policy=policy, champion=seen.champion
        )
        adoption = adopted.Adoption(
            model=version.model,
            number=version.number,
            place=0,
            loader=seen.description.loader,
            description=seen.described,
            baseline=seen.packed.baseline,
            owner=f"model:{version.model}",
            schema=seen.packed.schema,
            report_id=report.id,
            snapshot=seen.packed.snapshot,
            actor=actor.name,
            at=tx.at,
        )
        adoptions.attach(tx, actor, adoption)
        told: dict[str, Any] = msgspec.to_builtins(
            Trained(
                model=version.model,
                report=report.id,
                verdict=report.verdict,
                sentence=report.judged.sentence,
                version=version.number,
                run=version.run_id,
            )
        )
        return told


def _apart(policy: Policy) -> tuple[str, ...]:
    """Return the columns that are no features where the model does not name its own."""
    named = (policy.model.key, policy.data.time, *policy.data.protected)
    return tuple(dict.fromkeys(name for name in named if name))
