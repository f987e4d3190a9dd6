"""Documents say what the code says: contracts, commands and decisions."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from homeostat.doors import cli
from homeostat.doors.api import routes as api
from homeostat.doors.mlflow import routes

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]


@pytest.mark.parametrize("name", [contract["name"] for contract in CONTRACTS])
def test_the_architecture_page_repeats_each_contract_word_for_word(name):
    assert f"*{name}.*" in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_file_the_architecture_page_names_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:foundation|lifecycle|doors|measures)/[\w/]+\.py)`", text))
    assert named
    missing = [path for path in named if not (ROOT / "src" / "homeostat" / path).is_file()]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "docs/coming-from-mlflow.md"])
def test_every_command_a_page_names_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|[`\s])homeostat ([a-z]+)\b", text))
    assert named & set(cli.COMMANDS)
    assert {name for name in named if f"`homeostat {name}" in text} <= set(cli.COMMANDS)


PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


def test_every_address_of_the_api_that_a_page_names_is_answered():
    parts = re.compile(r"\{[^/]*\}|[A-Z]+")  # what a path leaves open, there and here
    known = {(one.method, parts.sub("*", one.path)) for one in api.TABLE}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for method, path in re.findall(r"\b(GET|POST|PUT|DELETE) (/api/[\w/{}-]+)", text):
            is_mlflow = path.startswith("/api/2.0")
            assert is_mlflow or (method, parts.sub("*", path)) in known, (page, method, path)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_shown_in_a_block_can_be_typed_like_that(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.findall(r"^(?: {4}|\$ )(homeostat .*?)(?: && .*)?$", text, re.MULTILINE)
    for line in shown:
        words = shlex.split(line, comments=True)[1:]
        command: click.Command = cli.root
        context = click.Context(command, info_name="homeostat")
        while isinstance(command, click.Group) and words:
            found = command.get_command(context, words[0])
            assert found is not None, line
            command, words = found, words[1:]
            context = click.Context(command, parent=context, info_name=command.name)
        values, rest, _ = command.make_parser(context).parse_args(words)
        assert rest == [], line
        missing = [
            one.name
            for one in command.params
            if isinstance(one, click.Argument) and one.required and not values.get(one.name)
        ]
        assert missing == [], line


def test_every_decision_is_listed_and_every_listed_one_exists():
    folder = ROOT / "decisions"
    pages = {path.name for path in folder.glob("0*.md")}
    listed = set(re.findall(r"\]\((0[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert listed == pages


def test_the_page_for_users_of_mlflow_lists_exactly_what_is_served():
    text = (ROOT / "docs" / "coming-from-mlflow.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(/[^`]+)` \| ([A-Z, ]+) \|$", text, re.MULTILINE)
    listed = {(method, path) for path, methods in rows for method in methods.split(", ")}
    served = {
        (
            route.method,
            route.path.removeprefix("=") if route.path[0] == "=" else f"/api{route.path}",
        )
        for route in routes.TABLE
    }
    assert listed == served
