"""The code of a project, as a run keeps it so that it can be run again; called by `driver`."""

from __future__ import annotations

import ast
import functools
import pathlib
from typing import Final

import blake3

from homeostat.lifecycle.pipeline import entities, load, source

MOST_BYTES: Final = 1_000_000
"""A project of more is not kept: it holds data, not code."""


def of_project(folder: str) -> tuple[entities.SourceFile, ...]:
    """Return the files that a project's pipeline was loaded from, and those they import.

    Parameters
    ----------
    folder
        Of the project, resolved; empty for a pipeline that no file holds.

    Returns
    -------
    tuple of SourceFile
        By path; empty when there are none, one cannot be read as text, or they are more than
        `MOST_BYTES` together.
    """
    if not folder:
        return ()
    home = pathlib.Path(folder)
    todo = [path for path, _ in load.stamp(folder)]
    texts: dict[str, str] = {}
    while todo:
        path = pathlib.Path(todo.pop())
        if not path.is_relative_to(home):
            continue
        name = path.relative_to(home).as_posix()
        if name in texts:
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ()
        # A step may import when it is called, in another process: those files are code, too.
        todo += [str(found) for found in _imported(path, home)]
    if sum(map(len, texts.values())) > MOST_BYTES:
        return ()
    return tuple(entities.SourceFile(name, texts[name]) for name in sorted(texts))


def digest_of(file: entities.SourceFile) -> str:
    """Return the digest of a file's text, 64 hexadecimal digits."""
    return blake3.blake3(file.text.encode()).hexdigest()


def _imported(path: pathlib.Path, home: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of the project that a file imports, wherever in it."""
    return [one for one in _named(path, home, *source.stamp_of(str(path))) if one.is_file()]


@functools.lru_cache(maxsize=1000)
def _named(path: pathlib.Path, home: pathlib.Path, *_state: int) -> tuple[pathlib.Path, ...]:
    """Return the files that the imports of a file may mean; walked once per state of it."""
    parsed = source.file_of(str(path))
    if parsed is None:
        return ()
    named = [(home, name, taken) for name, taken in source.imports_in(parsed.tree)]
    for part in ast.walk(parsed.tree):
        if isinstance(part, ast.ImportFrom) and part.level <= len(path.parents) and part.level:
            taken = tuple(alias.name for alias in part.names)
            named.append((path.parents[part.level - 1], part.module or "", taken))
    found: list[pathlib.Path] = []
    for start, module, taken in named:
        for name in (module, *(f"{module}.{one}".lstrip(".") for one in taken)):
            parts = name.split(".") if name else []
            # A package's own file runs first, and so do those of the packages around it.
            for n in range(1, len(parts) + 1):
                place = start.joinpath(*parts[:n])
                found += [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return tuple(dict.fromkeys(found))
