"""Runs a recorded pipeline once more in a process of its own, from a folder; for the SDK.

The folder holds everything: `order.json`, the code, the tables. What the process made comes
back as files in it. So it can run where the platform's own packages are not those of the
caller: in an environment made of a recorded list.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import entities

CHILD: Final = "homeostat.lifecycle.registry.remaking_child"
ORDER: Final = "order.json"
ANSWER: Final = "answer.json"
CODE: Final = "code"
MODEL: Final = "model"
RECORDED: Final = "recorded"
_LAST_LINES: Final = 3


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the run.

    Attributes
    ----------
    name, reference, digest
        As the run recorded it.
    file
        Parquet, in the folder.
    """

    name: str
    reference: str
    digest: str
    file: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes
    ----------
    target
        ``module:name``.
    tables
        Its inputs.
    parameters
        Settings as the run recorded them, written for people.
    features, label
        Columns the version takes, in order, and the one it predicts.
    n_learned
        Rows of the first table, from its top, that the pipeline is given; the rest is only
        scored.
    """

    target: str
    tables: tuple[Table, ...]
    parameters: dict[str, str]
    features: tuple[str, ...]
    label: str
    n_learned: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes
    ----------
    start, end
        The run, to be recorded; None where it did not come so far.
    code, message, hint
        The error that ended it; empty when it went well.
    scores, recorded
        Of the rows of the first table, by the model that was made now and by the version; the
        latter of its kept example only where `of_example` says so.
    of_example
        The version itself could not be asked, for the reason in `unasked`.
    """

    start: entities.RunStart | None = None
    end: entities.RunEnd | None = None
    code: str = ""
    message: str = ""
    hint: str = ""
    scores: tuple[float, ...] = ()
    recorded: tuple[float, ...] = ()
    of_example: bool = False
    unasked: str = ""


def write_code(files: Sequence[entities.SourceFile], folder: Path) -> None:
    """Write kept code into a folder.

    Parameters
    ----------
    files
        Of a recipe.
    folder
        Made here.

    Raises
    ------
    InvalidInputError
        When a path would leave the folder.
    """
    home = folder.resolve()
    home.mkdir(parents=True, exist_ok=True)
    for file in files:
        place = (home / file.path).resolve()
        if not place.is_relative_to(home) or place == home:
            raise errors.InvalidInputError(f"{file.path!r} is no path inside a project")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.text, encoding="utf-8")


def run(
    folder: Path, order: Order, *, python: str, timeout_s: float, environment: Mapping[str, str]
) -> Answer:
    """Run an order in a process of its own; stop it and all it started when its time is up.

    Parameters
    ----------
    folder
        With the code and the tables; the model's files are found in it afterwards.
    order
        What to run.
    python
        Interpreter to run it with.
    timeout_s
        Seconds that import, body, steps and packing may take together.
    environment
        Variables of the process.

    Returns
    -------
    Answer
        Without an error when `MODEL` holds a model.

    Raises
    ------
    UserCodeError
        When it does not finish in time, or ends without a word.
    """
    (folder / ORDER).write_bytes(msgspec.json.encode(order))
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", CHILD, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise errors.UserCodeError(
                f"the pipeline did not finish within {timeout_s:g} s and was stopped",
                hint="give it longer with --timeout",
                timeout_s=timeout_s,
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    place = folder / ANSWER
    if place.is_file():
        return msgspec.json.decode(place.read_bytes(), type=Answer)
    last = said.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
    raise errors.UserCodeError(
        f"the process ended with {process.returncode} before it said what came out: "
        f"{' | '.join(last) or 'it wrote nothing'}"
    )


def variables(python: str) -> dict[str, str]:
    """Return the variables of a process that runs an order.

    Parameters
    ----------
    python
        Its interpreter. Another one than ours finds the platform in our folder, behind its
        own packages; the platform is on no index of packages.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOMEOSTAT_", "PYTHON"))
    }
    if python != sys.executable:
        kept["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return kept
