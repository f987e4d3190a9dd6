"""`homeostat model trust` and `homeostat model judge`: for versions that came unjudged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from homeostat.doors.cli import output, session, working
from homeostat.foundation import errors

GATED = 3
POLICY = Path("homeostat.toml")
SLUG_CHARACTERS = 80


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@click.option("--revoke", is_flag=True, help="Take the word back.")
@output.option
def trust(*, name: str, number: int, reason: str, revoke: bool, as_json: bool) -> None:
    """Say that a version may run its own code where models are loaded.

    A pickled model is a program. It is opened in prediction and pipeline processes only, and
    only when a reviewer has said so.
    """
    with session.client() as client:
        say = client.adoptions.distrust if revoke else client.adoptions.trust
        word = say(name, number, reason=reason)
    verb = "trusts" if word.is_trusted else "no longer trusts"
    output.emit(
        word, as_json=as_json, show=lambda: f"{word.actor} {verb} model:{name}@{number}"
    )


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Labelled rows the model has not seen; [data] source of the policy unless given.",
)
@click.option("--target", metavar="COL", help="Column of the outcome; that of the policy.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What it foretells; that of the policy.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="What must hold; homeostat.toml, which is written when there is none.",
)
@output.option
def judge(
    *,
    name: str,
    number: int,
    data: Path | None,
    target: str | None,
    task: str | None,
    policy: Path | None,
    as_json: bool,
) -> int:
    """Judge a version on labelled rows; nothing is fitted.

    For versions that came without a report, such as those that MLflow logged. Report, schema
    and monitoring baseline are attached to the version; exit code 3 when a gate fails.
    """
    from homeostat.lifecycle import policy as policies
    from homeostat.lifecycle.data import tables

    told = session.load()
    where = told.code / (policy or POLICY)
    is_new = policy is None and not where.is_file()
    if is_new:
        rules = policies.parse(_shortest(where, name, target, task=task), where=str(where))
    else:
        rules = policies.read(where)
    if rules.model.name != name:
        raise errors.InvalidInputError(
            f"{where} is the policy of model {rules.model.name!r}, not of {name!r}",
            hint="name its file with --policy",
        )
    if target is not None and target != rules.model.target:
        raise errors.InvalidInputError(
            f"{where} predicts {rules.model.target!r}, not {target!r}",
            hint="leave --target out, or name another policy with --policy",
        )
    if task is not None and task != rules.model.task:
        raise errors.InvalidInputError(
            f"the task of {where} is {rules.model.task}, not {task}",
            hint="leave --task out, or name another policy with --policy",
        )
    source = rules.data.source if data is None else str(data.absolute())
    table = tables.read_all(source, folder=where.parent)
    tables.need_column(table.columns, rules.model.target, role="target")
    if is_new:  # once all that it needs is there
        _write(where, _shortest(where, name, target, task=task))
    with session.client() as client, working.alone(told):
        snapshot = client.data.add(
            table,
            f"{_slug(name)}.judged",
            key=rules.model.key if rules.model.key in table.columns else None,
            time=rules.data.time,
            source=source,
            allow_schema_change=True,
        )
        job = client.adoptions.judge(
            name,
            number,
            policy=where.read_text(encoding="utf-8"),
            snapshot=snapshot.reference,
        )
        judged = client.training.wait(job, what="judgement")
    output.emit(judged, as_json=as_json, show=lambda: _told(judged))
    return 0 if judged.verdict != "fail" else GATED


def _told(judged: Any) -> str:
    attached = f"report:{judged.report} is attached to model:{judged.model}@{judged.version}"
    return f"{judged.sentence}\n{attached}"


def _shortest(where: Path, name: str, target: str | None, *, task: str | None) -> str:
    """Return the shortest policy there can be."""
    if target is None:
        raise errors.NotFoundError(
            f"there is no {where}",
            hint="name the column of the outcome with --target, and one is written",
            path=str(where),
        )
    quoted = target.replace("\\", "\\\\").replace('"', '\\"')
    text = f'[model]\nname = "{name}"\ntarget = "{quoted}"\n'
    if task is not None:
        text += f'task = "{task}"\n'
    return text


def _write(where: Path, text: str) -> None:
    """Write a policy that there was none of before, and say so."""
    try:
        where.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.InvalidInputError(
            f"{where} cannot be written: {error.strerror}"
        ) from error
    click.echo(f"wrote {where}: say in it what must hold", err=True)


def _slug(name: str) -> str:
    """Return the name of a model as the beginning of a dataset's."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:SLUG_CHARACTERS].lstrip("._-") or "model"
