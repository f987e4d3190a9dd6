"""Explain predictions of the log, where this runs; part of `predictions`."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

import blake3
import msgspec

from homeostat.doors.client import transport
from homeostat.foundation import errors
from homeostat.lifecycle.explanations import child, entities, orders
from homeostat.lifecycle.registry import described
from homeostat.lifecycle.serving.entities import VersionFiles
from homeostat.lifecycle.serving.recalled import Recalled


class ExplainedPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction of the log, and why it has its score.

    Attributes
    ----------
    prediction
        As it was logged; without the files of its versions.
    explanation
        Of the versions that scored it then, by the corrections of then.
    gap
        How far the explained score is from the logged one; a twin may be 1e-5 away. None where
        a corrector and corrections both changed it: the log has no score between them.
    """

    prediction: Recalled
    explanation: entities.Explanation
    gap: float | None


def explain(
    speaking: transport.Transport, recalled: Recalled, options: entities.Options
) -> ExplainedPrediction:
    """Fetch the versions that scored a prediction, and have them say why.

    Parameters
    ----------
    speaking
        The transport of the client.
    recalled
        As the server told it.
    options
        What is asked for.

    Returns
    -------
    ExplainedPrediction
        Its contributions add up to what these versions say of the row.

    Raises
    ------
    CorruptError
        When a file is not what its digest says.
    HomeostatError
        Whatever is wrong with a version here: a library that is missing, a model that raises.
    """
    with tempfile.TemporaryDirectory(prefix="homeostat-explain-") as made:
        folder = Path(made)
        for one in recalled.scorers:
            _fetch(speaking, recalled.model, one.version, folder=folder)
        reply = child.answer(_order(recalled, folder, options), OrderedDict())
    if isinstance(reply, orders.Failed):
        raise reply.error()
    (found,) = reply.rows
    told = msgspec.structs.replace(recalled, scorers=())
    return ExplainedPrediction(prediction=told, explanation=found, gap=_gap(recalled, found))


def _gap(recalled: Recalled, found: entities.Explanation) -> float | None:
    if recalled.corrector is None:
        return abs(found.score - recalled.score)
    return None if recalled.corrections else abs(found.score - recalled.served_score)


def _order(recalled: Recalled, folder: Path, options: entities.Options) -> orders.Order:
    return orders.Order(
        folder=str(folder),
        members=tuple(
            orders.Source(
                version=one.version.version,
                weight=one.weight,
                digest=one.version.digest,
                files=_named(one.version),
                is_trusted=one.version.is_trusted,
            )
            for one in recalled.scorers
        ),
        columns={name: [value] for name, value in recalled.row.items()},
        explain=recalled.explain,
        protected=recalled.protected,
        favourable=recalled.favourable,
        options=options,
        thresholds=[recalled.threshold],
        corrector=recalled.corrector,
    )


def _named(version: VersionFiles) -> dict[str, str]:
    """Return what is opened of a version; the description of a judgement goes before."""
    if not version.description:
        return version.files
    return {**version.files, described.DESCRIPTION: version.description}


def _fetch(
    speaking: transport.Transport, model: str, version: VersionFiles, *, folder: Path
) -> None:
    where = f"/api/models/{transport.part(model)}/versions/{version.version}"
    asked = {f"{where}/files/{path}": digest for path, digest in version.files.items()}
    if version.description:
        asked[f"{where}/description"] = version.description
    for path, digest in asked.items():
        data = speaking.call("GET", path, answer=bytes)
        if blake3.blake3(data).hexdigest() != digest:
            raise errors.CorruptError(f"the server sent other bytes than {digest}")
        (folder / digest).write_bytes(data)
