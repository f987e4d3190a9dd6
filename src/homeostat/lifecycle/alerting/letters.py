"""What a delivery says, for each channel: CloudEvents, Slack's JSON, e-mail; pure.

Nothing in here depends on when it is sent: a message sent again is the same, byte by byte.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

import msgspec

from homeostat.foundation import clock
from homeostat.lifecycle.alerting import advice
from homeostat.lifecycle.alerting.entities import Delivery, Told
from homeostat.lifecycle.monitoring.entities import Alert

CLOUD_EVENTS = "application/cloudevents+json; charset=utf-8"
JSON = "application/json; charset=utf-8"
_PREFIX = "whsec_"
_LEAST_SECRET_BYTES = 24
_SHOWN = 20
_NAMED = 3
_FACTS = 12
_HEADING, _LONG, _BLOCK = 200, 400, 3000
UNKNOWN = "unknown"
_WORDS: dict[Told, str] = {
    "confirmed": "ALERT",
    "resolved": "RESOLVED",
    "flapping": "FLAPPING",
    "escalated": "STILL OPEN",
    "no-data": "NO DATA",
}
_PREFACES: dict[Told, str] = {
    "flapping": "It comes and goes; it stays open, and its turns are told to nobody until it "
    "has settled.",
    "escalated": "Nobody has acknowledged it yet, so you are told.",
    "no-data": "Nothing is seen of it any more: it is neither right nor over.",
}


def cloud_event(delivery: Delivery, alerts: Sequence[Alert], *, pages: str = "") -> bytes:
    """Return a delivery as a CloudEvent in structured JSON.

    Parameters
    ----------
    delivery
        Its id is the event's.
    alerts
        Of the delivery, in its order.
    pages
        Address of the server whose pages show the alerts; no links without it.

    References
    ----------
    .. [1] CloudEvents 1.0.2, JSON event format.
    """
    made = dt.datetime.fromtimestamp(delivery.made_at / 1000, tz=dt.UTC)
    told = {
        "specversion": "1.0",
        "id": delivery.id,
        "source": f"/homeostat/deployments/{quote(delivery.deployment, safe=':')}",
        "type": f"homeostat.alert.{delivery.told.replace('-', '_')}",
        "subject": f"deployment:{delivery.deployment}",
        "time": made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "deployment": delivery.deployment,
            "cause": delivery.cause,
            "told": delivery.told,
            "headline": headline(delivery, alerts),
            "alerts": [_alert(one, delivery.told, pages) for one in alerts],
        },
    }
    return msgspec.json.encode(told)


def slack(delivery: Delivery, alerts: Sequence[Alert], *, pages: str = "") -> bytes:
    """Return a delivery as Slack's incoming webhooks take it, and what understands them.

    Parameters
    ----------
    delivery, alerts, pages
        As for `cloud_event`.

    Notes
    -----
    A block with more than 3,000 characters is refused as a whole, so that lines which would
    go beyond are counted instead.
    """
    line = _escaped(_cut(headline(delivery, alerts), _HEADING))
    lines = [f"*{line}*", *(_escaped(one) for one in _preface(delivery))]
    left = _BLOCK - sum(len(one) + 1 for one in lines) - len("and 1000 more: homeostat alerts")
    n_left = len(alerts)
    for same in _alike(alerts)[:_SHOWN]:
        told = _bullet(same, delivery.told, pages)
        left -= len(told) + 1
        if left < 0:
            break
        lines.append(told)
        n_left -= len(same)
    if n_left:
        lines.append(f"and {n_left} more: homeostat alerts")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}}
    return msgspec.json.encode({"text": line, "blocks": [section]})


def mail(
    delivery: Delivery,
    alerts: Sequence[Alert],
    *,
    sender: str,
    to: Sequence[str],
    pages: str = "",
) -> EmailMessage:
    """Return a delivery as e-mail.

    Parameters
    ----------
    delivery, alerts, pages
        As for `cloud_event`.
    sender, to
        Addresses.
    """
    letter = EmailMessage()
    letter["Subject"] = _cut(headline(delivery, alerts), _HEADING)
    letter["From"] = sender
    letter["To"] = ", ".join(to)
    letter["Message-ID"] = f"<{delivery.id}@homeostat>"
    letter["Date"] = dt.datetime.fromtimestamp(delivery.made_at / 1000, tz=dt.UTC)
    letter["Auto-Submitted"] = "auto-generated"
    lines = [headline(delivery, alerts), *_preface(delivery)]
    groups = _alike(alerts)
    for same in groups[:_SHOWN]:
        lines += ["", *_paragraph(same, delivery.told, pages)]
    if len(groups) > _SHOWN:
        n_left = sum(map(len, groups[_SHOWN:]))
        lines += ["", f"and {n_left} more: homeostat alerts"]
    letter.set_content("\n".join([*lines, ""]))
    return letter


def headline(delivery: Delivery, alerts: Sequence[Alert]) -> str:
    """Return one line that says what is new: of whom, what was seen, where, and its cause.

    Parameters
    ----------
    delivery, alerts
        As for `cloud_event`.
    """
    kinds = dict.fromkeys(one.kind for one in alerts)
    what = _where(alerts)
    if delivery.cause not in {UNKNOWN, *kinds}:
        what += f" (cause: {delivery.cause})"
    told = f"[{_WORDS[delivery.told]}] {delivery.deployment}: {what}"
    return " ".join(told.split())  # a header of e-mail has no second line


def signed(delivery: str, body: bytes, *, secret: str, at_s: int) -> dict[str, str]:
    """Return the headers by which a receiver knows who sent a message, and that it is whole.

    Parameters
    ----------
    delivery
        Its id.
    body
        Bytes as they are sent.
    secret
        ``whsec_`` and base64, or any other text, whose bytes are the key then.
    at_s
        When it is sent, seconds since 1970; a receiver refuses old ones.

    Raises
    ------
    ValueError
        When the key has less than 24 bytes.

    References
    ----------
    .. [1] Standard Webhooks 1.0, "Signature scheme" and "Webhook headers".

    Examples
    --------
    >>> secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> told = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret=secret,
    ...               at_s=1614265330)
    >>> told["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("what follows whsec_ is not base64") from None
    if len(key) < _LEAST_SECRET_BYTES:
        raise ValueError(f"a secret needs {_LEAST_SECRET_BYTES} bytes; it has {len(key)}")
    content = b".".join((delivery.encode(), str(at_s).encode(), body))
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _alert(one: Alert, told: Told, pages: str) -> dict[str, Any]:
    fields = {
        "id": one.id,
        "deployment": one.deployment,
        "kind": one.kind,
        "cause": one.cause,
        "column": one.column,
        "sentence": one.sentence,
        "opened_at": one.opened_at,
        "why": advice.why(one),
        "first": advice.first(one),
        "page": _page(one, pages),
        "evidence": one.evidence,
    }
    # What may change while a message waits is in none but that which tells of it.
    return {**fields, "resolved_at": one.resolved_at} if told == "resolved" else fields


def _preface(delivery: Delivery) -> list[str]:
    said = _PREFACES.get(delivery.told, "")
    return [said] if said else []


def _where(alerts: Sequence[Alert]) -> str:
    """Return kinds and columns in a few words."""
    kinds = list(dict.fromkeys(one.kind for one in alerts))
    columns = list(dict.fromkeys(one.column for one in alerts if one.column))
    what = ", ".join(kinds[:_NAMED]) or UNKNOWN
    if columns:
        more = len(columns) - _NAMED
        what += f" of {', '.join(columns[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
    return what


def _alike(alerts: Sequence[Alert]) -> list[list[Alert]]:
    """Gather those that say the same of different columns, which is one thing to a person."""
    groups: dict[tuple[object, ...], list[Alert]] = {}
    for one in alerts:
        ended_at = one.resolved_at and one.resolved_at // 1000
        said = (one.sentence, one.evidence, one.opened_at // 1000, ended_at, advice.first(one))
        groups.setdefault(said, []).append(one)
    return list(groups.values())


def _paragraph(same: Sequence[Alert], told: Told, pages: str) -> list[str]:
    """Return what e-mail says of alerts alike: what, since when, why, what to do, where."""
    one = same[0]
    lines = [one.sentence, f"  what      {_where(same)} on {one.deployment}"]
    lines.append(f"  since     {clock.short(one.opened_at)} UTC")
    if told == "resolved":
        lines.append(f"  over      {_over(one)}")
    if advice.why(one) != UNKNOWN:
        lines.append(f"  cause     {advice.why(one)}")
    if told != "resolved":
        lines.append(f"  first     {advice.first(one)}")
        lines += [f"  evidence  {fact}" for fact in advice.facts(one)[:_FACTS]]
    if pages:
        lines += [f"  page      {_page(other, pages)}" for other in same[:_SHOWN]]
    if len(same) > _SHOWN:
        lines.append(f"            and {len(same) - _SHOWN} more: homeostat alerts")
    lines.append(f"  or        homeostat alerts show {one.id}")
    if told != "resolved":
        ids = " ".join(other.id for other in same[:_SHOWN])
        lines.append(f"  seen it?  homeostat alerts ack {ids}")
    return ["  ".join(line.splitlines()) for line in lines]


def _bullet(same: Sequence[Alert], told: Told, pages: str) -> str:
    """Return what Slack says of alerts alike."""
    one = same[0]
    page = _page(one, pages)
    link = f"<{page}|alert {one.id}>" if page else f"alert {one.id}"
    more = f" and {len(same) - 1} more alike" if len(same) > 1 else ""
    lines = [
        f"• {_escaped(_cut(one.sentence, _LONG))}",
        f"{_escaped(_cut(_where(same), _LONG))}; since {clock.short(one.opened_at)} UTC",
    ]
    if told == "resolved":
        lines[1] += f", over {_over(one)}"
    else:
        if advice.why(one) != UNKNOWN:
            lines.append(f"cause: {_escaped(_cut(advice.why(one), _LONG))}")
        lines.append(f"first: {_escaped(_cut(advice.first(one), _LONG))}")
    return "\n    ".join([*lines, f"{link}{more}"])


def _over(one: Alert) -> str:
    if one.resolved_at is None:
        return UNKNOWN
    lasted = advice.span(max(0, one.resolved_at - one.opened_at))
    return f"{clock.short(one.resolved_at)} UTC, after {lasted}"


def _page(one: Alert, pages: str) -> str:
    return f"{pages.rstrip('/')}/alerts/{quote(one.id)}" if pages else ""


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
