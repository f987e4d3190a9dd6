"""Score tables and read the prediction log from Python; one subject of the SDK."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import blake3
import polars as pl

from homeostat.doors.client import transport
from homeostat.foundation import errors
from homeostat.lifecycle.data import batches, tables
from homeostat.lifecycle.predictions.entities import Segment
from homeostat.lifecycle.serving import batched, bulk, plan
from homeostat.lifecycle.serving.entities import PlanDocument, VersionFiles
from homeostat.lifecycle.serving.scorings import NewScoring, Scoring

ListOfScorings = list[Scoring]
_MODELS = "models:/"
_FORMS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".ndjson": "json"}


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


class Predictions:
    """Tables scored in bulk, and what the log holds.

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
            A Parquet, CSV or Arrow file, or a pattern of files.
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
        wanted = target(what)
        document = self._document(wanted)
        if log and not document.deployment:
            raise errors.InvalidInputError(
                "only a deployment has a log", hint="name the deployment instead of a version"
            )
        if not 1 <= batch_rows <= 1_000_000:  # noqa: PLR2004 - as documented
            raise errors.InvalidInputError(
                f"a batch has 1 to 1,000,000 rows; seen {batch_rows}"
            )
        found = batches.Source(tables.find(str(source), folder=Path()))
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
        with tempfile.TemporaryDirectory(prefix="homeostat-score-") as made:
            folder = Path(made)
            batched.Bundle(document=document, files=self._files(document)).store(folder)
            done = bulk.score(
                folder,
                found,
                Path(output),
                asked=asked,
                progress=progress or (lambda _, __: None),
            )
            n_logged = sum(self._hand_over(document, *one) for one in done.segments)
        told = NewScoring(
            model=document.model,
            versions=plan.answering(document.plan),
            deployment=document.deployment,
            generation=document.plan.generation if document.deployment else 0,
            input=str(source),
            output=str(output),
            input_digest=done.input_digest,
            output_digest=done.output_digest,
            n_rows=done.n_rows,
            n_scored=done.n_scored,
            n_bad=done.n_bad,
            seconds=done.seconds,
            n_logged=n_logged,
        )
        return self._transport.call("POST", "/api/scorings", body=told, answer=Scoring)

    def read(  # noqa: PLR0913 - each narrows what is read
        self,
        deployment: str,
        *,
        as_of: int | None = None,
        since: int | None = None,
        until: int | None = None,
        versions: Sequence[str] = (),
        columns: Sequence[str] = (),
        with_labels: bool = False,
        answered: bool | None = True,
        after_row: int = -1,
        limit: int | None = None,
    ) -> pl.DataFrame:
        """Return rows of the prediction log.

        Parameters
        ----------
        deployment
            Its name.
        as_of
            Only what was served and known then; milliseconds UTC, now when None.
        since, until
            Served from the first on and before the second; milliseconds UTC.
        versions
            Only rows scored by one of these: a member such as ``3``, a composite ``3+4``.
        columns
            Only these; all when empty: row, id, key, served_at, generation, arm, answered,
            version, score, served_score, corrections, propensity, answer, members,
            member_scores, ``x.<feature>``, ``c.<context>``.
        with_labels
            Whether label, event_at and known_at stand beside each row.
        answered
            Only answers, or with False only what was scored in the shadow; both when None.
        after_row, limit
            For a page: rows behind this one, at most so many.

        Returns
        -------
        polars.DataFrame
            In log order; ``.to_arrow()`` makes an Arrow table of it. For a log larger than
            memory see `export`.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        query: transport.Query = {
            "as_of": as_of,
            "since": since,
            "until": until,
            "versions": list(versions) or None,
            "columns": list(columns) or None,
            "with_labels": with_labels,
            "answered": answered,
            "after_row": after_row,
            "limit": limit,
        }
        data = b"".join(self._transport.stream(_log(deployment), query=query))
        return pl.read_ipc_stream(data)

    def export(self, deployment: str, output: str | Path, **narrowed: Any) -> int:
        """Write rows of the prediction log into a file, in bounded memory.

        Parameters
        ----------
        deployment
            Its name.
        output
            ``.parquet``, ``.arrow`` (an IPC stream) or ``.jsonl``; appears when it is whole.
        **narrowed
            What narrows the rows, as for `read`.

        Returns
        -------
        int
            Bytes written.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        InvalidInputError
            When the ending is not known.
        """
        path = Path(output)
        form = _FORMS.get(path.suffix.lower())
        if form is None:
            raise errors.InvalidInputError(
                f"cannot tell the format of {path} from its name",
                hint=f"known endings are {', '.join(_FORMS)}",
            )
        many = {"versions", "columns"}
        query: dict[str, Any] = {
            name: (list(value) or None) if name in many else value
            for name, value in {"answered": True, **narrowed}.items()
        }
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                for piece in self._transport.stream(
                    _log(deployment), query={**query, "format": form}
                ):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            draft.replace(path)
        except OSError as error:
            raise errors.UnavailableError(
                f"{path} cannot be written: {error.strerror}", hint="name another place"
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        return size

    def scorings(self, model: str, *, before: str = "", limit: int = 100) -> ListOfScorings:
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


def _log(deployment: str) -> str:
    return f"/api/deployments/{transport.part(deployment)}/predictions"
