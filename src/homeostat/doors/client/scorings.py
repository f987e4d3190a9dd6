"""Score tables of any size from Python; one subject of the SDK."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import blake3
import msgspec

from homeostat.doors.client import transport
from homeostat.foundation import errors
from homeostat.lifecycle.data import batches, tables
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.predictions.entities import Segment
from homeostat.lifecycle.serving import bulk, bundled, plan
from homeostat.lifecycle.serving.entities import PlanDocument, VersionFiles
from homeostat.lifecycle.serving.scorings import NewScoring, Scoring

ListOfScorings = list[Scoring]
BATCH_ROWS_AT_MOST = 1_000_000
_MODELS, _DATA = "models:/", "data:"


class Target(NamedTuple):
    """What scores: a deployment with its plan, or one version of a model alone."""

    deployment: str = ""
    model: str = ""
    number: int | None = None
    alias: str | None = None


def target(text: str) -> Target:
    """Read what shall score.

    Parameters
    ----------
    text
        Name of a deployment, or ``models:/NAME``, ``models:/NAME/3`` or
        ``models:/NAME@ALIAS``.

    Returns
    -------
    Target
        Not looked up yet.

    Raises
    ------
    InvalidInputError
        When it is neither.

    Examples
    --------
    >>> target("models:/credit@champion")
    Target(deployment='', model='credit', number=None, alias='champion')
    """
    if not text.startswith(_MODELS):
        return Target(deployment=text)
    rest = text.removeprefix(_MODELS)
    name, _, alias = rest.partition("@")
    if alias and "/" not in rest:
        return Target(model=name, alias=alias)
    name, _, number = rest.partition("/")
    if name and not number:
        return Target(model=name)
    if name and number.isdecimal():
        return Target(model=name, number=int(number))
    raise errors.InvalidInputError(
        f"{text!r} names no version", hint="write models:/NAME/3 or models:/NAME@champion"
    )


class Scorings:
    """Tables scored in bulk.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def score(  # noqa: PLR0913 - each is one choice of the caller
        self,
        what: str,
        source: str | Path,
        output: str | Path,
        *,
        key: str | None = None,
        keep: Sequence[str] | None = None,
        bad_rows: bulk.BadRows = "fail",
        executor: Literal["inline", "processes", "ray"] = "inline",
        batch_rows: int = 10_000,
        log: bool = False,
        progress: Callable[[float, int], None] | None = None,
    ) -> Scoring:
        """Score a table of any size into a file, as the prediction server would.

        Parameters
        ----------
        what
            A deployment, whose plan and corrections apply, or ``models:/NAME/3``,
            ``models:/NAME@ALIAS``: that version alone.
        source
            A Parquet, CSV or Arrow file, a pattern of files, or ``data:NAME@3``: a snapshot
            (the newest without a number).
        output
            ``.parquet``, ``.csv``, ``.tsv`` or ``.arrow``; appears when it is whole.
        key
            Column that rows are routed and labelled by; of a deployment the one its policy
            names, where the table has it.
        keep
            Columns copied to the output beside ``score``, ``answer``, ``version``, ``arm``; the
            key alone when None.
        bad_rows
            ``fail`` ends at the first row that cannot be scored, ``skip`` leaves such rows out,
            ``keep`` keeps them with a ``problem``; they are told in ``<output>.bad.jsonl``.
        executor
            Where batches are scored: ``inline`` here, ``processes``, ``ray``.
        batch_rows
            Rows in a batch, 1 to 1,000,000; memory grows with it.
        log
            Whether the rows go into the deployment's log too, so that labels can join them.
        progress
            Called with the share that is read (0 to 1) and the rows done.

        Returns
        -------
        Scoring
            As recorded, with lineage from versions and input.

        Raises
        ------
        NotFoundError
            When there is no such deployment, version or file.
        InvalidInputError
            When columns are missing or a row cannot be scored; nothing is written then.
        """
        document = self._document(target(what))
        if log and not document.deployment:
            raise errors.InvalidInputError(
                "only a deployment has a log", hint="name the deployment instead of a version"
            )
        if not 1 <= batch_rows <= BATCH_ROWS_AT_MOST:
            raise errors.InvalidInputError(
                f"a batch has 1 to {BATCH_ROWS_AT_MOST:,} rows; seen {batch_rows}"
            )
        with contextlib.ExitStack() as stack:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="homeostat-score-"))
            paths, snapshot = self._input(str(source), Path(made))
            found = batches.Source(paths)
            if key is None and document.key in found.columns:
                key = document.key or None
            asked = bulk.Asked(
                key=key,
                keep=tuple(keep) if keep is not None else (key,) if key else (),
                bad_rows=bad_rows,
                executor=executor,
                batch_rows=batch_rows,
                is_logged=log,
            )
            bundled.Bundle(document=document, files=self._files(document)).store(Path(made))
            said = progress or (lambda _, __: None)
            done = bulk.score(Path(made), found, Path(output), asked=asked, progress=said)
            n_logged = sum(self._hand_over(document, *one) for one in done.segments)
        told = _told(document, done, names=(str(source), str(output)), snapshot=snapshot)
        return self._transport.call(
            "POST",
            "/api/scorings",
            body=msgspec.structs.replace(told, n_logged=n_logged),
            answer=Scoring,
        )

    def list(self, model: str, *, before: str = "", limit: int = 100) -> ListOfScorings:
        """Return the tables that versions of a model scored, the latest first.

        Parameters
        ----------
        model
            Its name.
        before
            Id that ended the page before.
        limit
            At most this many.
        """
        query: transport.Query = {"model": model, "before": before, "limit": limit}
        return self._transport.call("GET", "/api/scorings", query=query, answer=ListOfScorings)

    def _document(self, wanted: Target) -> PlanDocument:
        if wanted.deployment:
            path = f"/api/deployments/{transport.part(wanted.deployment)}/plan"
            return self._transport.call("GET", path, answer=PlanDocument)
        path = f"/api/models/{transport.part(wanted.model)}/plan"
        query: transport.Query = {"version": wanted.number, "alias": wanted.alias}
        return self._transport.call("GET", path, query=query, answer=PlanDocument)

    def _files(self, document: PlanDocument) -> dict[str, bytes]:
        return {
            digest: data
            for version in document.versions
            for digest, data in self._files_of(document.model, version)
        }

    def _files_of(self, model: str, version: VersionFiles) -> Iterator[tuple[str, bytes]]:
        where = f"/api/models/{transport.part(model)}/versions/{version.version}"
        asked = {f"{where}/files/{path}": digest for path, digest in version.files.items()}
        if version.description:
            asked[f"{where}/description"] = version.description
        for path, digest in asked.items():
            data = self._transport.call("GET", path, answer=bytes)
            if blake3.blake3(data).hexdigest() != digest:
                raise errors.CorruptError(f"the server sent other bytes than {digest}")
            yield digest, data

    def _hand_over(self, document: PlanDocument, segment: str, path: Path) -> int:
        where = f"/api/deployments/{transport.part(document.deployment)}/segments/{segment}"
        taken = self._transport.call("POST", where, body=path.read_bytes(), answer=Segment)
        return taken.n_rows

    def _input(self, source: str, folder: Path) -> tuple[Sequence[Path], str]:
        """Return the files of a table, and the reference of the snapshot that it is."""
        if not source.startswith(_DATA):
            return tables.find(source, folder=Path()), ""
        name, at, number = source.removeprefix(_DATA).rpartition("@")
        is_numbered = bool(at) and number.isdecimal()
        name = name if is_numbered else source.removeprefix(_DATA)
        where = f"/api/data/{transport.part(name)}"
        path = f"{where}/snapshots/{number}" if is_numbered else f"{where}/newest"
        snapshot = self._transport.call("GET", path, answer=Snapshot)
        place = folder / f"input.{snapshot.format}"
        table = f"{where}/snapshots/{snapshot.number}/table"
        with place.open("wb") as file:
            for piece in self._transport.stream(table):
                file.write(piece)
        return [place], snapshot.reference


def _told(
    document: PlanDocument, done: bulk.Done, *, names: tuple[str, str], snapshot: str
) -> NewScoring:
    return NewScoring(
        model=document.model,
        versions=plan.answering(document.plan),
        deployment=document.deployment,
        generation=document.plan.generation if document.deployment else 0,
        input=names[0],
        output=names[1],
        input_digest=done.input_digest,
        output_digest=done.output_digest,
        snapshot=snapshot,
        n_rows=done.n_rows,
        n_scored=done.n_scored,
        n_bad=done.n_bad,
        seconds=done.seconds,
    )
