"""What is listed in one place and promised in another must be the same list."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import click
import pytest
import sqlalchemy as sa

import homeostat
from homeostat.doors import cli, local
from homeostat.doors.api import routes, routing
from homeostat.foundation import access, errors, house, settings
from homeostat.foundation.database import Database, metadata, migrate

ROOT = Path(__file__).parents[2]


def kinds_of_errors() -> list[type[errors.HomeostatError]]:
    found = [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.HomeostatError)
    ]
    return sorted(found, key=lambda kind: kind.__name__)


def test_the_drawing_of_the_error_tree_is_the_tree():
    drawn = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ├└─]*)(\w+Error)(?:\s+(\d+)  exit (\d+))?", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        path = [*path[:depth], match[2]]
        drawn[match[2]] = (path[-2] if depth else None, match[3], match[4])
    real = {}
    for kind in kinds_of_errors():
        is_root = kind is errors.HomeostatError
        parent = None if is_root else kind.__mro__[1].__name__
        numbers = (None, None) if is_root else (str(kind.http_status), str(kind.exit_code))
        real[kind.__name__] = (parent, *numbers)
    assert drawn == real


def test_every_error_has_a_code_of_its_own():
    codes = [kind.code for kind in kinds_of_errors()]
    assert len(set(codes)) == len(codes)


def test_no_error_is_defined_anywhere_else():
    assert {kind.__module__ for kind in errors.by_code().values()} == {errors.__name__}


def test_every_exit_code_is_told_in_the_help():
    told = {int(number) for number in re.findall(r"(\d+) \w", cli.EPILOG)}
    assert {kind.exit_code for kind in kinds_of_errors()} <= told


def test_every_route_names_an_action():
    for route in routes.TABLE:
        assert route.action == routing.PUBLIC or route.action in access.ACTIONS, route


def test_every_route_has_a_summary():
    assert [route.path for route in routes.TABLE if not route.summary] == []


def test_only_health_version_the_description_and_the_looks_of_pages_are_public(tmp_path):
    with house.open_house(settings.Settings(home=tmp_path)) as opened:
        app = local.build(opened)
        table = app.table.routes  # with the pages, unlike `routes.TABLE`
        app.close()
    public = {route.path for route in table if route.action == routing.PUBLIC}
    assert public == {"/api/health", "/api/version", "/api/openapi.json", "/static/{name}"}


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name, entry in cli.COMMANDS.items():
        module, _, attribute = entry.place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        found.append((name, command))
        if isinstance(command, click.Group):
            found.extend((f"{name} {sub}", one) for sub, one in command.commands.items())
    return found


def test_every_command_in_the_table_exists_and_says_what_it_does():
    for name, command in commands():
        assert isinstance(command, click.Command), name
        assert (command.help or "").strip(), name


def test_every_option_says_what_it_does():
    silent = [
        f"{name} {parameter.opts[0]}"
        for name, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert not silent


STARTERS = {"up", "server", "serve", "worker", "demo"}


def test_every_command_that_answers_offers_json():
    without = [
        name
        for name, command in commands()
        if name not in STARTERS
        and not isinstance(command, click.Group)
        and not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert not without


def test_public_names_are_sorted_and_exist():
    assert homeostat.__all__ == sorted(homeostat.__all__)
    assert [name for name in homeostat.__all__ if not hasattr(homeostat, name)] == []


def test_the_stub_of_the_public_api_names_the_same_things():
    stub = (ROOT / "src" / "homeostat" / "__init__.pyi").read_text(encoding="utf-8")
    assert sorted(re.findall(r"as (\w+)$", stub, re.MULTILINE)) == homeostat.__all__


@pytest.fixture
def migrated(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'homeostat.db'}")
    migrate.upgrade(database)
    yield database
    database.close()


def columns_of(tables: sa.MetaData) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    return {
        table.name: {
            column.name: (
                column.type.compile(dialect=sa.create_engine("sqlite://").dialect),
                bool(column.nullable),
                bool(column.primary_key),
            )
            for column in table.columns
        }
        for table in tables.sorted_tables
        if table.name != "alembic_version"
    }


def indexes_of(tables: sa.MetaData) -> dict[str, set[tuple[str, ...]]]:
    found: dict[str, set[tuple[str, ...]]] = {}
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        keys = {tuple(column.name for column in index.columns) for index in table.indexes}
        unique = {
            tuple(sorted(column.name for column in one.columns))
            for one in table.constraints
            if isinstance(one, sa.UniqueConstraint)
        }
        found[table.name] = keys | unique
    return found


def test_migrations_end_at_the_tables_the_code_declares(migrated):
    for path in sorted((ROOT / "src" / "homeostat").rglob("*records.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        importlib.import_module(".".join(parts))
    found = sa.MetaData()
    found.reflect(migrated.reading)
    assert columns_of(found) == columns_of(metadata.metadata)
    assert set(indexes_of(found)) == set(indexes_of(metadata.metadata))
