"""What `homeostat import mlflow` says and how it ends."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import mlflow_file
from homeostat.doors import cli

RUN = f"{7:032x}"


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "mlflow"
    folder.mkdir()
    made = mlflow_file.MlflowFile(folder)
    made.experiment(1, "credit")
    made.run(RUN, name="r", metrics={"m": [(1.0, 1, 1)]}, files={"a.txt": b"a"})
    return made


@contextlib.contextmanager
def answering(status, body):
    """A web server that is no MLflow server."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(home, *words):
    return cli.invoke(["--home", str(home), "import", "mlflow", *words])


def test_it_tells_what_it_copied_and_ends_well(home, file, capsys):
    assert run(home, file.uri, "--artifacts", str(file.artifacts), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["source"] == f"sqlite:///{file.path}"
    assert (told["counts"]["runs"], told["counts"]["points"]) == (1, 1)
    assert (told["left"], told["missed"]) == ({}, {})


def test_it_looks_for_the_artifacts_beside_the_file(home, file, capsys):
    file.artifacts.rename(file.artifacts.with_name("mlartifacts"))
    assert run(home, file.uri, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["files"] == 1


def test_what_is_not_where_it_should_be_ends_with_its_own_code(home, file, capsys):
    assert run(home, file.uri) == 3
    said = capsys.readouterr()
    assert "not taken" in said.out
    assert "no folder for" in said.out


def test_nothing_is_written_to_the_source(home, file):
    before = file.path.read_bytes()
    run(home, file.uri, "--artifacts", str(file.artifacts), "--json")
    assert file.path.read_bytes() == before
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["art", "mlflow.db"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("http://127.0.0.1:1",), (7, "no answer from http://127.0.0.1:1")),
        (("postgresql://a/b",), (2, "neither http://HOST:PORT nor sqlite:///PATH")),
        (("sqlite:///nowhere.db",), (4, "there is no file nowhere.db")),
        (("http://127.0.0.1:1", "--artifacts", "x"), (2, "belongs to a database file")),
    ],
    ids=["silent", "scheme", "file", "artifacts"],
)
def test_a_source_that_cannot_be_read_is_one_sentence(home, capsys, words, told):
    assert run(home, *words) == told[0]
    assert told[1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, b"<html>no</html>"), (2, "is no MLflow tracking server")),
        ((200, b"<html>hello</html>"), (2, "is no MLflow tracking server")),
        ((401, b""), (6, "wants credentials")),
        ((403, b"{}"), (6, "wants credentials")),
    ],
    ids=["404", "html", "401", "403"],
)
def test_a_server_that_is_none_or_wants_credentials(home, capsys, answer, told):
    with answering(*answer) as url:
        assert run(home, url) == told[0]
    assert told[1] in capsys.readouterr().err


def test_our_own_database_is_not_taken_for_one_of_mlflow(home, capsys):
    with contextlib.closing(sqlite3.connect(home / "homeostat.db")) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert run(home, f"sqlite:///{home}/homeostat.db") == 2
    assert "is no database of MLflow" in capsys.readouterr().err
