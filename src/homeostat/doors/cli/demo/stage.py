"""Sets the stage for the demo: a home of its own, real processes, progress, the end."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from homeostat.doors import local
from homeostat.doors.cli import init, up
from homeostat.doors.cli.demo import phases, story
from homeostat.doors.client import Client
from homeostat.foundation import clock, log, settings

HOMES = "demos"
WIDTH = 140
TITLE = "What happened, when, why, on what evidence, and what it cost"
SHOWN = {
    "investigate": "yellow",
    "quarantine": "red",
    "release": "green",
    "retrain": "magenta",
    "promote": "cyan",
    "rollback": "red",
    "ask": "yellow",
    "none": "dim",
}


class Report(msgspec.Struct, kw_only=True):
    """What ``--json`` writes."""

    phases: list[story.PhaseReport]
    predictions: int
    failed_predictions: int
    champions: list[int]
    audit_verified: bool
    replayed: bool
    wall_s: float
    n_decisions: int
    n_fits: int
    url: str
    home: str


def perform(told: settings.Settings, *, leave: bool, report: Path | None, seed: int) -> None:
    """Tell the whole story.

    Parameters
    ----------
    told
        Ports, and the home below which the demo makes one of its own.
    leave
        End when the story is told; else keep serving until Ctrl-C.
    report
        Where to write what happened; None writes nothing.
    seed
        Of the simulator.

    Raises
    ------
    UnavailableError
        When a process does not come up, or the loop does not get on.
    """
    started = time.monotonic()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    own = _own_home(told)
    log.configure(level="warning", output=own.log_format)
    console.print(
        Text("A lender in four chapters. ", "bold"),
        Text("SIMULATED", "bold yellow"),
        "applicants; the platform is told only what a lender sees.",
    )
    with up.Household(own) as running:
        if not running.wait():
            return
        told_to = msgspec.structs.replace(
            running.settings, url=running.url, predict_url=running.predict_url
        )
        with local.open_client(told_to) as client:
            written = _tell(client, running, console=console, seed=seed, started=started)
        if report is not None:
            report.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2))
        console.print(f"\npages   {running.url}", f"\nhome    {own.home}", highlight=False)
        if not leave:
            console.print("still serving; Ctrl-C ends it")
            running.family.keep()


def _own_home(told: settings.Settings) -> settings.Settings:
    """Return settings of a fresh home, with the starter project as its code."""
    home = told.home / HOMES / clock.iso(clock.now_ms()).replace(":", "").replace(".", "")
    project = home / "project"
    init.write(project)
    policy = project / "homeostat.toml"
    text = policy.read_text(encoding="utf-8")
    # The lender's loans have a key and no clock here: their order is their time. How fast a
    # machine answers that learns and shows pages besides says nothing about the models.
    lines = [line for line in text.splitlines() if not line.startswith("time ")]
    told_here = "\n".join(lines).replace('tier = "low"', 'tier = "medium"')
    told_here = told_here.replace("latency_p99_ms = 50", "latency_p99_ms = 1000")
    policy.write_text(told_here + "\n", encoding="utf-8")
    fresh = settings.Settings(home=home)
    return msgspec.structs.replace(
        told,
        home=home,
        code=project,
        database_url=fresh.database_url,
        blobs_url=fresh.blobs_url,
        log_level="warning",
        url="",
        host=fresh.host,
        sign_in=fresh.sign_in,
        allowed_hosts=(),
    )


def _tell(
    client: Client, running: up.Household, *, console: Console, seed: int, started: float
) -> Report:
    columns = (
        TextColumn("[bold]{task.description:<20}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {
            phase.name: progress.add_task(phase.title, total=1.0, told="", start=False)
            for phase in phases.PHASES
        }

        def tell(name: str, share: float, sentence: str) -> None:
            progress.start_task(tasks[name])
            progress.update(tasks[name], completed=share, told=sentence)

        played = story.Story(
            client,
            running.predict_url,
            project=running.settings.code,
            seed=seed,
            told=tell,
        )
        try:
            played.begin()
            for phase in phases.PHASES:
                _play(played, phase, progress=progress, task=tasks[phase.name])
        finally:
            played.close()
    written = _conclude(client, played, running, started=started)
    console.print(_table(played))
    console.print(_ending(written))
    if played.last_failure:
        console.print(f"the last that failed: {played.last_failure}", highlight=False)
    return written


def _play(
    played: story.Story,
    phase: phases.Phase,
    *,
    progress: Progress,
    task: TaskID,
) -> None:
    before = len(played.happenings)
    made = played.play(phase)
    kinds = [h.what for h in played.happenings[before:] if h.what != "none"]
    sentence = ", ".join(dict.fromkeys(kinds)) or "nothing to do"
    loss = f"loss {made.loss_before:.3f} → {made.loss_after:.3f}"
    progress.update(task, told=f"{loss}; {sentence}")


def _conclude(
    client: Client, played: story.Story, running: up.Household, *, started: float
) -> Report:
    """Check the chain and replay every decision before anything is claimed."""
    decisions = list(client.decisions.every(deployment=story.MODEL))
    replayed = all(client.decisions.replay(one.id).identical for one in decisions)
    history = client.models.history(story.MODEL)
    return Report(
        phases=played.reports,
        predictions=played.n_sent - played.n_failed,
        failed_predictions=played.n_failed,
        champions=[change.number for change in reversed(history) if change.number is not None],
        audit_verified=client.audit.verify().ok,
        replayed=bool(decisions) and replayed,
        wall_s=round(time.monotonic() - started, 2),
        n_decisions=len(decisions),
        n_fits=client.decisions.state(story.MODEL).n_fits,
        url=running.url,
        home=str(running.settings.home),
    )


def _table(played: story.Story) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=TITLE, title_justify="left", pad_edge=False)
    table.add_column("chapter", no_wrap=True)
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("why", ratio=1, min_width=40)
    table.add_column("evidence", max_width=26)
    table.add_column("cost", max_width=20)
    chapter = ""
    for item in played.happenings:
        if chapter and item.phase != chapter:
            table.add_section()
        table.add_row(
            item.phase if item.phase != chapter else "",
            f"{item.row:,}",
            Text(item.what, SHOWN.get(item.what, "")),
            item.why,
            item.evidence,
            item.cost,
        )
        chapter = item.phase
    return table


def _ending(written: Report) -> Text:
    last = written.phases[-1]
    good, bad = "green", "bold red"
    text = Text()
    text.append(
        f"loss {last.loss_before:.3f} before the recession, {last.loss_peak:.3f} at its "
        f"worst, {last.loss_after:.3f} at the end\n"
    )
    text.append(f"{written.predictions:,} predictions answered, ")
    text.append(
        f"{written.failed_predictions} failed\n",
        good if not written.failed_predictions else bad,
    )
    text.append(
        f"{written.n_fits} fits, champions "
        f"{' → '.join(f'v{number}' for number in written.champions)}\n"
    )
    text.append(f"{written.n_decisions} decisions, every one replayed bit for bit: ")
    text.append(f"{'yes' if written.replayed else 'NO'}\n", good if written.replayed else bad)
    text.append("audit chain verified: ")
    text.append(
        "yes\n" if written.audit_verified else "NO\n", good if written.audit_verified else bad
    )
    text.append(f"{written.wall_s:.0f} s")
    return text
