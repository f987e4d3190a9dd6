"""The job that asks for a fit because a clock says so; called by `duties`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from homeostat.foundation import jobs
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import actions, asked, cooling, recoded, wanting
from homeostat.lifecycle.serving import actions as serving

Finish = Callable[[Transaction], Any]


def handle(house: House, job: jobs.Job) -> Finish:
    """Ask for a plain fit, look whether the code is new, or answer what has waited long enough.

    Parameters
    ----------
    house
        Its settings name the folder of the code.
    job
        Names deployment and reason.

    Returns
    -------
    callable
        Writes the decision with the completion of the job.
    """
    name, reason = str(job.payload["deployment"]), str(job.payload["reason"])
    if reason == wanting.DUE:
        return lambda tx: {"decisions": len(wanting.answer_due(tx, name))}
    if reason == wanting.CODE:
        return _of_code(house, name)
    cause = msgspec.convert(reason, asked.Reason)
    return lambda tx: _told(wanting.ask(tx, name, reason=cause, by="clock"))


def _of_code(house: House, name: str) -> Finish:
    def look(tx: Transaction) -> tuple[list[recoded.Code], str]:
        state = actions.state(tx, name)
        model = serving.get_deployment(tx, wanting.LOOP, name).model
        return recoded.of_members(tx, model, state), cooling.pace(state).code

    codes, answered = house.read(look)
    change = recoded.changed(house.settings.code.resolve(), codes)
    subject = "" if change is None else f"code:{change.digest[:16]}"
    if change is None or subject == answered:  # answered once, whatever came of it
        return lambda _: {"asked": ""}
    facts = {"files": ", ".join(change.files), "since": f"version {change.version}"}
    return lambda tx: _told(
        wanting.ask(tx, name, reason="code", subject=subject, by="clock", facts=facts)
    )


def _told(made: tuple[Any, ...]) -> dict[str, str]:
    return {"asked": made[0].sentence}
