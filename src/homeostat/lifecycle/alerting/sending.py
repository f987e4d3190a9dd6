"""The worker's jobs of alerting: look at a deployment, send a delivery.

At least once: an attempt is counted, made and noted, in this order, so a worker that dies
on the way sends it again, under the same id. Once an attempt is counted no alert joins the
message any more. Messages about one alert reach a receiver in the order they were made in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from homeostat.foundation import access, addresses, clock, errors, events, jobs, log, settings
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import actions, letters, posting, records, telling, watching
from homeostat.lifecycle.alerting.entities import Delivery
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.monitoring.entities import Alert

FIRST_WAIT_MS = 5_000
LONGEST_WAIT_MS = 3_600_000
GIVE_UP_MS = 86_400_000
KEPT_MS = 90 * 86_400_000
"""How long deliveries that are over can be looked up; the events of them stay."""
TURN_MS = 1_000
"""How long a message waits beyond the one that has to go first."""
_DOUBLINGS = 12

Finish = Callable[[Transaction], Any]
_log = log.get(__name__)


class Post:
    """What sends deliveries.

    Parameters
    ----------
    house
        Open, for as long as this is used.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._actor = access.system("alerting")

    def watches(self) -> dict[str, Callable[[jobs.Job], Finish]]:
        """Return the jobs that wait for nobody, by kind."""
        return {telling.LOOK: self.look}

    def sends(self) -> dict[str, Callable[[jobs.Job], Finish]]:
        """Return the jobs that wait for receivers, by kind; several lanes may do them."""
        return {telling.DELIVER: self.deliver}

    def look(self, job: jobs.Job) -> Finish:
        """Do what the passing of time alone asks for, and come again when there is more."""
        deployment = str(job.payload["deployment"])

        def finish(tx: Transaction) -> dict[str, Any]:
            again_at = telling.look(tx, self._actor, deployment)
            if again_at is not None:
                telling.look_at(tx, self._actor, deployment, at=again_at)
            return {"again_at": again_at}

        return finish

    def deliver(self, job: jobs.Job) -> Finish:
        """Send one delivery, and note what came of it."""
        which = str(job.payload["delivery"])
        delivery, turn_at = self._house.write(lambda tx: begin(tx, self._actor, which))
        if delivery.state != "waiting":
            return lambda _: {"state": delivery.state}
        if turn_at is not None:
            return lambda tx: _later(tx, self._actor, which, at=turn_at)
        try:
            told, policy = self._house.read(lambda tx: self._open(tx, delivery))
        except errors.HomeostatError as error:  # what cannot be read now is not lost for that
            outcome = posting.Outcome(str(error))
        else:
            outcome = send(delivery, told, policy, self._house.settings)
        return lambda tx: note(tx, self._actor, which, outcome)

    def _open(self, tx: Transaction, delivery: Delivery) -> tuple[list[Alert], policies.Alerts]:
        told = [alerts.get_alert(tx, self._actor, one) for one in delivery.alerts]
        return told, watching.policy_of(tx, self._actor, delivery.deployment)


def begin(tx: Transaction, actor: access.Actor, which: str) -> tuple[Delivery, int | None]:
    """Count an attempt at a delivery that waits, unless another one has to go first.

    Parameters
    ----------
    tx, actor
        Opened for writing; a part of the system.
    which
        Id of the delivery.

    Returns
    -------
    tuple
        The delivery, and None; or, where a message about the same alerts, made before, still
        waits for the same receiver, when its turn may come, milliseconds UTC.
    """
    access.require(actor, "alert.write")
    delivery = _get(tx, which)
    if delivery.state != "waiting":
        return delivery, None
    first = _before(tx, delivery)
    if first is not None:
        return delivery, max(tx.at, first.next_at) + TURN_MS
    n = delivery.attempts + 1
    asked = {"in_project": tx.project, "in_id": which}
    tx.execute(records.BEGIN, {**asked, "to_attempts": n})
    return msgspec.structs.replace(delivery, attempts=n), None


def send(
    delivery: Delivery,
    told_of: list[Alert],
    policy: policies.Alerts,
    told: settings.Settings,
) -> posting.Outcome:
    """Try to send a delivery once.

    Parameters
    ----------
    delivery, told_of
        With its alerts.
    policy
        Of its deployment, which says where receivers are.
    told
        Which has their secrets.

    Returns
    -------
    Outcome
        Final where no attempt could ever go well.
    """
    name, private = delivery.receiver, told.allow_private_webhooks
    pages = told.public_url or addresses.server(told)
    secret = secrets_of(told).get(name, "")
    if name in policy.email:
        letter = letters.mail(
            delivery, told_of, sender=told.smtp_from, to=policy.email[name], pages=pages
        )
        return posting.send_mail(letter, told)
    if name in policy.slack:
        if not secret:
            return _without(name, "the address of its channel")
        body = letters.slack(delivery, told_of, pages=pages)
        headers = {"content-type": letters.JSON}
        return posting.post(secret, body, headers, allow_private=private)
    if name not in policy.webhooks:
        return posting.Outcome(f"the policy names no receiver {name!r} any more", is_final=True)
    if not secret:
        return _without(name, "what its messages are signed with")
    body = letters.cloud_event(delivery, told_of, pages=pages)
    try:
        signed = letters.signed(delivery.id, body, secret=secret, at_s=clock.now_ms() // 1000)
    except ValueError as error:
        return posting.Outcome(f"the secret of {name} is refused: {error}", is_final=True)
    headers = {"content-type": letters.CLOUD_EVENTS, **signed}
    return posting.post(policy.webhooks[name], body, headers, allow_private=private)


def secrets_of(told: settings.Settings) -> dict[str, str]:
    """Return the setting ``alert_secrets`` by name of receiver."""
    pairs = (one.partition("=") for one in told.alert_secrets.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def note(
    tx: Transaction, actor: access.Actor, which: str, outcome: posting.Outcome
) -> dict[str, Any]:
    """Note what came of the attempt that was counted: sent, tried again later, or given up.

    Parameters
    ----------
    tx, actor
        Opened for writing; a part of the system.
    which
        Id of the delivery.
    outcome
        Of the attempt.
    """
    access.require(actor, "alert.write")
    delivery = _get(tx, which)
    attempts = delivery.attempts
    values: dict[str, Any] = {
        "in_project": tx.project,
        "in_id": which,
        "to_attempts": attempts,
        "to_error": outcome.error or outcome.remark,
        "to_next_at": delivery.next_at,
        "to_ended_at": tx.at,
    }
    is_late = tx.at - delivery.made_at >= GIVE_UP_MS
    facts = {
        "deployment": delivery.deployment,
        "receiver": delivery.receiver,
        "told": delivery.told,
        "alerts": list(delivery.alerts),
        "attempts": attempts,
    }
    subject = f"delivery:{which}"
    if not outcome.error:
        tx.execute(records.TRIED, {**values, "to_state": "sent"})
        if outcome.remark:
            _log.warning("not all were reached", receiver=delivery.receiver, of=outcome.remark)
            facts["remark"] = outcome.remark
        events.record(tx, actor, "delivery.sent", subject=subject, facts=facts)
        purge(tx, actor)
        return {"state": "sent"}
    _log.warning("a delivery failed", receiver=delivery.receiver, error=outcome.error)
    if outcome.is_final or is_late:
        tx.execute(records.TRIED, {**values, "to_state": "given-up"})
        told = {**facts, "error": outcome.error}
        events.record(tx, actor, "delivery.given_up", subject=subject, facts=told)
        purge(tx, actor)
        return {"state": "given-up"}
    again_at = tx.at + max(wait_ms(attempts), 1000 * outcome.wait_s)
    tx.execute(records.TRIED, {**values, "to_state": "waiting", "to_ended_at": None})
    return _later(tx, actor, which, at=again_at)


def purge(tx: Transaction, actor: access.Actor) -> int:
    """Let go of deliveries that were over 90 days ago; called when one more is over.

    Parameters
    ----------
    tx, actor
        Opened for writing; needs ``alert.write``.

    Returns
    -------
    int
        How many; one event tells of them.
    """
    access.require(actor, "alert.write")
    before = {"in_project": tx.project, "before": tx.at - KEPT_MS}
    n = tx.execute(records.PURGE, before).rowcount
    if n:
        facts = {"n": n, "before": tx.at - KEPT_MS}
        events.record(tx, actor, "delivery.purged", subject="deliveries", facts=facts)
    return n


def wait_ms(attempts: int) -> int:
    """Return how long to wait after some attempts: twice as long each time, half by chance."""
    whole = min(FIRST_WAIT_MS << min(attempts - 1, _DOUBLINGS), LONGEST_WAIT_MS)
    return whole // 2 + secrets.randbelow(whole // 2 + 1)


def _later(tx: Transaction, actor: access.Actor, which: str, *, at: int) -> dict[str, Any]:
    asked = {"in_project": tx.project, "in_id": which}
    tx.execute(records.POSTPONE, {**asked, "to_next_at": at})
    telling.send_at(tx, actor, which, at=at)
    return {"state": "waiting"}


def _before(tx: Transaction, delivery: Delivery) -> Delivery | None:
    """Return the message about one of the same alerts that this receiver still waits for."""
    asked = {
        "in_project": tx.project,
        "in_deployment": delivery.deployment,
        "in_cause": delivery.cause,
        "in_receiver": delivery.receiver,
        "before_id": delivery.id,
    }
    rows = tx.execute(records.WAITING_BEFORE, asked).mappings()
    return next(
        (one for one in map(actions.delivery, rows) if {*one.alerts} & {*delivery.alerts}),
        None,
    )


def _get(tx: Transaction, which: str) -> Delivery:
    asked = {"in_project": tx.project, "in_id": which}
    row = tx.execute(records.DELIVERY, asked).mappings().first()
    if row is None:
        raise errors.NotFoundError(f"no delivery {which!r}")
    return actions.delivery(row)


def _without(name: str, what: str) -> posting.Outcome:
    return posting.Outcome(
        f"the setting alert_secrets does not say {what}: {name}=…", is_final=True
    )
