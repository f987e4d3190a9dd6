"""Models that hold classes or functions of the project that made them, and bring its code.

A model of scikit-learn's own parts is data. One with a class of the user's is that data and the
files of the project: they lie beside it, as MLflow's ``code_paths`` do, and are imported from
there alone, so that two versions of one class answer side by side. Called by `format`,
`opening` and whoever asks whether a version runs code of its own.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import threading
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

CODE: Final = "code"
"""Folder of a version in which its code is."""
SKOPS: Final = "own.skops"
PICKLE: Final = "own.pkl"
"""Written where skops cannot: an object that holds a lambda, or is made in C."""
LOADERS: Final = {SKOPS: "skops-any", PICKLE: "pickle"}

_lock = threading.RLock()


def is_own(paths: Iterable[str]) -> bool:
    """Say whether a version that was made here runs code of the project's.

    Parameters
    ----------
    paths
        Of its files.

    Examples
    --------
    >>> is_own(["MLmodel", "own.skops", "code/scorecard.py"]), is_own(["model.skops"])
    (True, False)
    """
    return any(path in LOADERS for path in paths)


def packed(code: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a project as files of a version.

    Parameters
    ----------
    code
        Text by path in the project.

    Examples
    --------
    >>> packed({"scorecard.py": "A = 1"})
    {'code/scorecard.py': b'A = 1'}
    """
    return {f"{CODE}/{path}": text.encode() for path, text in code.items()}


@contextlib.contextmanager
def importing(files: Mapping[str, bytes]) -> Iterator[None]:
    """Let `import` find the code of a version first, and leave no trace of it afterwards.

    Objects made meanwhile keep their classes. One such version at a time; an import that runs
    only when the model answers finds nothing, so that imports belong to the top of a file.

    Parameters
    ----------
    files
        Of the version, path to bytes; those in `CODE` count.
    """
    inside = {
        path.removeprefix(f"{CODE}/"): path for path in files if path.startswith(f"{CODE}/")
    }
    tops = {path.partition("/")[0].removesuffix(".py") for path in inside}
    if not tops:
        yield
        return
    with _lock:
        before = _taken_out(tops)
        finder = _Finder({path: files[place].decode() for path, place in inside.items()})
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _taken_out(tops)
            sys.modules.update(before)


def _taken_out(tops: set[str]) -> dict[str, types.ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules in texts by path."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer the import system."""
        del path, target
        place = name.replace(".", "/")
        for file, is_package in ((f"{place}/__init__.py", True), (f"{place}.py", False)):
            if file in self._texts:
                loader = _Loader(file, self._texts[file])
                return importlib.machinery.ModuleSpec(
                    name, loader, origin=f"{CODE}/{file}", is_package=is_package
                )
        if any(one.startswith(f"{place}/") for one in self._texts):
            return importlib.machinery.ModuleSpec(name, None, is_package=True)
        return None


class _Loader(importlib.abc.InspectLoader):
    """Runs one text as a module."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def get_source(self, fullname: str) -> str:
        """Answer the import system."""
        del fullname
        return self._text

    def get_code(self, fullname: str) -> types.CodeType:
        """Answer the import system; a traceback names the file."""
        return self.source_to_code(self.get_source(fullname), f"{CODE}/{self._file}")
