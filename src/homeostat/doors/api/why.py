"""Why a prediction or decision is as it is, and what came of data; asked by `why`."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import access, errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import actions as corrections
from homeostat.lifecycle.data import actions as snapshots
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.pipeline import actions as pipeline
from homeostat.lifecycle.predictions import finding, segments
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import consequences
from homeostat.lifecycle.serving.entities import PlanChange
from homeostat.lifecycle.serving.plan import SHADOW
from homeostat.lifecycle.tracking import actions as tracking

FACT = str | int | float | bool | None
EDGES = 50
_TOLD = (
    "id",
    "arm",
    "version",
    "generation",
    "propensity",
    "score",
    "served_score",
    "corrections",
    "answered",
    "row",
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on the way back: what it is, in words, and what is known of it."""

    reference: str
    sentence: str
    at: int | None = None
    facts: dict[str, FACT] = {}


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The way from an answer or a decision back to what caused it, nearest first."""

    id: str
    kind: Literal["prediction", "decision"]
    steps: tuple[Step, ...]


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """In which deployment a key is looked for."""

    deployment: Annotated[
        str, msgspec.Meta(description="then the id is the key of its latest prediction")
    ] = ""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the consequences are asked."""

    reference: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=400, description="snapshot:…, run:… or model:NAME@3"
        ),
    ]


async def why(call: routing.Call) -> Story:
    """Tell of a decision, or of a prediction, whichever has the id or, there, the key."""
    wanted = call.path_params["id"].removeprefix("decision:").removeprefix("prediction:")
    deployment: str = call.query.deployment if call.query is not None else ""

    def fetch(tx: Transaction) -> Story:
        if deployment:
            access.require(call.actor, "prediction.read")
            serving.get_deployment(tx, call.actor, deployment)
            row = finding.newest(call.house, tx, deployment, key=wanted)
            return _prediction(tx, call.actor, deployment, row)
        with contextlib.suppress(errors.NotFoundError):
            return _decision(tx, call.actor, wanted)
        try:
            name, row = finding.one(call.house, tx, wanted)
        except errors.NotFoundError as error:
            raise errors.NotFoundError(
                f"no prediction and no decision has the id {wanted[:80]!r}", hint=error.hint
            ) from None
        access.require(call.actor, "prediction.read")
        return _prediction(tx, call.actor, name, row)

    return await call.read(fetch)


async def consequences_of(call: routing.Call) -> consequences.Consequences:
    """Tell which versions came of data, a run or a version, and what they decided."""
    asked: Made = call.query
    return await call.read(
        lambda tx: consequences.of(tx, call.actor, call.house, reference=asked.reference)
    )


def _decision(tx: Transaction, actor: access.Actor, decision_id: str) -> Story:
    found = loop.get_decision(tx, actor, decision_id)
    steps = [
        Step(
            reference=f"decision:{found.id}",
            sentence=f"{found.kind}: {found.sentence}",
            at=found.at,
            facts={"because of": found.event, **found.evidence},
        ),
        Step(
            reference=f"deployment:{found.deployment}",
            sentence=f"for the deployment {found.deployment}, under the policy of that moment",
            facts={
                "policy_digest": found.policy_digest,
                "inputs_digest": found.inputs_digest,
            },
        ),
    ]
    steps += [
        Step(
            reference=f"decision:{found.id}",
            sentence=f"it did: {msgspec.to_builtins(act)['type']}",
            facts=_flat(msgspec.to_builtins(act)),
        )
        for act in found.acts
    ]
    steps += _edges(tx, f"decision:{found.id}")
    return Story(id=found.id, kind="decision", steps=tuple(steps))


def _prediction(
    tx: Transaction, actor: access.Actor, deployment: str, row: dict[str, Any]
) -> Story:
    served = Step(
        reference=f"deployment:{deployment}",
        sentence=(
            f"{deployment} answered {row['answer']!s} with the score "
            f"{row['served_score']:.4g} for the key {row['key']!s}"
        ),
        at=int(row["served_at"]),
        facts=_flat({name: row[name] for name in _TOLD if name in row}),
    )
    named = {
        name.split(".", 1)[1]: value
        for name, value in row.items()
        if name.startswith(("x.", "c."))
    }
    given = Step(
        reference=f"deployment:{deployment}", sentence="it was given", facts=_flat(named)
    )
    steps = [served, given, *_scores(deployment, row)]
    plans = _plans(tx, actor, deployment, int(row["generation"]))
    steps += [step for one in plans for step in _corrector(tx, actor, one, row)]
    steps += _corrections(tx, actor, row)
    steps += [_plan(deployment, one) for one in plans]
    model = serving.get_deployment(tx, actor, deployment).model
    for label in row["members"] or ():
        if str(label).isdigit():
            steps += _version(tx, actor, registry.get_version(tx, actor, model, int(label)))
    steps.append(
        Step(
            reference=f"prediction:{row['id']}",
            sentence="what moved the score, and what would have changed it",
            facts={"command": f"homeostat explain --prediction {row['id']}"},
        )
    )
    return Story(id=str(row["id"]), kind="prediction", steps=tuple(steps))


def _scores(deployment: str, row: dict[str, Any]) -> list[Step]:
    """Tell what each member said, where several answered together."""
    named, said = row["members"] or (), row["member_scores"] or ()
    if len(said) > len(named) > 0:
        return _classes(deployment, row)
    members = dict(zip(named, said, strict=True))
    if len(members) < 2:  # noqa: PLR2004 - one speaks for itself
        return []
    told = ", ".join(f"{score:.4g} by version {name}" for name, score in members.items())
    return [
        Step(
            reference=f"deployment:{deployment}",
            sentence=f"its members together scored {row['score']:.4g}: {told}",
        )
    ]


def _classes(deployment: str, row: dict[str, Any]) -> list[Step]:
    """Tell the probability of every class, and what each member gave the one answered."""
    given = {
        name.removeprefix(segments.CHANCE): value
        for name, value in row.items()
        if name.startswith(segments.CHANCE) and value is not None
    }
    told = ", ".join(f"{value:.4g} {name}" for name, value in given.items())
    names, n = list(given), len(given)
    members = row["members"] or ()
    facts: dict[str, Any] = {}
    if len(members) > 1 and len(row["member_scores"]) == n * len(members):
        at = names.index(row["answer"]) if row["answer"] in names else 0
        scores = row["member_scores"][at::n]
        facts = {f"version {name}": score for name, score in zip(members, scores, strict=True)}
    return [
        Step(
            reference=f"deployment:{deployment}",
            sentence=f"probabilities of its classes: {told}",
            facts=_flat(facts),
        )
    ]


def _corrections(tx: Transaction, actor: access.Actor, row: dict[str, Any]) -> list[Step]:
    fired = row.get("corrections") or ""
    return [
        Step(
            reference=f"correction:{one.id}@{one.version}",
            sentence=f"changed by a correction ({one.kind}): {one.reason}",
            at=one.approved_at,
            facts={"made_by": one.made_by, "approved_by": one.approved_by},
        )
        for one in corrections.of_prediction(tx, actor, fired)
    ]


def _plans(
    tx: Transaction, actor: access.Actor, deployment: str, generation: int
) -> list[PlanChange]:
    return serving.plan_history(tx, actor, deployment, before=generation + 1, limit=1)


def _plan(deployment: str, one: PlanChange) -> Step:
    return Step(
        reference=f"deployment:{deployment}",
        sentence=f"under plan generation {one.plan.generation}: {one.reason}",
        at=one.set_at,
        facts={"set_by": one.set_by},
    )


def _corrector(
    tx: Transaction, actor: access.Actor, plan: PlanChange, row: dict[str, Any]
) -> list[Step]:
    """Tell of the corrector that went on from what the members said, and of its own data."""
    named = plan.plan.corrector
    if named is None or not named.answers or row.get("arm") == SHADOW:
        return []
    changed = "" if row.get("corrections") else f" to {row['served_score']:.4g}"
    steps = [
        Step(
            reference=f"corrector:{named.digest}",
            sentence=f"the corrector moved the members' {row['score']:.4g}{changed}",
            at=named.since,
            facts={"digest": named.digest, "answers_since": named.since},
        )
    ]
    run = tracking.find_run(tx, actor, named.run) if named.run else None
    if run is not None:
        first, end = named.rows
        sentence = f"the corrector was learned from labelled rows {first} to {end} of the log"
        steps.append(Step(reference=f"run:{run.id}", sentence=sentence, at=run.started_at))
    return steps


def _version(tx: Transaction, actor: access.Actor, version: Version) -> list[Step]:
    steps = [
        Step(
            reference=version.reference,
            sentence=f"by version {version.number} of {version.model} ({version.purpose})",
            at=version.created_at,
            facts={"trained_by": version.trained_by, "digest": version.digest},
        )
    ]
    for approval in registry.list_approvals(tx, actor, version.model, version.number):
        said = f"approved by {approval.actor}" + (f": {approval.note}" if approval.note else "")
        steps.append(Step(reference=version.reference, sentence=said, at=approval.at))
    if version.report_id:
        report = evaluation.get_report(tx, actor, version.report_id)
        steps.append(
            Step(
                reference=f"report:{report.id}",
                sentence=f"its gates said {report.verdict} on {report.exam.rows}",
                at=report.at,
                facts={"in_words": report.judged.sentence, "digest": report.digest},
            )
        )
    return [*steps, *_making(tx, actor, version)]


def _making(tx: Transaction, actor: access.Actor, version: Version) -> list[Step]:
    """Tell of the run and the data, by what the version says and by lineage."""
    steps = []
    run = tracking.find_run(tx, actor, version.run_id) if version.run_id else None
    if run is not None:
        steps.append(
            Step(
                reference=f"run:{run.id}",
                sentence=f"made by the run {run.name or run.id}, {run.status}",
                at=run.started_at,
                facts={"pipeline": run.pipeline, "user": run.user},
            )
        )
        code = {one.name: one.code for one in pipeline.list_steps(tx, actor, run.id)}
        if run.commit or run.environment or code:
            changed = ", with changes that were not committed" if run.dirty else ""
            commit = f" of commit {run.commit[:12]}{changed}" if run.commit else ""
            facts: dict[str, FACT] = {
                "commit": run.commit,
                "dirty": run.dirty,
                "environment": run.environment,
                **{f"code of {name}": digest for name, digest in code.items()},
            }
            sentence = f"by the code{commit}"
            steps.append(Step(reference=f"run:{run.id}", sentence=sentence, facts=facts))
    data = [
        edge.source
        for edge in lineage.ancestors(tx, version.reference, limit=EDGES)
        if edge.source.startswith(("snapshot:", "segment:")) and edge.kind != "followed-by"
    ]
    found = dict.fromkeys([*version.snapshots, *data])
    return [*steps, *(_data(tx, actor, one) for one in found)]


def _data(tx: Transaction, actor: access.Actor, reference: str) -> Step:
    with contextlib.suppress(errors.NotFoundError):
        if reference.startswith("snapshot:"):
            one = snapshots.find_snapshot(tx, actor, reference)
            return Step(
                reference=reference,
                sentence=f"from the data in {one.dataset}, snapshot {one.number}",
                at=one.created_at,
                facts={"digest": one.digest, "rows": one.n_rows, "source": one.source},
            )
    return Step(reference=reference, sentence=f"from the data in {reference}")


def _edges(tx: Transaction, reference: str) -> list[Step]:
    edges = [
        *lineage.ancestors(tx, reference, limit=EDGES),
        *lineage.descendants(tx, reference, limit=EDGES),
    ]
    return [
        Step(
            reference=edge.source if edge.target == reference else edge.target,
            sentence=f"{edge.source} {edge.kind} {edge.target}",
            at=edge.at,
        )
        for edge in edges
    ]


def _flat(values: dict[str, Any]) -> dict[str, FACT]:
    return {
        name: value if isinstance(value, FACT) else msgspec.json.encode(value).decode()
        for name, value in values.items()
        if name != "type"
    }


ROUTES = (
    routing.Route(
        "GET",
        "/api/why/{id}",
        "decision.read",
        why,
        answer=Story,
        query=Where,
        summary="The way from a prediction or a decision back to what caused it",
    ),
    routing.Route(
        "GET",
        "/api/consequences",
        "prediction.read",
        consequences_of,
        answer=consequences.Consequences,
        query=Made,
        summary="The versions that came of data, a run or a version, and what they decided",
    ),
)
