"""Actions on what is noted of a logged model: tags and parameters; called by the doors.

And of models that clients older than these keep as plain artifacts: a tag of their run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import keep, limits, logged, logged_records, records

HISTORY_TAG: Final = "mlflow.log-model.history"
"""Where clients older than logged models look for the models of a run."""
_NEEDED: Final = ("artifact_path", "flavors", "run_id", "utc_time_created")
_KEPT: Final = ("run_id", "artifact_path", "utc_time_created", "model_uuid")


def set_tags(
    tx: Transaction, actor: access.Actor, model_id: str, *, values: Mapping[str, str]
) -> None:
    """Write tags of a logged model; the last value counts.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    model_id
        An existing logged model.
    values
        Text by key.

    Raises
    ------
    NotFoundError
        When there is none.
    InvalidInputError
        When a key or value is too long.
    """
    found = logged.writable(tx, actor, model_id)
    logged.check_texts("tag", values)
    if not values:
        return
    tx.run(logged_records.UPSERT_TAGS, logged_records.texts(tx, model_id, values))
    facts = {"tags": {key: value[: limits.LONGEST_KEY] for key, value in values.items()}}
    events.record(
        tx, actor, "logged-model.tagged", subject=logged.reference(found), facts=facts
    )


def delete_tag(tx: Transaction, actor: access.Actor, model_id: str, *, key: str) -> None:
    """Take a tag off a logged model.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    model_id
        An existing logged model.
    key
        Of a tag it has.

    Raises
    ------
    NotFoundError
        When there is no such model, or it has no such tag.
    """
    found = logged.writable(tx, actor, model_id)
    which = {**logged_records.of_model(tx, model_id), "in_key": key}
    if not tx.run(logged_records.DELETE_TAG, which).rowcount:
        raise errors.NotFoundError(
            f"No tag with key {key[:80]!r} found for model with ID {model_id!r}.", key=key
        )
    facts = {"key": key[: limits.LONGEST_KEY]}
    events.record(
        tx, actor, "logged-model.untagged", subject=logged.reference(found), facts=facts
    )


def log_params(
    tx: Transaction, actor: access.Actor, model_id: str, *, values: Mapping[str, str]
) -> None:
    """Write parameters of a logged model; they never change.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    model_id
        An existing logged model.
    values
        Text by key; a key that has the same value already is left alone.

    Raises
    ------
    NotFoundError
        When there is none.
    ConflictError
        When a key has another value.
    InvalidInputError
        When a key or value is too long.
    """
    logged.writable(tx, actor, model_id)
    logged.check_texts("parameter", values)
    which = logged_records.of_model(tx, model_id)
    known = dict(tx.run(logged_records.PARAMS, which).fetchall())
    for key, value in values.items():
        if known.get(key, value) != value:
            raise errors.ConflictError(
                f"parameter {key!r} of logged-model:{model_id} is {known[key][:80]!r}, "
                f"not to become {value[:80]!r}",
                hint="parameters are written once; use a tag for what changes",
                key=key,
            )
    new = {key: value for key, value in values.items() if key not in known}
    if new:
        tx.run(logged_records.INSERT_PARAMS, logged_records.texts(tx, model_id, new))


def record_history(
    tx: Transaction, actor: access.Actor, run_id: str, *, description: str
) -> None:
    """Add a model to the list of those a run saved as plain artifacts, a tag of the run.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    description
        The JSON of an ``MLmodel`` file.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When the description is no JSON object, lacks a field, or the list grows too long.
    """
    try:
        given = msgspec.json.decode(description)
    except (msgspec.DecodeError, UnicodeError):
        given = None
    if not isinstance(given, dict):
        raise errors.InvalidInputError(
            f"Malformed model info. \n {description[:200]} \n is not a valid JSON."
        )
    missing = [name for name in _NEEDED if name not in given]
    if missing:
        raise errors.InvalidInputError(f"Model json is missing mandatory fields: {missing}")
    history = [*_history(tx, run_id), _entry(given)]
    text = msgspec.json.encode(history).decode()
    if len(text) > limits.LONGEST_VALUE:
        # A tag is cut to its limit, and a list that was cut is none.
        raise errors.InvalidInputError(
            f"the list of models of run:{run_id} would have {len(text)} characters; "
            f"at most {limits.LONGEST_VALUE} are kept",
            hint="the model itself is saved; use mlflow 3 to note more of them",
        )
    keep.set_tags(tx, actor, run_id, values={HISTORY_TAG: text})


def _history(tx: Transaction, run_id: str) -> list[Any]:
    which = {**records.of_run(tx, run_id), "in_key": HISTORY_TAG}
    row = tx.execute(records.TAG_OF_RUN, which).first()
    if row is None:
        return []
    try:
        known = msgspec.json.decode(row.value)
    except msgspec.DecodeError:
        return []
    return known if isinstance(known, list) else []


def _entry(given: dict[str, Any]) -> dict[str, Any]:
    """Return what of a model's description the list keeps: not its configuration."""
    flavors = given["flavors"] if isinstance(given["flavors"], dict) else {}
    return {
        **{name: given.get(name) for name in _KEPT},
        "flavors": {
            flavor: {name: value for name, value in options.items() if name != "config"}
            if isinstance(options, dict)
            else options
            for flavor, options in flavors.items()
        },
    }
