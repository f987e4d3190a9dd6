"""`homeostat run`: run a pipeline and record it; or train what homeostat.toml names."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from homeostat.doors.cli import output, session, working
from homeostat.foundation import errors, settings

GATED = 3
TABLES = {".parquet", ".pq", ".csv", ".tsv", ".arrow", ".feather", ".ipc"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    run_id: str
    status: str
    pipeline: str
    inputs: list[dict[str, str]]
    parameters: dict[str, Any]
    steps: list[dict[str, Any]]
    result: str


@click.command()
@click.argument("target", metavar="[MODULE:PIPELINE]", required=False)
@click.option(
    "--input",
    "inputs",
    metavar="NAME=DATA",
    multiple=True,
    help="A file, a dataset's name, or snapshot:ID; may be repeated.",
)
@click.option(
    "--set", "given", metavar="NAME=VALUE", multiple=True, help="A parameter; may be repeated."
)
@click.option(
    "--executor",
    type=click.Choice(["processes", "inline"]),
    default="processes",
    show_default=True,
    help="Where steps run.",
)
@click.option("--timeout", "timeout_s", type=float, help="Seconds the run may take.")
@click.option("--experiment", help="Where it is filed; the pipeline's name if not said.")
@click.option("--explain", is_flag=True, help="Say why each step ran.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    default=Path("homeostat.toml"),
    show_default=True,
    help="What to train when no pipeline is named.",
)
@output.option
def run(
    *,
    target: str | None,
    inputs: tuple[str, ...],
    given: tuple[str, ...],
    executor: str,
    timeout_s: float | None,
    experiment: str | None,
    explain: bool,
    policy: Path,
    as_json: bool,
) -> int:
    """Run a pipeline and record it.

    Steps that finished before on the same code and data are not repeated. Without a pipeline,
    the model of homeostat.toml is trained, judged by its gates and registered; exit code 3
    when the gates keep it out.
    """
    told = session.load()
    if target is None:
        if inputs or given:
            raise errors.InvalidInputError(
                "--input and --set belong to a pipeline", hint="homeostat run pipeline:credit"
            )
        return _train(told, policy, as_json=as_json)
    # What a step prints inline must not mix with the answer.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        answer = _drive(
            told,
            target,
            named=_pairs(inputs, option="--input NAME=PATH"),
            parameters=_pairs(given, option="--set NAME=VALUE"),
            options={"executor": executor, "timeout_s": timeout_s},
            experiment=experiment,
        )
    output.emit(answer, as_json=as_json, show=lambda: _shown(answer, explain=explain))
    return 0


def _drive(
    told: settings.Settings,
    target: str,
    *,
    named: dict[str, str],
    parameters: dict[str, str],
    options: dict[str, Any],
    experiment: str | None,
) -> Answer:
    from homeostat.lifecycle.pipeline import cache, digests, drive, load

    pipeline = load.pipeline(target, told.code)
    kept = cache.Cache(told.home / "cache")
    with session.client() as client:
        sources = {name: _source(client, text) for name, text in named.items()}
        outcome = drive.run(
            pipeline,
            inputs=sources,
            parameters=parameters,
            cache=kept,
            recorder=client.runs.recorder(experiment or pipeline.name),
            **options,
        )
        run_id = outcome.run_id
        found = client.runs.get(run_id)
    kept.close()
    plain = digests.shown(outcome.output, limit=200)
    return Answer(
        run_id=run_id,
        status=found.run.status,
        pipeline=pipeline.name,
        inputs=[msgspec.to_builtins(item) for item in found.inputs],
        parameters={item.key: item.value for item in found.params},
        steps=[
            {
                "name": step.name,
                "status": step.status,
                "wall_s": round(step.wall_s, 6),
                "reason": step.reason,
                "made_by": step.made_by,
            }
            for step in outcome.steps
        ],
        result=plain or "",
    )


def _source(client: Any, text: str) -> Any:
    from homeostat.lifecycle.data import tables
    from homeostat.lifecycle.pipeline import digests, sources

    path = Path(text)
    if text.startswith("snapshot:"):
        snapshot = client.data.find(text)
    elif path.suffix.lower() in TABLES or "/" in text or path.is_file():
        if not path.is_file():
            tables.read(path)  # says what is wrong with it
        return sources.Source("", digests.of(path), lambda: tables.read(path))
    else:
        snapshot = client.data.get(text)
    return sources.Source(
        snapshot.reference,
        snapshot.digest,
        lambda: client.data.read(snapshot.dataset, number=snapshot.number),
    )


def _pairs(texts: tuple[str, ...], *, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise errors.InvalidInputError(f"{text!r} is not of the form {option}")
        if name in found:
            raise errors.InvalidInputError(f"{name!r} was given twice: {option}")
        found[name] = value
    return found


def _shown(answer: Answer, *, explain: bool) -> Any:
    from rich.console import Group

    told = {"hit": "cached", "ran": "ran", "failed": "failed"}
    columns = ["step", "", "#seconds", *(["why it ran"] if explain else [])]
    rows = [
        (
            step["name"],
            told[step["status"]],
            f"{step['wall_s']:.3f}",
            *([step["reason"] or None] if explain else []),
        )
        for step in answer.steps
    ]
    said = f"run:{answer.run_id} {answer.status}"
    if answer.result:
        said += f", result {answer.result}"
    return Group(output.table(columns, rows, empty="no steps"), said)


def _train(told: settings.Settings, path: Path, *, as_json: bool) -> int:
    from homeostat.lifecycle import policy as policies
    from homeostat.lifecycle.data import tables

    where = path if path.is_absolute() else told.code / path
    policy = policies.read(where)
    text = where.read_text(encoding="utf-8")
    table = tables.read_all(policy.data.source, folder=where.parent)
    with session.client() as client, working.alone(told):
        snapshot = client.data.add(
            table,
            policy.model.name,
            key=policy.model.key,
            time=policy.data.time,
            source=str(policy.data.source),
        )
        if not as_json:
            click.echo(f"training {policy.model.name} on {snapshot.n_rows} rows ...", err=True)
        job = client.training.ask(text, snapshot=snapshot.reference)
        trained = client.training.wait(job)
    output.emit(trained, as_json=as_json, show=lambda: _told(trained))
    return 0 if trained.version is not None else GATED


def _told(trained: Any) -> str:
    if trained.version is None:
        return f"{trained.sentence}\nreport:{trained.report}, run:{trained.run}"
    return (
        f"{trained.sentence}\nmodel:{trained.model}@{trained.version} is registered"
        f" (report:{trained.report}, run:{trained.run})"
    )
