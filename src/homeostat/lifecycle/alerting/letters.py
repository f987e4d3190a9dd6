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

import msgspec

from homeostat.lifecycle.alerting.entities import Delivery, Told
from homeostat.lifecycle.monitoring.entities import Alert

CLOUD_EVENTS = "application/cloudevents+json; charset=utf-8"
JSON = "application/json; charset=utf-8"
_PREFIX = "whsec_"
_LEAST_SECRET_BYTES = 24
_SHOWN = 20
UNKNOWN = "unknown"
_WORDS: dict[Told, str] = {
    "confirmed": "ALERT",
    "resolved": "RESOLVED",
    "flapping": "FLAPPING",
    "escalated": "STILL OPEN",
    "no-data": "NO DATA",
}


def cloud_event(delivery: Delivery, alerts: Sequence[Alert]) -> bytes:
    """Return a delivery as a CloudEvent in structured JSON.

    Parameters
    ----------
    delivery
        Its id is the event's.
    alerts
        Of the delivery, in its order.

    References
    ----------
    .. [1] CloudEvents 1.0.2, JSON event format.
    """
    made = dt.datetime.fromtimestamp(delivery.made_at / 1000, tz=dt.UTC)
    told = {
        "specversion": "1.0",
        "id": delivery.id,
        "source": f"/homeostat/deployments/{delivery.deployment}",
        "type": f"homeostat.alert.{delivery.told.replace('-', '_')}",
        "subject": f"deployment:{delivery.deployment}",
        "time": made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "deployment": delivery.deployment,
            "cause": delivery.cause,
            "told": delivery.told,
            "alerts": [_alert(one) for one in alerts],
        },
    }
    return msgspec.json.encode(told)


def slack(delivery: Delivery, alerts: Sequence[Alert]) -> bytes:
    """Return a delivery as Slack's incoming webhooks take it, and what understands them.

    Parameters
    ----------
    delivery, alerts
        As for `cloud_event`.
    """
    lines = [f"• {_escaped(line)}" for line in _lines(alerts)]
    heading = f"*{_escaped(headline(delivery, alerts))}*"
    section = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "\n".join([heading, *lines])},
    }
    return msgspec.json.encode(
        {"text": _escaped(headline(delivery, alerts)), "blocks": [section]}
    )


def mail(
    delivery: Delivery, alerts: Sequence[Alert], *, sender: str, to: Sequence[str]
) -> EmailMessage:
    """Return a delivery as e-mail.

    Parameters
    ----------
    delivery, alerts
        As for `cloud_event`.
    sender, to
        Addresses.
    """
    letter = EmailMessage()
    letter["Subject"] = headline(delivery, alerts)
    letter["From"] = sender
    letter["To"] = ", ".join(to)
    letter["Message-ID"] = f"<{delivery.id}@homeostat>"
    letter["Date"] = dt.datetime.fromtimestamp(delivery.made_at / 1000, tz=dt.UTC)
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content("\n".join([headline(delivery, alerts), "", *_lines(alerts), ""]))
    return letter


def headline(delivery: Delivery, alerts: Sequence[Alert]) -> str:
    """Return one line that says what is new: its cause, or what was found without one."""
    kinds = dict.fromkeys(one.kind for one in alerts)
    what = delivery.cause if delivery.cause != UNKNOWN else ", ".join(kinds) or UNKNOWN
    more = f" ({len(delivery.alerts)} alerts)" if len(delivery.alerts) > 1 else ""
    told = f"[{_WORDS[delivery.told]}] {delivery.deployment}: {what}{more}"
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


def _alert(one: Alert) -> dict[str, Any]:
    return {
        "id": one.id,
        "deployment": one.deployment,
        "kind": one.kind,
        "cause": one.cause,
        "column": one.column,
        "sentence": one.sentence,
        "opened_at": one.opened_at,
        "evidence": one.evidence,
    }


def _lines(alerts: Sequence[Alert]) -> list[str]:
    lines = []
    for one in alerts[:_SHOWN]:
        where = f" of {one.column}" if one.column else ""
        lines.append(f"{one.kind}{where}: {one.sentence} (alert {one.id})")
    return lines if len(alerts) <= _SHOWN else [*lines, f"and {len(alerts) - _SHOWN} more"]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
