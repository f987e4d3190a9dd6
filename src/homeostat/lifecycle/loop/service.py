"""Asks the prediction server how fast it answered; called by `measuring` and `pacing`."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from homeostat.foundation import addresses, log, settings
from homeostat.lifecycle.monitoring import service_counts

WAIT_S = 3.0
MOST_BYTES = 20_000_000

_log = log.get(__name__)


def counted(told: settings.Settings) -> dict[str, service_counts.Counts] | None:
    """Return what the prediction server has counted, by deployment; None while it is away.

    Parameters
    ----------
    told
        Which name its address; the one of this home otherwise.
    """
    text = _numbers(told)
    return None if text is None else service_counts.read(text)


def of_canary(
    told: settings.Settings, deployment: str, *, generation: int
) -> service_counts.Counts | None:
    """Return how many batches a canary scored how fast; None while the server is away.

    Parameters
    ----------
    told
        As for `counted`.
    deployment, generation
        Whose plan.
    """
    text = _numbers(told)
    if text is None:
        return None
    return service_counts.of_canary(text, deployment, generation=generation)


def _numbers(told: settings.Settings) -> str | None:
    address = urlsplit(addresses.predictions(told))
    kind = (
        http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    )
    line = kind(address.hostname or "127.0.0.1", address.port, timeout=WAIT_S)
    headers = {"authorization": f"Bearer {told.token}"} if told.token else {}
    try:
        line.request("GET", "/metrics", headers=headers)
        answer = line.getresponse()
        body = answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        _log.info("the prediction server did not say how fast it is", error=str(error))
        return None
    finally:
        line.close()
    if answer.status != http.client.OK:
        _log.warning("the prediction server refuses its numbers", status=answer.status)
        return None
    return body.decode("utf-8", "replace")
