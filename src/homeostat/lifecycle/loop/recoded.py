"""Whether the pipeline's code is another one than made the members; for the cause ``code``.

Called by `prompting`, by a clock. Compared are the files that the run of a member kept, each by
its syntax tree: comments, docstrings and layout do not count, nor does another library.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from homeostat.foundation import access, canonical, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import entities
from homeostat.lifecycle.pipeline import actions as pipelines
from homeostat.lifecycle.pipeline import entities as recorded
from homeostat.lifecycle.pipeline import source
from homeostat.lifecycle.registry import actions as registry

LOOP = access.system("loop")


class Code(NamedTuple):
    """What a version was made by."""

    version: int
    recipe: recorded.Recipe


class Change(NamedTuple):
    """Code that made no member: its digest, and the files that differ from the latest one's."""

    digest: str
    version: int
    files: tuple[str, ...]


def of_members(tx: Transaction, model: str, state: entities.LoopState) -> list[Code]:
    """Return the kept code of the registered members, the latest version first.

    Parameters
    ----------
    tx
        Any transaction.
    model
        Whose versions.
    state
        Names the members; those that kept no code are left out.
    """
    numbers = sorted(
        (int(m.version) for m in state.members if m.version.isdigit()), reverse=True
    )
    found = []
    for number in numbers:
        try:
            version = registry.get_version(tx, LOOP, model, number)
        except errors.NotFoundError:  # deleted; it leaves the pool with the next block
            continue
        if version.run_id:
            recipe = pipelines.get_recipe(tx, LOOP, version.run_id)
            if recipe.files:
                found.append(Code(number, recipe))
    return found


def changed(folder: Path, codes: list[Code]) -> Change | None:
    """Return how the code in a folder differs from all that made the members.

    Parameters
    ----------
    folder
        Of the project, as the worker runs it.
    codes
        From `of_members`.

    Returns
    -------
    Change or None
        None where some member was made by this very code, or none kept its code.
    """
    first: Change | None = None
    for code in codes:
        then = {file.path: _tree(file.text) for file in code.recipe.files}
        now = {path: _read(folder / path) for path in then}
        files = tuple(path for path in sorted(then) if then[path] != now[path])
        if not files:
            return None
        digest = canonical.digest(canonical.encode(now))
        first = first or Change(digest, code.version, files)
    return first


def differing(one: recorded.Recipe, other: recorded.Recipe) -> tuple[str, ...]:
    """Return the files whose code differs between two runs, or that only one of them has."""
    then, now = ({file.path: _tree(file.text) for file in each.files} for each in (one, other))
    return tuple(path for path in sorted({*then, *now}) if then.get(path) != now.get(path))


def _read(path: Path) -> str:
    try:
        return _tree(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return "gone"


def _tree(text: str) -> str:
    """Return the digest of a text's syntax; of the text itself where it has none."""
    try:
        return source.digest(ast.parse(text))
    except SyntaxError:
        return canonical.digest(text.encode())
