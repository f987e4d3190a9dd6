"""Notices single decisions that training did not expect, just after they were answered.

Made by a prediction worker; its spool tells it of every batch that was written. Rows wait for a
moment, are asked about together, and never hold up an answer for long: a turn takes a
millisecond or so, and where more rows come than there is time for, they are only counted.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from homeostat.foundation import log
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import entities, plan
from homeostat.measures import packed, rarity, tails

WAIT_S: Final = 0.1
PAUSE_S: Final = 0.005
QUIET_S: Final = 60.0
SHARE: Final = 0.1
"""Of the yearly false alarms; what is judged by windows and by the hour has the rest."""
MOST_ROWS: Final = 128
MOST_WAITING: Final = 4096
FEW_ROWS: Final = 16
LEAST_GAPS: Final = 1000
MOST_GAPS: Final = 5000
LEAST_GAP: Final = 0.3
MOST_HELD: Final = 256
YEAR_S: Final = 365 * 86_400.0
_log = log.get(__name__)


class Unexpected(msgspec.Struct, frozen=True, kw_only=True):
    """One decision that a person should hear of.

    Attributes
    ----------
    kind
        ``unexpected-decision``: far from everything the model was trained on;
        ``disagreement``: another version says something else.
    column
        Which one is far; empty where it is the combination, or a disagreement.
    """

    deployment: str
    kind: str
    column: str
    sentence: str
    evidence: tuple[str, ...]


class _Known:
    """What is known of one deployment between its batches."""

    def __init__(self, document: entities.PlanDocument) -> None:
        self.document = document
        self.reference: rarity.Reference | None = None
        self.reading: asyncio.Task[None] | None = None
        self.order: tuple[tuple[str, ...], list[int]] = ((), [])
        self.gaps: deque[float] = deque(maxlen=MOST_GAPS)
        self.tail: tails.Tail | None = None
        self.n_gaps = 0
        self.scores: dict[str, float] = {}
        self.n_rows = 0
        self.told: dict[tuple[str, str], float] = {}


class _Part(NamedTuple):
    """Rows of a batch that wait."""

    known: _Known
    frame: frames.Batch
    layout: frames.Layout
    first: int
    end: int


class Guard:
    """Looks at what was answered.

    Parameters
    ----------
    files
        Folder of files by digest; baselines among them.
    tell
        Gets what a person should hear of, on the event loop.
    n_workers
        How many processes share the traffic and the budget.

    Attributes
    ----------
    n_seen, n_skipped
        Rows that were looked at, and that there was no time for.
    """

    def __init__(
        self, files: Path, *, tell: Callable[[Unexpected], None], n_workers: int = 1
    ) -> None:
        self.n_seen = 0
        self.n_skipped = 0
        self._files = files
        self._tell = tell
        self._n_workers = n_workers
        self._known: dict[str, _Known] = {}
        self._waiting: deque[_Part] = deque()
        self._n_waiting = 0
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits to be looked at."""
        return bool(self._waiting)

    def know(self, document: entities.PlanDocument) -> None:
        """Take a plan; its baseline is read in a thread once it answers something.

        Parameters
        ----------
        document
            A plan whose files are in the folder.
        """
        before = self._known.pop(document.deployment, None)
        if not _digest(document):
            return
        known = self._known[document.deployment] = _Known(document)
        if before is not None:
            known.n_rows, known.told = before.n_rows, before.told

    def see(self, deployment: str, frame: frames.Batch, layout: frames.Layout) -> None:
        """Remember a batch that was written; called before its answer goes out.

        Parameters
        ----------
        deployment
            Whose.
        frame, layout
            As written to the log.
        """
        known = self._known.get(deployment)
        if known is None:
            return
        n_rows = len(frame.ids)
        known.n_rows += n_rows
        if self._waiting and self._n_waiting + n_rows > MOST_WAITING:
            self.n_skipped += n_rows
            return
        if known.reading is None:
            known.reading = self._loop.create_task(self._read(known))
            self._make_room()
        if not self._waiting:
            self._loop.call_later(WAIT_S, self.look)
        self._waiting.append(_Part(known, frame, layout, 0, n_rows))
        self._n_waiting += n_rows

    def look(self) -> None:
        """Look at some of what waits; at the rest after a pause, in which answers go on."""
        parts = self._take()
        if self._waiting:
            self._loop.call_later(PAUSE_S if parts else WAIT_S, self.look)
        groups: dict[tuple[int, int], list[_Part]] = {}
        for part in parts:
            if part.frame.answered:
                groups.setdefault((id(part.known), id(part.layout)), []).append(part)
        try:
            for group in groups.values():
                self._compare_with_training(group)
            for part in parts:
                self._compare_with_others(part)
        except Exception:  # noqa: BLE001 - whatever a row holds, answers go on
            _log.exception("answers were not looked at")

    def _take(self) -> list[_Part]:
        """Take as many rows as may be looked at in one turn of the event loop."""
        parts: list[_Part] = []
        room = MOST_ROWS
        while self._waiting and room:
            part = self._waiting[0]
            if part.known.reading is not None and not part.known.reading.done():
                break
            self._waiting.popleft()
            end = min(part.end, part.first + room)
            if end < part.end:
                self._waiting.appendleft(part._replace(first=end))
            parts.append(part._replace(end=end))
            room -= end - part.first
            self._n_waiting -= end - part.first
            self.n_seen += end - part.first
        return parts

    async def close(self) -> None:
        """Let go of what waits, and read nothing more."""
        while self._take():
            pass
        reading = [one.reading for one in self._known.values() if one.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def level(self, n_rows: int) -> float:
        """Return the chance of a false alarm that one row may have.

        Parameters
        ----------
        n_rows
            Rows of the deployment that this process has seen.
        """
        seconds = max(60.0, self._loop.time() - self._began)
        a_year = max(1e6, n_rows / seconds * YEAR_S * self._n_workers)
        return SHARE / a_year

    async def _read(self, known: _Known) -> None:
        place = self._files / _digest(known.document)
        try:
            data = await asyncio.to_thread(place.read_bytes)
            known.reference = await asyncio.to_thread(packed.read, data)
        except (OSError, ValueError) as error:
            name = known.document.deployment
            _log.warning("decisions are not watched", deployment=name, why=str(error))

    def _make_room(self) -> None:
        """Forget the baselines of deployments that were asked for the first time long ago."""
        held = [one for one in self._known.values() if one.reference is not None]
        for one in held[: max(0, len(held) - MOST_HELD)]:
            one.reference, one.reading = None, None

    def _compare_with_training(self, parts: list[_Part]) -> None:
        """Look at rows of one deployment and layout."""
        known, layout = parts[0].known, parts[0].layout
        reference = known.reference
        if reference is None:
            return
        if known.order[0] != layout.features:
            places = {name: i for i, name in enumerate(layout.features)}
            known.order = (layout.features, [places.get(name, -1) for name in reference.names])
        n = sum(part.end - part.first for part in parts)
        table = [
            [v for p in parts for v in p.frame.features[at][p.first : p.end]]
            if at >= 0
            else [None] * n
            for at in known.order[1]
        ]
        level = known.document.false_alarms_per_year * self.level(known.n_rows) / 2
        if n < FEW_ROWS:
            rows = [(at, reference.one([column[at] for column in table])) for at in range(n)]
            at, found = min(rows, key=lambda row: row[1].p_value)
        else:
            at, found = reference.rarest(table, n)
        if found.p_value > level:
            return
        which, key, version = [
            (p.frame.ids[i], p.frame.keys[i], p.frame.version)
            for p in parts
            for i in range(p.first, p.end)
        ][at]
        values = {name: column[at] for name, column in zip(reference.names, table, strict=True)}
        sentence, evidence = words(found, values, key=key, level=level)
        self._warn(
            known,
            "unexpected-decision",
            found.column,
            sentence=sentence,
            evidence=(f"prediction {which}, key {key}, version {version}", *evidence),
        )

    def _compare_with_others(self, part: _Part) -> None:
        """Compare with the members of a composite, and answers with those of shadows."""
        known, frame = part.known, part.frame
        rows = slice(part.first, part.end)
        if len(frame.members) > 1:
            # Of several classes a row has a number for each; the furthest apart counts.
            shape = (len(frame.members), len(frame.ids), -1)
            each = np.asarray(frame.member_scores, dtype=float).reshape(shape)[:, rows]
            spread = np.ptp(each, axis=0).max(axis=1)
            for at, gap in enumerate(spread.tolist(), start=part.first):
                self._differ(known, frame, at, gap=gap, others=f"members {frame.version}")
        if not known.document.plan.shadow:
            return
        if frame.answered:
            known.scores.update(zip(frame.ids[rows], frame.scores[rows], strict=True))
            while len(known.scores) > MOST_GAPS:
                del known.scores[next(iter(known.scores))]
            return
        for at in range(part.first, part.end):
            said = known.scores.get(frame.ids[at])
            if said is not None:
                gap = abs(said - frame.scores[at])
                self._differ(known, frame, at, gap=gap, others=f"shadow {frame.version}")

    def _differ(
        self, known: _Known, frame: frames.Batch, at: int, *, gap: float, others: str
    ) -> None:
        if not math.isfinite(gap):
            return
        tail = known.tail
        level = known.document.false_alarms_per_year * self.level(known.n_rows) / 2
        if tail is not None and gap >= LEAST_GAP and tail.chance(gap) <= level:
            self._warn(
                known,
                "disagreement",
                "",
                sentence=f"{others} differ by {gap:.2f} on {frame.keys[at]}",
                evidence=(
                    f"prediction {frame.ids[at]}, key {frame.keys[at]}",
                    f"2 % of {known.n_gaps:,} rows differ by more than {tail.start:.2f}",
                    f"so much has a chance of {tail.chance(gap):.2g}; {level:.2g} is told",
                ),
            )
            return  # what is told of is not what is usual
        known.gaps.append(gap)
        known.n_gaps += 1
        if known.n_gaps % LEAST_GAPS == 0:
            known.tail = tails.fit(np.array(known.gaps))

    def _warn(
        self, known: _Known, kind: str, column: str, *, sentence: str, evidence: tuple[str, ...]
    ) -> None:
        """Tell of one, unless one like it was told of within the minute."""
        now = self._loop.time()
        if now - known.told.get((kind, column), -math.inf) < QUIET_S:
            return
        known.told[kind, column] = now
        name = known.document.deployment
        query = f"shown by: homeostat monitor unusual {name}"
        self._tell(
            Unexpected(
                deployment=name,
                kind=kind,
                column=column,
                sentence=sentence,
                evidence=(*evidence, query),
            )
        )


def words(
    found: rarity.Row, values: Mapping[str, Any], *, key: str, level: float
) -> tuple[str, tuple[str, ...]]:
    """Return a sentence about a row that training did not expect, and what it rests on.

    Parameters
    ----------
    found
        How rare it is, by `rarity`.
    values
        Of the row, by column.
    key
        What its label will be joined by.
    level
        Chance of a false alarm that a row may have.
    """
    told = {name: _short(value) for name, value in values.items()}
    what = (
        f"its {found.column} is {told[found.column]}"
        if found.column
        else "its values do not go together as they did"
    )
    return f"the answer to {key} is not backed by the training: {what}", (
        f"such a row has a chance of {found.p_value:.2g}; {level:.2g} is told",
        *_shown(told, found.column),
    )


def _digest(document: entities.PlanDocument) -> str:
    """Return where the baseline of the version that decides most is; empty without one."""
    number = plan.champion(document.plan)
    return next((one.baseline for one in document.versions if one.version == number), "")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]


def _shown(told: Mapping[str, str], first: str) -> tuple[str, ...]:
    """Return up to ten values of a row, the one that stands out first."""
    names = sorted(told, key=lambda name: name != first)[:10]
    return (", ".join(f"{name}={told[name]}" for name in names),)
