"""The corrector of a plan: brought into its document, and applied after the members' mean.

`doors.api` brings it; `served` and `arms` ask for it where they make an arm. An arm without one
has None and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import composite, plan
from homeostat.lifecycle.serving.entities import PlanDocument
from homeostat.measures import residual

Ask = Callable[[Sequence[composite.Seat], composite.Columns, int], composite.Scored]

_READ_AT_MOST: Final = 1_000
_read: dict[tuple[str, str, str], residual.Corrector] = {}  # a digest names the same for ever
_log = log.get(__name__)


class Unsealing(Protocol):
    """What returns stored bytes; a house."""

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return the bytes of that digest."""


def read(
    house: Unsealing, model: str, digest: str, *, project: str | None = None
) -> residual.Corrector:
    """Return a corrector by its digest.

    Parameters
    ----------
    house
        What returns stored bytes.
    model
        Whose blob it is.
    digest
        As the plan says it.
    project
        Namespace; the house's own when None.

    Raises
    ------
    HomeostatError
        When it is gone, or its bytes are others.
    """
    which = (project or "", model, digest)
    found = _read.get(which)
    if found is None:
        data = house.get_blob(f"model:{model}", digest, project=project)
        found = msgspec.json.decode(data, type=residual.Corrector)
        if len(_read) >= _READ_AT_MOST:
            _read.clear()
        _read[which] = found
    return found


def with_corrector(house: Unsealing, document: PlanDocument, *, project: str) -> PlanDocument:
    """Return a plan document with the corrector that answers; without, where it is gone.

    Parameters
    ----------
    house
        What returns stored bytes.
    document
        As `actions` returns it.
    project
        Namespace.
    """
    named = document.plan.corrector
    if named is None or not named.answers:
        return document
    try:
        found = read(house, document.model, named.digest, project=project)
    except (errors.HomeostatError, msgspec.MsgspecError) as error:
        # The members' mean is an answer as well; none would be worse.
        _log.warning("corrector is gone", deployment=document.deployment, why=str(error))
        return document
    return msgspec.structs.replace(document, corrector=found)


def of_arm(document: PlanDocument, arm: str) -> residual.Applied | None:
    """Return what corrects the members of an arm; None where nothing does, as in a shadow."""
    if document.corrector is None or arm == plan.SHADOW:
        return None
    return residual.Applied(document.corrector)


def score(  # noqa: PLR0917 - the members' own call, with who goes on from it before
    applied: residual.Applied,
    ask: Ask,
    seats: Sequence[composite.Seat],
    columns: composite.Columns,
    n_rows: int,
) -> composite.Scored:
    """Let the members score a batch, and go on from their mean.

    Parameters
    ----------
    applied
        From `of_arm`.
    ask
        Asks the members.
    seats, columns, n_rows
        Of `composite.score`.
    """
    scored = ask(seats, columns, n_rows)
    return scored._replace(corrected=applied.corrected(columns, scored.scores))
