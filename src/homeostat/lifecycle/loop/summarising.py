"""Keeps stored windows up with the log, and shows them; called by `live` and the doors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping

import polars as pl

from homeostat.foundation import access, errors, log
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import newest, observing
from homeostat.lifecycle.monitoring import baseline, slicing, stored, wandering
from homeostat.lifecycle.monitoring import report as reports
from homeostat.lifecycle.policy import slices
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Deployment

ROWS_AT_ONCE = 10_000
SYSTEM = access.system("loop")

_log = log.get(__name__)


class Keeper:
    """Adds rows of logs to stored windows; keeps baselines in memory between steps.

    Parameters
    ----------
    house, actor
        Open; a part of the system.
    """

    def __init__(self, house: House, actor: access.Actor) -> None:
        self._house = house
        self._actor = actor
        self._known: dict[str, baseline.Baseline] = {}
        self._wandering: dict[str, tuple[int, dict[str, wandering.Wander]]] = {}

    def keep_up(self, deployment: str) -> bool:
        """Add the next rows of a deployment's log to its stored windows.

        Parameters
        ----------
        deployment
            Its name.

        Returns
        -------
        bool
            Whether there were any.

        Raises
        ------
        ConflictError
            When another worker added them; nothing is added twice.
        """

        def look(tx: Transaction) -> tuple[Deployment, int, pl.DataFrame]:
            found = serving.get_deployment(tx, self._actor, deployment)
            first = stored.place(tx, deployment)
            end = first + ROWS_AT_ONCE
            rows = read.predictions(self._house, tx, deployment, first_row=first, end_row=end)
            return found, first, rows

        asked, first, rows = self._house.read(look)
        if rows.is_empty():
            return False
        named = serving.get_policy(asked).slices
        found: list[tuple[stored.Place, int, bytes]] = []
        shadow = pl.when(pl.col("answered")).then(pl.col("arm")).otherwise(pl.lit(plans.SHADOW))
        cut = rows.with_columns(shadow.alias("role"))
        for (version, role), part in cut.group_by("version", "role", maintain_order=True):
            frozen = self.baseline(asked.model, str(version))
            if frozen is not None:
                found += stored.summarise(
                    observing.features(part),
                    frozen,
                    at=part["served_at"].to_list(),
                    version=str(version),
                    role=str(role),
                    parts=observing.contexts(part),
                    slices=_inside(part, named),
                )
        span = (first, int(rows["row"][-1]) + 1)
        self._house.write(lambda tx: stored.add(tx, self._actor, deployment, found, rows=span))
        return True

    def allowing(
        self, deployment: str, model: str, frozen: baseline.Baseline, *, n_rows: int, at: int
    ) -> baseline.Baseline:
        """Return a baseline that allows for what columns do by the hour and the day.

        Parameters
        ----------
        deployment, model
            Whose, and of which model.
        frozen
            Of the version that answers.
        n_rows
            Of the window that is to be judged.
        at
            Milliseconds UTC. What was served in the two weeks before is read anew when a day is
            over.
        """
        of = functools.partial(self.baseline, model)
        day = at // wandering.DAY_MS
        known = self._wandering.get(deployment)
        if known is None or known[0] != day:
            measured = _measured(self._house, self._actor, deployment, day, of=of)
            known = self._wandering[deployment] = (day, measured)
        return wandering.widened(frozen, known[1], n_rows=n_rows)

    def baseline(self, model: str, version: str) -> baseline.Baseline | None:
        """Return the baseline of a version, of the first of several; None where it has none."""
        digest, owner = self._house.read(lambda tx: _place(tx, model, version))
        if digest and digest not in self._known:
            self._known[digest] = baseline.decode(self._house.get_blob(owner, digest))
        return self._known.get(digest)


def wanders(
    house: House, actor: access.Actor, deployment: Deployment, *, at: int
) -> dict[str, wandering.Wander]:
    """Return how columns wander by the hour and the day, of the two weeks before an instant.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``.
    deployment
        Whose.
    at
        Milliseconds UTC.
    """

    @functools.cache
    def of(version: str) -> baseline.Baseline | None:
        return baseline_of(house, deployment.model, version, project=None)

    return _measured(house, actor, deployment.name, at // wandering.DAY_MS, of=of)


def _measured(
    house: House,
    actor: access.Actor,
    deployment: str,
    day: int,
    *,
    of: Callable[[str], baseline.Baseline | None],
) -> dict[str, wandering.Wander]:
    """Read the windows of the newest whole days, each with the baseline of its version."""
    since, until = ((day - by) * wandering.DAY_MS for by in (wandering.DAYS, 0))
    found: dict[stored.Grain, list[wandering.Seen]] = {"hour": [], "day": []}
    for grain, seen in found.items():
        kept = house.read(
            functools.partial(
                stored.latest,
                actor=actor,
                deployment=deployment,
                grain=grain,
                since=since,
                until=until,
                limit=stored.MOST_WINDOWS,
            )
        )
        for one in kept:
            frozen = of(one.version)
            table = None if frozen is None else stored.opened(one, frozen)
            if frozen is not None and table is not None:
                seen.append(wandering.Seen(one.starts_at, one.version, table, frozen))
    return wandering.measure(found["hour"], found["day"])


def _inside(rows: pl.DataFrame, named: Mapping[str, str]) -> dict[str, pl.Series]:
    """Return which rows are in which slice; one that does not fit the rows is left out."""
    found = {}
    for name, text in named.items():
        try:
            found[name] = slicing.inside(newest.plain(rows), slices.parse(text))
        except errors.InvalidInputError as error:
            _log.warning("a slice does not fit the log", slice=name, error=str(error))
    return found


def show(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    grain: stored.Grain = "hour",
    since: int = 0,
    role: stored.Role = "stable",
    part: str = stored.EVERYBODY,
    limit: int = 100,
    project: str | None = None,
) -> list[stored.SummaryWindow]:
    """Return stored windows of a deployment with what has moved in them, the latest first.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``.
    deployment, grain, since, role, part, limit
        As for `stored.latest`.
    project
        Namespace.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """

    def look(tx: Transaction) -> tuple[str, list[stored.Stored]]:
        found = serving.get_deployment(tx, actor, deployment)
        kept = stored.latest(
            tx,
            actor,
            deployment,
            grain=grain,
            since=since,
            role=role,
            part=part,
            limit=limit,
        )
        return found.model, kept

    model, kept = house.read(look, project=project)
    frozen = {
        version: baseline_of(house, model, version, project=project)
        for version in {one.version for one in kept}
    }
    return [
        stored.view(one, grain, known)
        for one in kept
        if (known := frozen[one.version]) is not None
    ]


def report(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    grain: stored.Grain = "hour",
    part: str = stored.EVERYBODY,
    limit: int = 24,
    project: str | None = None,
) -> reports.DriftReport | None:
    """Compare what was served in the newest windows with training, without reading a row.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``.
    deployment, grain, part, limit
        As for `stored.latest`.
    project
        Namespace.

    Returns
    -------
    DriftReport or None
        Of the version that answered last; None where nothing was summarised yet, or the
        version has no baseline.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """

    def look(tx: Transaction) -> tuple[str, list[stored.Stored]]:
        found = serving.get_deployment(tx, actor, deployment)
        kept = stored.latest(tx, actor, deployment, grain=grain, part=part, limit=limit)
        return found.model, kept

    model, kept = house.read(look, project=project)
    if not kept:
        return None
    version = kept[0].version
    frozen = baseline_of(house, model, version, project=project)
    if frozen is None:
        return None
    return stored.compare([one for one in kept if one.version == version], frozen)


def baseline_of(
    house: House, model: str, version: str, *, project: str | None
) -> baseline.Baseline | None:
    """Return the baseline of what answered, of the first of several; None where it has none."""
    digest, owner = house.read(lambda tx: _place(tx, model, version), project=project)
    if not digest:
        return None
    return baseline.decode(house.get_blob(owner, digest, project=project))


def _place(tx: Transaction, model: str, version: str) -> tuple[str, str]:
    """Return digest and owner of the baseline of what answered; empty where it has none."""
    first = version.split("+", maxsplit=1)[0]
    if not first.isdigit():
        return "", ""
    with contextlib.suppress(errors.NotFoundError):
        found = registry.get_version(tx, SYSTEM, model, int(first))
        return found.baseline, adopted.baseline_owner(tx, found)
    return "", ""
