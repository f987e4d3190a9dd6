"""Reads the SQLite file of an MLflow server, and the folder of its artifacts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from homeostat.doors.cli.imports import folders, rows, shapes, source
from homeostat.foundation import errors
from homeostat.lifecycle.importing import entities
from homeostat.lifecycle.tracking import entities as tracked
from homeostat.lifecycle.tracking import logged_entities

RUNS_A_PAGE: Final = 200
POINTS_AT_ONCE: Final = 5000
_NEEDED: Final = {
    "experiments": ("experiment_id", "name", "artifact_location", "lifecycle_stage"),
    "runs": (
        *("run_uuid", "user_id", "status", "start_time", "end_time", "lifecycle_stage"),
        *("artifact_uri", "experiment_id"),
    ),
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
}
_UNTAKEN: Final = {
    "trace_info": ("trace", "traces are not copied"),
    "webhooks": ("webhook", "webhooks are not copied; their secrets cannot be read"),
    "evaluation_datasets": ("evaluation dataset", "evaluation datasets are not copied"),
    "scorers": ("scorer", "scorers are not copied"),
    "endpoints": ("gateway endpoint", "gateway endpoints are not copied"),
    "users": ("user", "users and their permissions are not copied"),
}
Row = rows.Row


class Database:
    """A database file; implements `source.Source`.

    Parameters
    ----------
    path
        Of the file.
    artifacts
        Folder that the server keeps artifacts in, or None to look beside the file.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InvalidInputError
        When it is no database of MLflow, or one of a schema that cannot be read.
    """

    def __init__(self, path: Path, *, artifacts: Path | None = None) -> None:
        if not path.is_file():
            raise errors.NotFoundError(
                f"there is no file {path}", hint="give sqlite:///PATH of the tracking database"
            )
        self.path = path.resolve()
        self.address = f"sqlite:///{self.path}"
        self._folders = folders.Folders(self.path.parent, artifacts)
        try:
            uri = f"{self.path.as_uri()}?mode=ro"
            self._file = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=30)
            self._file.row_factory = sqlite3.Row
            self._columns = {
                table: {row["name"] for row in self._all(f"PRAGMA table_info({quoted(table)})")}
                for table in self._tables()
            }
        except sqlite3.DatabaseError as error:
            raise errors.InvalidInputError(
                f"{path} is no SQLite database that can be read: {error}"
            ) from error
        self._check()

    def _tables(self) -> list[str]:
        found = self._all("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [row["name"] for row in found]

    def _check(self) -> None:
        is_mlflow = "run_uuid" in self._columns.get("runs", ())
        if not is_mlflow or "alembic_version" not in self._columns:
            raise errors.InvalidInputError(
                f"{self.path} is no database of MLflow: it has no tables of runs",
                hint="give the file behind --backend-store-uri",
            )
        for table, names in _NEEDED.items():
            lacking = set(names) - self._columns.get(table, set())
            if lacking:
                row = self._all("SELECT version_num AS n FROM alembic_version")
                revision = row[0]["n"] if row else "unknown"
                raise errors.InvalidInputError(
                    f"{self.path} has MLflow's schema {revision}, whose table {table} has no "
                    f"column {', '.join(sorted(lacking))}",
                    hint="run `mlflow db upgrade`, or import from a running server",
                )

    def count_runs(self) -> int | None:
        """Return how many runs there are."""
        return int(self._all("SELECT count(*) AS n FROM runs")[0]["n"])

    def experiments(self) -> Iterator[entities.Experiment]:
        """Yield all experiments, deleted ones too."""
        tags = self._texts("experiment_tags", "experiment_id")
        for row in self._all("SELECT * FROM experiments ORDER BY experiment_id"):
            pairs = tags.get(row["experiment_id"], {})
            found = shapes.experiment(dict(row))
            yield entities.Experiment(
                **{name: getattr(found, name) for name in found.__struct_fields__[:-1]},
                tags=pairs,
            )

    def runs(self, experiment_id: str) -> Iterator[list[source.FoundRun]]:
        """Yield the runs of an experiment, oldest first, in pages."""
        rows = self._all(
            "SELECT run_uuid FROM runs WHERE experiment_id = ? ORDER BY start_time, run_uuid",
            int(experiment_id),
        )
        ids = [row["run_uuid"] for row in rows]
        for start in range(0, len(ids), RUNS_A_PAGE):
            yield self._page(ids[start : start + RUNS_A_PAGE])

    def _page(self, ids: Sequence[str]) -> list[source.FoundRun]:
        kept = rows.Kept(
            self._texts("params", "run_uuid", ids),
            self._texts("tags", "run_uuid", ids),
            self._datasets(ids),
            self._links(ids),
        )
        states: dict[str, list[tuple[str, int, int, int]]] = {}
        for row in self._among(
            "SELECT run_uuid, key, count(*) AS n, max(timestamp) AS t, max(step) AS s "
            "FROM metrics WHERE run_uuid IN ({}) GROUP BY run_uuid, key ORDER BY key",
            ids,
        ):
            said = (row["key"], row["n"], row["t"], row["s"])
            states.setdefault(row["run_uuid"], []).append(said)
        page = self._among("SELECT * FROM runs WHERE run_uuid IN ({})", ids)
        found = {row["run_uuid"]: dict(row) for row in page}
        return [
            source.FoundRun(
                rows.run(found[one], kept),
                found[one]["artifact_uri"] or "",
                tuple(state[0] for state in states.get(one, ())),
                shapes.digest(repr(states.get(one))),
            )
            for one in ids
            if one in found
        ]

    def points(self, found: Sequence[source.FoundRun]) -> Iterator[entities.Points]:
        """Yield all points of some runs, a few thousand at once."""
        for one in found:
            if not one.keys:
                continue
            cursor = self._file.execute(
                "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?",
                (one.run.id,),
            )
            while page := cursor.fetchmany(POINTS_AT_ONCE):
                yield entities.Points(one.run.id, tuple(map(rows.point, page)))

    def logged_models(self, experiment_id: str) -> Iterator[source.FoundModel]:
        """Yield the logged models of an experiment; none where the schema knows none."""
        if "logged_models" not in self._columns:
            return
        all_rows = self._all(
            "SELECT * FROM logged_models WHERE experiment_id = ? ORDER BY model_id",
            int(experiment_id),
        )
        for start in range(0, len(all_rows), RUNS_A_PAGE):
            page = all_rows[start : start + RUNS_A_PAGE]
            ids = [row["model_id"] for row in page]
            params = self._texts("logged_model_params", "model_id", ids, prefix="param_")
            tags = self._texts("logged_model_tags", "model_id", ids, prefix="tag_")
            points: dict[str, list[logged_entities.LoggedMetric]] = {}
            for row in self._among(
                "SELECT * FROM logged_model_metrics WHERE model_id IN ({})", ids
            ):
                points.setdefault(row["model_id"], []).append(rows.logged_point(row))
            for row in page:
                one = row["model_id"]
                made = entities.LoggedModel(
                    model=rows.logged_model(dict(row)),
                    params=params.get(one, {}),
                    tags=tags.get(one, {}),
                    metrics=tuple(points.get(one, ())),
                )
                yield source.FoundModel(made, row["artifact_location"] or "")

    def models(self) -> Iterator[tuple[entities.Model, list[entities.Version]]]:
        """Yield registered models with their versions by number."""
        if "registered_models" not in self._columns:
            return
        for row in self._all("SELECT * FROM registered_models ORDER BY name"):
            found = dict(row)
            name = found["name"]
            aliases = self._of_name("registered_model_aliases", name)
            model = entities.Model(
                name=name,
                description=found.get("description") or None,
                created_at=int(found.get("creation_time") or 0),
                updated_at=int(found.get("last_updated_time") or 0),
                tags=shapes.texts(self._of_name("registered_model_tags", name)),
                aliases={item["alias"]: int(item["version"]) for item in aliases},
            )
            tags: dict[int, list[Row]] = {}
            for item in self._of_name("model_version_tags", name):
                tags.setdefault(int(item["version"]), []).append(item)
            versions = [
                rows.version(item, shapes.texts(tags.get(int(item["version"]))))
                for item in self._of_name("model_versions", name)
                if item["current_stage"] != "Deleted_Internal"
            ]
            yield model, sorted(versions, key=lambda version: version.number)

    def files(self, holder: source.Holder) -> Iterator[source.File]:
        """Yield the files of a run or logged model."""
        return self._folders.files(holder.address)

    def read(self, holder: source.Holder, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        return self._folders.read(holder.address, path)

    def untaken(self) -> list[source.Untaken]:
        """Return what the database has that no import takes."""
        found = []
        for table, (kind, why) in _UNTAKEN.items():
            if table in self._columns:
                n = self._all(f"SELECT count(*) AS n FROM {quoted(table)}")[0]["n"]  # noqa: S608
                if n:
                    found.append(source.Untaken(kind, int(n), why))
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        return self._file.execute(statement, values).fetchall()

    def _among(self, statement: str, ids: Sequence[str]) -> list[sqlite3.Row]:
        """Run a statement whose ``{}`` stands for so many bound values."""
        return self._all(statement.format(", ".join("?" * len(ids))), *ids)

    def _of_name(self, table: str, name: str) -> list[Row]:
        if table not in self._columns:
            return []
        rows = self._all(f"SELECT * FROM {quoted(table)} WHERE name = ?", name)  # noqa: S608
        return [dict(row) for row in rows]

    def _texts(
        self, table: str, owner: str, ids: Sequence[str] | None = None, *, prefix: str = ""
    ) -> dict[Any, dict[str, str]]:
        found: dict[Any, dict[str, str]] = {}
        if table not in self._columns:
            return found
        key, value = f"{prefix}key", f"{prefix}value"
        asked = f"SELECT {owner} AS o, {key} AS k, {value} AS v FROM {table}"  # noqa: S608
        given = f"{asked} WHERE {owner} IN ({{}})"
        for row in self._all(asked) if ids is None else self._among(given, ids):
            found.setdefault(row["o"], {})[row["k"]] = row["v"] or ""
        return found

    def _datasets(self, ids: Sequence[str]) -> dict[str, list[tracked.DatasetInput]]:
        found: dict[str, list[tracked.DatasetInput]] = {}
        if not {"datasets", "inputs", "input_tags"} <= set(self._columns):
            return found
        rows = self._among(
            "SELECT i.destination_id AS run_id, i.input_uuid AS input_id, d.* FROM inputs i "
            "JOIN datasets d ON d.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' "
            "AND i.destination_type = 'RUN' AND i.destination_id IN ({})",
            ids,
        )
        tags: dict[str, list[tracked.Tag]] = {}
        inputs = [row["input_id"] for row in rows]
        for start in range(0, len(inputs), RUNS_A_PAGE):
            asked = "SELECT * FROM input_tags WHERE input_uuid IN ({}) ORDER BY name"
            for row in self._among(asked, inputs[start : start + RUNS_A_PAGE]):
                tag = tracked.Tag(row["name"], row["value"] or "")
                tags.setdefault(row["input_uuid"], []).append(tag)
        for row in rows:
            made = tracked.LoggedDataset(
                name=row["name"],
                digest=row["digest"],
                source_type=row["dataset_source_type"] or "",
                source=row["dataset_source"] or "",
                schema=row["dataset_schema"],
                profile=row["dataset_profile"],
            )
            item = tracked.DatasetInput(dataset=made, tags=tuple(tags.get(row["input_id"], ())))
            found.setdefault(row["run_id"], []).append(item)
        return found

    def _links(self, ids: Sequence[str]) -> dict[str, list[tracked.ModelLink]]:
        found: dict[str, list[tracked.ModelLink]] = {}
        if "logged_models" not in self._columns:
            return found
        rows = self._among(
            "SELECT * FROM inputs WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') "
            "AND source_id IN ({})",
            ids,
        )
        for row in rows:
            is_output = row["source_type"] == "RUN_OUTPUT"
            link = tracked.ModelLink(
                "output" if is_output else "input",
                row["destination_id"],
                int(row["step"] or 0) if is_output else 0,
            )
            found.setdefault(row["source_id"], []).append(link)
        return found


def quoted(name: str) -> str:
    """Return a table's name as SQLite takes any name."""
    return '"' + name.replace('"', '""') + '"'
