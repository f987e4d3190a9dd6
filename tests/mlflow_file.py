"""A tracking database as MLflow 3 makes it, written by plain SQL, and its artifact folder."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256),
 artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT,
 last_update_time BIGINT);
CREATE TABLE experiment_tags (key VARCHAR(250), value TEXT, experiment_id INTEGER,
 PRIMARY KEY (key, experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20),
 source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256),
 status VARCHAR(9), start_time BIGINT, end_time BIGINT, source_version VARCHAR(50),
 lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,
 deleted_time BIGINT);
CREATE TABLE metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32),
 step BIGINT DEFAULT 0, is_nan BOOLEAN DEFAULT 0,
 PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32),
 PRIMARY KEY (key, run_uuid));
CREATE TABLE tags (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32),
 PRIMARY KEY (key, run_uuid));
CREATE TABLE datasets (dataset_uuid VARCHAR(36), experiment_id INTEGER, name VARCHAR(500),
 digest VARCHAR(36), dataset_source_type VARCHAR(36), dataset_source TEXT, dataset_schema TEXT,
 dataset_profile TEXT, PRIMARY KEY (experiment_id, name, digest));
CREATE TABLE inputs (input_uuid VARCHAR(36), source_type VARCHAR(36), source_id VARCHAR(36),
 destination_type VARCHAR(36), destination_id VARCHAR(36), step BIGINT DEFAULT 0,
 PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE TABLE input_tags (input_uuid VARCHAR(36), name VARCHAR(255), value VARCHAR(500),
 PRIMARY KEY (input_uuid, name));
CREATE TABLE logged_models (model_id VARCHAR(36) PRIMARY KEY, experiment_id INTEGER,
 name VARCHAR(500), artifact_location VARCHAR(1000), creation_timestamp_ms BIGINT,
 last_updated_timestamp_ms BIGINT, status INTEGER, lifecycle_stage VARCHAR(32),
 model_type VARCHAR(500), source_run_id VARCHAR(32), status_message VARCHAR(1000));
CREATE TABLE logged_model_params (model_id VARCHAR(36), experiment_id INTEGER,
 param_key VARCHAR(255), param_value TEXT, PRIMARY KEY (model_id, param_key));
CREATE TABLE logged_model_tags (model_id VARCHAR(36), experiment_id INTEGER,
 tag_key VARCHAR(255), tag_value TEXT, PRIMARY KEY (model_id, tag_key));
CREATE TABLE logged_model_metrics (model_id VARCHAR(36), metric_name VARCHAR(500),
 metric_timestamp_ms BIGINT, metric_step BIGINT, metric_value FLOAT, experiment_id INTEGER,
 run_id VARCHAR(32), dataset_uuid VARCHAR(36), dataset_name VARCHAR(500),
 dataset_digest VARCHAR(36),
 PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
CREATE TABLE registered_models (name VARCHAR(256) PRIMARY KEY, creation_time BIGINT,
 last_updated_time BIGINT, description VARCHAR(5000));
CREATE TABLE registered_model_tags (key VARCHAR(250), value VARCHAR(5000), name VARCHAR(256),
 PRIMARY KEY (key, name));
CREATE TABLE registered_model_aliases (alias VARCHAR(256), version INTEGER, name VARCHAR(256),
 PRIMARY KEY (name, alias));
CREATE TABLE model_versions (name VARCHAR(256), version INTEGER, creation_time BIGINT,
 last_updated_time BIGINT, description VARCHAR(5000), user_id VARCHAR(256),
 current_stage VARCHAR(20), source VARCHAR(500), run_id VARCHAR(32), status VARCHAR(20),
 status_message VARCHAR(500), run_link VARCHAR(500), storage_location VARCHAR(500),
 PRIMARY KEY (name, version));
CREATE TABLE model_version_tags (key VARCHAR(250), value TEXT, name VARCHAR(256),
 version INTEGER, PRIMARY KEY (key, name, version));
CREATE TABLE trace_info (request_id VARCHAR(50) PRIMARY KEY, experiment_id INTEGER);
"""
INFINITE = 1.7976931348623157e308
MODEL_ID = "m-" + "d" * 32


class MlflowFile:
    """Writes such a file; `uri` and `artifacts` are what an import is given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mlflow.db"
        self.artifacts = folder / "art"
        self.artifacts.mkdir()
        self.uri = f"sqlite:///{self.path}"
        with sqlite3.connect(self.path) as db:
            db.executescript(TABLES)
        self.do("INSERT INTO alembic_version VALUES ('dc11669786a5')")
        self.experiment(0, "Default")

    def do(self, statement: str, *rows: tuple) -> None:
        db = sqlite3.connect(self.path)
        with db:
            db.executemany(statement, rows or [()])
        db.close()

    def experiment(self, number: int, name: str, *, stage: str = "active") -> None:
        row = (number, name, f"mlflow-artifacts:/{number}", stage, 1000 + number, 2000 + number)
        self.do("INSERT INTO experiments VALUES (?, ?, ?, ?, ?, ?)", row)

    def run(
        self,
        run_id: str,
        *,
        experiment: int = 1,
        name: str = "",
        status: str = "FINISHED",
        stage: str = "active",
        metrics: dict[str, list[tuple[float, int, int]]] | None = None,
        params: dict[str, str] | None = None,
        files: dict[str, bytes] | None = None,
        address: str = "",
    ) -> None:
        """Metrics are lists of value, timestamp, step; NaN as MLflow keeps it."""
        address = address or f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
        ended = None if status == "RUNNING" else 9000
        started = 5000 + int(run_id[-4:], 16)
        self.do(
            f"INSERT INTO runs VALUES ({', '.join('?' * 14)})",
            (
                *(run_id, name, "LOCAL", "train.py", "", "ann", status, started, ended, ""),
                *(stage, address, experiment, 9500 if stage == "deleted" else None),
            ),
        )
        tags = {"mlflow.user": "ann", "mlflow.runName": name, "note": "ä ' \" %"}
        pairs = [(key, value, run_id) for key, value in tags.items()]
        self.do("INSERT INTO tags VALUES (?, ?, ?)", *pairs)
        for key, value in (params or {}).items():
            self.do("INSERT INTO params VALUES (?, ?, ?)", (key, value, run_id))
        self.points(run_id, metrics or {})
        for path, content in (files or {}).items():
            self.file(f"{experiment}/{run_id}/artifacts/{path}", content)

    def points(self, run_id: str, metrics: dict[str, list[tuple[float, int, int]]]) -> None:
        rows = [
            (key, 0.0 if math.isnan(value) else value, at, run_id, step, math.isnan(value))
            for key, points in metrics.items()
            for value, at, step in points
        ]
        if rows:
            self.do("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", *rows)

    def file(self, path: str, content: bytes) -> None:
        where = self.artifacts / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)

    def logged_model(self, run_id: str, *, files: dict[str, bytes]) -> None:
        root = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
        self.do(
            f"INSERT INTO logged_models VALUES ({', '.join('?' * 11)})",
            (MODEL_ID, 1, "model", root, 6000, 7000, 2, "active", "", run_id, None),
        )
        self.do("INSERT INTO logged_model_params VALUES (?, 1, 'C', '1')", (MODEL_ID,))
        self.do("INSERT INTO logged_model_tags VALUES (?, 1, 't', 'u')", (MODEL_ID,))
        self.do(
            "INSERT INTO logged_model_metrics VALUES (?, 'auc', 6500, 3, 0.75, 1, ?, NULL, "
            "'loans', 'd1')",
            (MODEL_ID, run_id),
        )
        link = ("out", "RUN_OUTPUT", run_id, "MODEL_OUTPUT", MODEL_ID, 3)
        self.do("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?)", link)
        for path, content in files.items():
            self.file(f"1/models/{MODEL_ID}/artifacts/{path}", content)

    def dataset(self, run_id: str) -> None:
        row = ("ds", 1, "loans", "d1", "code", "{}", '{"a": 1}', None)
        self.do("INSERT INTO datasets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        link = ("in", "DATASET", "ds", "RUN", run_id, 0)
        self.do("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?)", link)
        self.do("INSERT INTO input_tags VALUES ('in', 'mlflow.data.context', 'training')")

    def version(self, name: str, number: int, source: str, *, run_id: str = "") -> None:
        self.do("INSERT OR IGNORE INTO registered_models VALUES (?, 100, 200, 'what')", (name,))
        self.do(
            "INSERT INTO model_versions VALUES (?, ?, 300, 400, 'first', 'ann', 'Production', "
            "?, ?, 'READY', NULL, '', NULL)",
            (name, number, source, run_id),
        )
