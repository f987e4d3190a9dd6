"""`homeostat doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from homeostat.doors.cli import options, output, ports
from homeostat.foundation import addresses, errors, events, settings
from homeostat.foundation.database import Database, migrate
from homeostat.lifecycle.predictions import spooled

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
OTHERS = 0o077
NOT_WELL = 3


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    seen: str
    hint: str = ""


@click.command()
@output.option
def doctor(*, as_json: bool) -> int:
    """Check that this machine is ready; exit code 3 when something is not."""
    told = options.load()
    found = examine(told)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["", "what", "seen", "what to do"],
            [("ok" if one.ok else "NO", one.name, one.seen, one.hint) for one in found],
        ),
    )
    return 0 if all(one.ok for one in found) else NOT_WELL


def examine(told: settings.Settings) -> list[Finding]:
    """Look at everything a house stands on, changing nothing.

    Parameters
    ----------
    told
        Which house.
    """
    looks: list[Callable[[settings.Settings], Finding]] = [
        _python,
        _home,
        _space,
        _master_key,
        _database,
        _chain,
        _log,
        lambda one: _port(
            one.host, one.port, at=addresses.server(one), name="port", option="--port"
        ),
        lambda one: _port(
            one.predict_host,
            one.predict_port,
            at=addresses.predictions(one),
            name="predict port",
            option="--predict-port",
        ),
    ]
    return [look(told) for look in looks]


def _python(_: settings.Settings) -> Finding:
    seen = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        name="python",
        ok=sys.version_info >= OLDEST_PYTHON,
        seen=seen,
        hint="" if sys.version_info >= OLDEST_PYTHON else "install Python 3.11 or later",
    )


def _nearest(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _home(told: settings.Settings) -> Finding:
    place = _nearest(told.home)
    ok = place.is_dir() and os.access(place, os.W_OK)
    seen = str(told.home) if told.home.exists() else f"{told.home} (made on first use)"
    hint = "" if ok else f"give write permission on {place}, or set HOMEOSTAT_HOME"
    return Finding(name="home", ok=ok, seen=seen, hint=hint)


def _space(told: settings.Settings) -> Finding:
    free = shutil.disk_usage(_nearest(told.home)).free
    ok = free >= LEAST_FREE_BYTES
    hint = "" if ok else f"free at least {LEAST_FREE_BYTES / 1e9:g} GB"
    return Finding(name="disk", ok=ok, seen=f"{free / 1e9:.1f} GB free", hint=hint)


def _master_key(told: settings.Settings) -> Finding:
    path = told.home / "master.key"
    if told.master_key:
        return Finding(name="master key", ok=True, seen="given by the environment")
    if not path.exists():
        return Finding(name="master key", ok=True, seen="made on first use")
    mode = path.stat().st_mode & 0o777
    ok = not mode & OTHERS
    hint = "" if ok else f"chmod 600 {path}: others can read it"
    return Finding(name="master key", ok=ok, seen=f"{path.name}, mode {mode:04o}", hint=hint)


def _is_new(told: settings.Settings) -> bool:
    prefix = "sqlite:///"
    url = told.database_url
    return url.startswith(prefix) and not Path(url.removeprefix(prefix)).exists()


def _database(told: settings.Settings) -> Finding:
    if _is_new(told):
        return Finding(name="database", ok=True, seen="made on first use")
    try:
        opened = Database(told.database_url)
        try:
            seen, head = migrate.version(opened), migrate.known_versions()[-1]
        finally:
            opened.close()
    except errors.HomeostatError as error:
        return Finding(name="database", ok=False, seen=error.message, hint=error.hint)
    ok = seen <= head
    behind = "; `homeostat up` brings it up to date" if seen < head else ""
    hint = "" if ok else "install the newer release that wrote it"
    return Finding(name="database", ok=ok, seen=f"version {seen or 'none'}{behind}", hint=hint)


def _chain(told: settings.Settings) -> Finding:
    if _is_new(told):
        return Finding(name="audit log", ok=True, seen="no events yet")
    try:
        opened = Database(told.database_url)
        try:
            if migrate.version(opened) != migrate.known_versions()[-1]:
                return Finding(
                    name="audit log", ok=True, seen="not looked at: tables of another release"
                )
            with opened.read(project=told.project) as tx:
                found = events.verify(tx)
        finally:
            opened.close()
    except errors.HomeostatError as error:
        return Finding(name="audit log", ok=False, seen=error.message, hint=error.hint)
    seen = f"{found.n_events} events, whole" if found.ok else found.reason
    hint = "" if found.ok else "restore the database from a backup"
    return Finding(name="audit log", ok=found.ok, seen=seen, hint=hint)


def _log(told: settings.Settings) -> Finding:
    folder = told.home / "predict" / "spool"
    found = spooled.refused(folder)
    if not found:
        return Finding(name="prediction log", ok=True, seen="nothing refused")
    whose = ", ".join(sorted({one.deployment for one in found}))
    return Finding(
        name="prediction log",
        ok=False,
        seen=f"{len(found)} segments of {whose} were refused by the server: {folder}",
        hint="the log of `homeostat serve` says why; it sends them again when it starts",
    )


def _port(host: str, port: int, *, at: str, name: str, option: str) -> Finding:
    if ports.answers(at):
        return Finding(name=name, ok=True, seen=f"a server answers at {at}")
    try:
        ports.check(host, port, option=option)
    except errors.UnavailableError as error:
        return Finding(name=name, ok=False, seen=error.message, hint=error.hint)
    return Finding(name=name, ok=True, seen=f"{port} is free")
