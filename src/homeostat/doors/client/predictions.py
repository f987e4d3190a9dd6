"""Read the prediction log from Python; one subject of the SDK."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from homeostat.doors.client import explaining, transport
from homeostat.foundation import errors
from homeostat.lifecycle.explanations.entities import Kind, Options
from homeostat.lifecycle.serving.recalled import Recalled

_FORMS = {".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".ndjson": "json"}


class Predictions:
    """What the logs of deployments hold.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

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

    def explain(
        self,
        prediction: str,
        *,
        deployment: str = "",
        kinds: Sequence[Kind] = ("contributions", "reasons"),
        top: int | None = None,
        threshold: float | None = None,
    ) -> explaining.ExplainedPrediction:
        """Say why a prediction of the log has its score, by the versions that scored it then.

        The models run here, as where tables are scored; who answers today is not asked.

        Parameters
        ----------
        prediction
            Its id; with `deployment` the key of the latest prediction there.
        deployment
            In which the key is looked for.
        kinds
            ``contributions``, ``reasons``, ``counterfactual``.
        top, threshold
            Reasons at most; the score that decides. As policy and corrections say when None.

        Returns
        -------
        ExplainedPrediction
            What was logged, and why.

        Raises
        ------
        NotFoundError
            When no log has it, as far as they were handed over.
        ConflictError
            When no model scored it.
        """
        query: transport.Query = {"deployment": deployment or None}
        path = f"/api/predictions/{transport.part(prediction)}"
        found = self._transport.call("GET", path, query=query, answer=Recalled)
        options = Options(kinds=tuple(kinds), top=top, threshold=threshold)
        return explaining.explain(self._transport, found, options)

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
        UnavailableError
            When the disk refuses or the server's answer ends early.
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


def _log(deployment: str) -> str:
    return f"/api/deployments/{transport.part(deployment)}/predictions"
