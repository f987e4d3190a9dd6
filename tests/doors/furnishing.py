"""A house with something of everything in it, made by the same actions that doors call."""

from __future__ import annotations

import struct
import zlib
from importlib import resources

import numpy as np
import polars as pl

from homeostat.foundation import access, house, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy
from homeostat.lifecycle.corrections import reviewing
from homeostat.lifecycle.corrections.entities import Abstain
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop.entities import BlockLabelled, SeenCause, WindowJudged
from homeostat.lifecycle.monitoring import alerts, marks
from homeostat.lifecycle.predictions.entities import Held, Segment
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adoptions, carried
from homeostat.lifecycle.registry import files as version_files
from homeostat.lifecycle.registry.entities import File, Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import correcting
from homeostat.lifecycle.serving.entities import Arm, Member, Plan, Shadow
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.lifecycle.tracking import artifacts, datasets, logged
from homeostat.lifecycle.tracking.entities import (
    DatasetInput,
    LoggedDataset,
    Metric,
    ModelLink,
    Tag,
)

ADA = access.local_owner("ada")
LOOP = access.system("loop")
POLICY = (
    (resources.files("homeostat.doors.cli") / "starter" / "homeostat.toml.txt")
    .read_text(encoding="utf-8")
    .replace("margin = 0.01 ", "margin = 0.05 ")
)
TWINNED = {
    "model.skops": b"two",
    "model.onnx": b"two in another language",
    "homeostat.json": b'{"twin": {"file": "model.onnx", "rows": 2320, "gap": 3e-16}}',
}
SCHEMA = Schema(
    (
        Column(name="income", kind="number", minimum=9_000, maximum=210_000),
        Column(name="region", kind="category", categories=("capital", "east", "north")),
    )
)


def furnish(opened: house.House) -> None:
    """Put two runs, three versions and a deployment in a canary into an open house."""
    snapshots(opened)
    first = opened.write(lambda tx: run(tx, "first fit", n_points=60))
    second = opened.write(lambda tx: run(tx, "since the change", n_points=40))
    opened.write(broken_run)
    content = {"MLmodel": b"flavors: {}", "model.pkl": b"pickled"}
    for each in content.values():
        opened.put_blob("model:forest", each)
    parent, model = opened.write(lambda tx: logged_elsewhere(tx, content))
    keep(
        opened, artifacts.of_run(parent), {"plots/roc curve.png": picture(), "notes.txt": b"n"}
    )
    keep(opened, artifacts.of_logged_model(model), content)
    opened.write(lambda tx: searched_elsewhere(tx, parent))
    one = version(opened, first, b"one", purpose="initial")
    opened.write(lambda tx: serving.deploy(tx, ADA, "credit", policy=POLICY, number=1))
    version(opened, second, TWINNED, purpose="since-change", champion=one.reference)
    opened.write(lambda tx: registry.approve(tx, ADA, "credit", 2, note="looks right"))
    version(opened, second, b"three", purpose="refresh", champion=one.reference)
    plan = Plan(
        generation=2,
        arms=(
            Arm("stable", 0.75, (Member(1, 1.0),)),
            Arm("canary", 0.25, (Member(1, 0.3), Member(2, 0.7))),
        ),
        shadow=(Shadow(3, 1.0),),
        salt="s",
    )
    reason = "version 2 passed its gates and enters on a quarter of the keys"
    opened.write(lambda tx: serving.set_plan(tx, ADA, "credit", plan, reason=reason))
    opened.write(live)
    opened.write(correct)


def snapshots(opened: house.House) -> None:
    """Add two snapshots of loans; the second has a region more."""
    rng = np.random.default_rng(5)
    for regions in (("north", "east"), ("north", "east", "capital")):
        n = 300 * len(regions)
        table = pl.DataFrame(
            {
                "id": [f"loan-{len(regions)}-{i}" for i in range(n)],
                "income": np.round(30_000 * np.exp(rng.normal(0, 0.5, n))),
                "region": rng.choice(regions, n),
                "years": rng.integers(0, 9, n),
                "rate": np.where(rng.random(n) < 0.9, np.nan, 0.1),
            }
        )
        offer = inspection.Offer(
            data=tables.encode(table),
            format="parquet",
            source="loans <of> autumn.parquet",
            key="id",
            time=None,
        )
        made = intake.take(opened, ADA, "loans", offer, project="default")
        kept = opened.write(lambda tx, made=made: data.add_snapshot(tx, ADA, "loans", made))
    grown = inspection.Offer(
        data=tables.encode(table.drop("rate")), format="parquet", source="", key="id", time=None
    )
    clean = intake.take(opened, ADA, "loans-clean", grown, project="default")
    source = (kept.reference,)
    opened.write(lambda tx: data.add_snapshot(tx, ADA, "loans-clean", clean, made_of=source))


def correct(tx: Transaction) -> None:
    """Leave a band of scores to a person, and let one prediction of it wait."""
    made = correcting.propose(
        tx,
        ADA,
        "credit",
        Abstain(low=0.45, high=0.55),
        reason="too close to call",
        expires_at=tx.at + 30 * 86_400_000,
    )
    correcting.approve(tx, ADA, made.id)
    segment = Segment(
        **dict.fromkeys(("id", "deployment", "digest", "predictions", "labels"), "credit"),
        **dict.fromkeys(("number", "first_row", "first_label", "n_labels"), 0),
        **dict.fromkeys(("n_failed_rows", "size_bytes", "accepted_at"), 0),
        **dict.fromkeys(("first_served_at", "last_served_at"), tx.at),
        n_rows=1,
        accepted_by="ada",
    )
    held = Held(id=ids.new_id(), place=0, score=0.5, served_at=tx.at, fired=(made.mark,))
    reviewing.open_cases(tx, ADA, segment, [held])


def live(tx: Transaction) -> None:
    """Let the loop live through good blocks, a broken feed and a change of the world."""
    rules = policy.parse(POLICY)
    loop.begin(tx, LOOP, "credit", version="1")
    broken = WindowJudged(
        first_row=2000,
        end_row=2200,
        findings=(("unit", "income"),),
        causes=(
            SeenCause(
                kind="feed",
                column="income",
                factor=100.0,
                share=0.97,
                sentence="income arrives 100 times too large",
            ),
        ),
        broken=((2000, 2200),),
    )
    loop.apply_event(tx, LOOP, "credit", broken, rules)
    for block in range(40):
        error = 0.18 + 0.01 * (block % 3) + (0.14 if block > 32 else 0.0)
        seen = BlockLabelled(
            first_row=200 * block,
            end_row=200 * (block + 1),
            n_rows=200,
            error=error,
            mixture=0.7 * error,
            members={"1": 0.7 * error},
        )
        loop.apply_event(tx, LOOP, "credit", seen, rules)
    feed = alerts.open_alert(
        tx,
        LOOP,
        deployment="credit",
        kind="unit",
        cause="feed",
        column="income",
        sentence="income is 100 times what it was at training, in 97 % of the rows since 2000",
        evidence=("rows 2000-2199", "factor 100"),
    )
    alerts.resolve_alert(tx, LOOP, feed.id)
    harm = alerts.open_alert(
        tx,
        LOOP,
        deployment="credit",
        kind="harm",
        cause="concept-change",
        sentence="0.33 of the answers are wrong where 0.19 is accepted, since row 6600",
        evidence=("deployment:credit", "e-process above 1 in 10,000"),
    )
    marks.note(tx, LOOP, harm, confirmed_at=tx.at)


def run(tx: Transaction, name: str, *, n_points: int) -> str:
    """Record a run that finished, with a metric that falls."""
    made = tracking.create_run(tx, ADA, name=name, pipeline="credit", executor="processes")
    points = [
        Metric.of("loss", 0.7 / (1 + step / 8) + 0.01 * (step % 5), at=tx.at, step=step)
        for step in range(n_points)
    ]
    tracking.log_metrics(tx, ADA, made.id, points=[*points, Metric.of("roc_auc", 0.83)])
    tracking.log_params(tx, ADA, made.id, values={"learning_rate": "0.1"})
    tracking.set_tags(tx, ADA, made.id, values={"purpose": "show"})
    tracking.finish_run(tx, ADA, made.id)
    return made.id


def logged_elsewhere(tx: Transaction, files: dict[str, bytes]) -> tuple[str, str]:
    """Record what MLflow's client would: a run, its data, a logged model, a pickled version."""
    made = tracking.create_run(tx, ADA, name="ordinary-owl-7")
    tag = Tag("mlflow.data.context", "training")
    data = LoggedDataset(
        name="loans", digest="d1", source_type="local", source='{"uri": "loans.csv"}'
    )
    datasets.log_inputs(tx, ADA, made.id, datasets=[DatasetInput(dataset=data, tags=(tag,))])
    model = logged.create_model(
        tx,
        ADA,
        experiment_id=made.experiment_id,
        name="forest",
        run_id=made.id,
        params={"depth": "3"},
        tags={"by": "hand"},
    ).model
    datasets.log_outputs(tx, ADA, made.id, models=[ModelLink("output", model.id, 1)])
    tracking.finish_run(tx, ADA, made.id)
    content = version_files.describe(files)
    registry.register_version(
        tx, ADA, "forest", files=content, schema=Schema(()), run_id=made.id, flavour="mlflow"
    )
    registry.register_version(
        tx, ADA, "forest", files=content, schema=Schema(()), run_id=made.id, flavour="mlflow"
    )
    adoptions.set_trust(tx, ADA, "forest", 2, is_trusted=True, reason="its code was read")
    return made.id, model.id


def searched_elsewhere(tx: Transaction, parent: str) -> None:
    """Record parts of a run, as a search for parameters logs them, and one from a far clock."""
    for n in range(25):
        made = tracking.create_run(tx, ADA, name=f"part {n}")
        tracking.log_metrics(tx, ADA, made.id, points=[Metric.of("auc", 0.7 + n / 100)])
        tracking.set_tags(tx, ADA, made.id, values={"mlflow.parentRunId": parent})
        tracking.finish_run(tx, ADA, made.id)
    study = tracking.create_experiment(tx, ADA, "study of " + "everything" * 20)
    far = tracking.create_run(
        tx, ADA, name="x" * 251, experiment=study.name, started_at=2**63 - 1
    )
    tracking.set_tags(tx, ADA, far.id, values={"mlflow.parentRunId": "nowhere"})
    tracking.log_params(tx, ADA, far.id, values={"k" * 200: "v" * 400})
    points = [
        Metric.of("m" * 200, value, at=2**63 - 1, step=step)
        for step, value in ((-(2**63), -1e308), (0, 1e308), (2**63 - 1, 1.5))
    ]
    tracking.log_metrics(tx, ADA, far.id, points=points)
    # Brought along from a store whose clock was as far off.
    carried.put_version(
        tx,
        ADA,
        "forest",
        4,
        source="s3://elsewhere/forest",
        run_id="",
        model_id="",
        run_link="",
        tags={},
        user="",
        created_at=2**63 - 1,
    )
    gone = tracking.create_experiment(tx, ADA, "given up")
    tracking.create_run(tx, ADA, name="of a given up one", experiment=gone.name)
    tracking.delete_experiment(tx, ADA, gone.id)


def keep(opened: house.House, holder: str, files: dict[str, bytes]) -> None:
    """Keep files with a run or a logged model."""
    for path, content in files.items():
        blob = opened.put_blob(holder, content)
        told = {"path": path, "digest": blob.digest, "size_bytes": blob.size_bytes}
        opened.write(lambda tx, told=told: artifacts.keep(tx, ADA, holder, **told))


def picture() -> bytes:
    """Return a small PNG."""
    rows = b"".join(b"\0" + bytes(40 + 3 * abs(x - y) for x in range(64)) for y in range(64))

    def part(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    parts = part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def broken_run(tx: Transaction) -> None:
    """Record a run that failed."""
    made = tracking.create_run(tx, ADA, name="typo", pipeline="credit")
    sentence = "step fit raised KeyError: 'incme' (pipeline.py, line 31)"
    tracking.finish_run(tx, ADA, made.id, status="failed", error=sentence)


def version(
    opened: house.House,
    run_id: str,
    content: bytes | dict[str, bytes],
    *,
    purpose: str,
    champion: str = "",
) -> Version:
    """Judge a candidate on simulated scores and register it."""
    contents = content if isinstance(content, dict) else {"model.skops": content}
    blobs = {path: opened.put_blob("model:credit", data) for path, data in contents.items()}
    files = tuple(
        File(path=path, digest=blob.digest, size_bytes=blob.size_bytes)
        for path, blob in blobs.items()
    )
    size_bytes = sum(blob.size_bytes for blob in blobs.values())
    rules = policy.parse(POLICY)
    rng = np.random.default_rng(len(content))
    y = rng.integers(0, 2, size=400)
    score = np.clip(0.5 + 0.25 * (y - 0.5) + rng.normal(0, 0.12, size=400), 0, 1)
    sat = exam.sit(
        y,
        score,
        rows="rows 4000-4399",
        champion=np.clip(score + rng.normal(0, 0.1, size=400), 0, 1) if champion else None,
        protected={"sex": rng.choice(["f", "m"], size=400)},
        slice_needed=rules.gates.worst_slice_at_least,
    )
    sat = exam.measured(sat, latency_p99_ms=3.1, size_bytes=size_bytes)
    judged = gates.judge(sat, rules.gates)

    def write(tx: Transaction) -> Version:
        report = evaluation.save_report(
            tx,
            ADA,
            "credit",
            candidate=version_files.tree_digest(files),
            exam=sat,
            judged=judged,
            policy_digest=policy.digest(rules),
            champion=champion,
        )
        return registry.register_version(
            tx,
            ADA,
            "credit",
            files=files,
            schema=SCHEMA,
            run_id=run_id,
            report_id=report.id,
            trained_rows=(0, 4000),
            purpose=purpose,
            tier="low",
        )

    return opened.write(write)
