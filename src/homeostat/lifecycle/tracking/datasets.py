"""Actions on data and logged models that runs read or made, as MLflow's clients describe them.

Called by the door those clients speak to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from homeostat.foundation import access, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, input_records, limits, runs

_LONGEST: Final = {
    "name": 500,
    "digest": 36,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}
_LONGEST_TAG_KEY: Final = 255
_LONGEST_TAG_VALUE: Final = 500


def log_inputs(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    datasets: Sequence[entities.DatasetInput] = (),
    model_ids: Iterable[str] = (),
) -> None:
    """Say which described datasets and logged models a run read, once or again.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An active run.
    datasets
        Of the same name and digest the first one counts, within a call and between calls.
    model_ids
        Of logged models.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When the run is deleted or a text is too long.
    """
    for item in datasets:
        _check(item)
    run = runs.writable(tx, actor, run_id)
    wanted = {(item.dataset.name, item.dataset.digest): item for item in reversed(datasets)}
    if wanted:
        write_datasets(tx, run, list(reversed(wanted.values())))
    link_models(tx, run, [entities.ModelLink("input", model_id) for model_id in model_ids])
    _tell(tx, actor, run, "read")


def log_outputs(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    models: Sequence[entities.ModelLink],
) -> None:
    """Say which logged models a run made; the last step counts.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An active run.
    models
        Outputs with their step.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When the run is deleted.
    """
    run = runs.writable(tx, actor, run_id)
    link_models(tx, run, models)
    _tell(tx, actor, run, "made")


def datasets_of(rows: Iterable[Sequence[Any]]) -> tuple[entities.DatasetInput, ...]:
    """Return what a run read, of the rows of `input_records.RUN_DATASETS`."""
    found = []
    for name, digest, source_type, source, schema, profile, tags in rows:
        dataset = entities.LoggedDataset(
            name=name,
            digest=digest,
            source_type=source_type,
            source=source,
            schema=schema,
            profile=profile,
        )
        texts = msgspec.json.decode(tags, type=dict[str, str])
        found.append(
            entities.DatasetInput(
                dataset=dataset,
                tags=tuple(entities.Tag(key, value) for key, value in texts.items()),
            )
        )
    return tuple(found)


def write_datasets(
    tx: Transaction, run: entities.Run, wanted: Sequence[entities.DatasetInput]
) -> None:
    """Write data that were checked and that a run read; of the same data the first counts."""
    experiment_id = int(run.experiment_id)
    rows, links = [], []
    for item in wanted:
        dataset = msgspec.structs.asdict(item.dataset)
        own = {"project": tx.project, "experiment_id": experiment_id}
        rows.append({**dataset, **own, "created_at": tx.at})
        tags = {tag.key: tag.value for tag in item.tags}
        links.append(
            {
                **own,
                "run_id": run.id,
                "name": item.dataset.name,
                "digest": item.dataset.digest,
                "context": tags.get(entities.CONTEXT),
                "tags": msgspec.json.encode(tags).decode(),
            }
        )
    tx.run(input_records.INSERT_DATASETS, rows)
    tx.run(input_records.INSERT_RUN_DATASETS, links)
    for item in wanted:
        source = f"logged-dataset:{item.dataset.name}@{item.dataset.digest}"
        lineage.connect(tx, source=source, target=f"run:{run.id}", kind="read-by")


def link_models(
    tx: Transaction, run: entities.Run, models: Sequence[entities.ModelLink]
) -> None:
    """Write which logged models a run read or made; the last step counts."""
    rows = [
        {
            "project": tx.project,
            "run_id": run.id,
            "role": model.role,
            "model_id": limits.check_model_id(model.model_id),
            "step": model.step,
            "created_at": tx.at,
        }
        for model in models
    ]
    if rows:
        tx.run(input_records.UPSERT_RUN_MODELS, rows)
    for model in models:
        ends = (f"run:{run.id}", f"logged-model:{model.model_id}")
        if model.role == "output":
            lineage.connect(tx, source=ends[0], target=ends[1], kind="made")
        else:
            lineage.connect(tx, source=ends[1], target=ends[0], kind="read-by")


def _tell(tx: Transaction, actor: access.Actor, run: entities.Run, what: str) -> None:
    if run.status in runs.ENDED:
        # While a run works its end vouches for what it kept; afterwards each change is told.
        facts = {"changed": what}
        events.record(tx, actor, "run.changed", subject=f"run:{run.id}", facts=facts)


def _check(item: entities.DatasetInput) -> None:
    for name, longest in _LONGEST.items():
        limits.check_length(name, getattr(item.dataset, name) or "", longest=longest)
    for tag in item.tags:
        limits.check_length("key", tag.key, longest=_LONGEST_TAG_KEY)
        limits.check_length("value", tag.value, longest=_LONGEST_TAG_VALUE)
