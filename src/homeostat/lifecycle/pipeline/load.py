"""Importing a user's pipeline file as it is on disk now; called by doors and the loop."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import pathlib
import sys
import threading
import types
import zlib
from collections.abc import Sequence
from typing import Any

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import failures, steps

Stamp = tuple[tuple[str, int], ...]

_lock = threading.RLock()


def pipeline(target: str, folder: str | pathlib.Path) -> steps.Pipeline[..., Any]:
    """Import a pipeline from a project's folder.

    Nothing stale is met: a module of this or another project that is loaded and is not
    what the folder holds now is imported again. One process works on one project at a time.

    Parameters
    ----------
    target
        `module:name`, such as `pipeline:credit`.
    folder
        Where the module is.

    Returns
    -------
    Pipeline
        Knows its folder.

    Raises
    ------
    InvalidInputError
        When the target is malformed or names something that is no pipeline.
    NotFoundError
        When the file or the name is missing.
    UserCodeError
        When importing the file raises, or tries to end the process.
    """
    module, file, name = _module(target, folder, what="pipeline")
    found = getattr(module, name, None)
    if isinstance(found, steps.Pipeline):
        found.folder = str(pathlib.Path(folder).resolve())
        found.target = target
        return found
    if found is None:
        known = [n for n, item in vars(module).items() if isinstance(item, steps.Pipeline)]
        near = difflib.get_close_matches(name, known, n=1) or known
        hint = f"did you mean {near[0]!r}?" if near else "put @hs.pipeline on a function there"
        raise errors.NotFoundError(f"{file} has no {name!r}", hint=hint, name=name)
    raise errors.InvalidInputError(
        f"{name!r} in {file} is a {type(found).__name__}, not a pipeline",
        hint="put @hs.pipeline on the function",
    )


def function(target: str, folder: str | pathlib.Path) -> types.FunctionType:
    """Import a plain function from a project's folder, as `pipeline` imports a pipeline.

    Parameters
    ----------
    target
        `module:name`, such as `metrics:approvals`.
    folder
        Where the module is.

    Raises
    ------
    InvalidInputError
        When the target is malformed or names something that is no function.
    NotFoundError
        When the file or the name is missing.
    UserCodeError
        When importing the file raises, or tries to end the process.
    """
    module, file, name = _module(target, folder, what="function")
    found = getattr(module, name, None)
    if isinstance(found, types.FunctionType):
        return found
    if found is None:
        known = [n for n, item in vars(module).items() if isinstance(item, types.FunctionType)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise errors.NotFoundError(f"{file} has no {name!r}", hint=hint, name=name)
    raise errors.InvalidInputError(
        f"{name!r} in {file} is a {type(found).__name__}, not a function"
    )


def _module(
    target: str, folder: str | pathlib.Path, *, what: str
) -> tuple[types.ModuleType, pathlib.Path, str]:
    module_name, _, name = target.partition(":")
    if not name or not all(part.isidentifier() for part in module_name.split(".")):
        raise errors.InvalidInputError(
            f"a {what} is named MODULE:FUNCTION; got {target!r}",
            hint="such as pipeline:credit",
        )
    home = pathlib.Path(folder).resolve()
    path = home.joinpath(*module_name.split("."))
    file = path.with_name(f"{path.name}.py")
    if not file.is_file() and not (path / "__init__.py").is_file():
        raise errors.NotFoundError(
            f"there is no {file}",
            hint=f"{target!r} names it; a worker runs the code of the folder where it was"
            " started, or of HOMEOSTAT_CODE",
            path=str(file),
        )
    with _lock:
        activate(home)
        return _imported(module_name, home), file, name


def activate(folder: str | pathlib.Path) -> None:
    """Make a project's modules the ones that `import` finds, as they are on disk now.

    Parameters
    ----------
    folder
        Of the project.
    """
    home = str(pathlib.Path(folder).resolve())
    with _lock:
        current = _current()
        if current is not None and current.folder == home and stamp(home) == current.stamp():
            return
        if current is not None:
            sys.meta_path.remove(current)
            forget(current.folder)
        forget(home)
        sys.meta_path.insert(0, _ProjectFinder(home))


def stamp(folder: str) -> Stamp:
    """Tell in which state the loaded modules of a project are on disk.

    Parameters
    ----------
    folder
        Of the project, resolved.

    Returns
    -------
    tuple
        Path and checksum of each loaded file, sorted.
    """
    current = _current()
    if current is None or current.folder != folder:
        return ()
    found = (path for name, path in current.places.items() if name in sys.modules)
    return tuple(sorted(_file_stamp(path) for path in found))


def _imported(name: str, home: pathlib.Path) -> types.ModuleType:
    known = sys.modules.get(name)
    if known is not None and not _is_inside(known, str(home)):
        raise errors.InvalidInputError(
            f"{home / name}.py has the name of an installed module ({known.__name__})",
            hint="rename the file",
        )
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Importing runs the user's code, which may raise anything, SystemExit included.
        raise failures.of(error, what=f"importing {name} from {home}") from error


def _current() -> _ProjectFinder | None:
    return next((found for found in sys.meta_path if isinstance(found, _ProjectFinder)), None)


def forget(folder: str) -> None:
    """Drop a project's modules, so that the next import reads the files.

    Parameters
    ----------
    folder
        Of the project, resolved.
    """
    for name in _loaded(folder):
        sys.modules.pop(name, None)


def _loaded(folder: str) -> dict[str, str]:
    return {
        name: str(module.__file__)
        for name, module in list(sys.modules.items())
        if name != "__main__" and _is_inside(module, folder)
    }


def _is_inside(module: Any, folder: str) -> bool:
    loader = getattr(module, "__loader__", None)
    return isinstance(loader, _FreshLoader) and loader.folder == folder


def _file_stamp(path: str) -> tuple[str, int]:
    # Not by time: two edits may come within one step of the file system's clock.
    try:
        return (path, zlib.crc32(pathlib.Path(path).read_bytes()))
    except OSError:
        return (path, -1)


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles from source each time: compiled files are told apart by whole seconds only."""

    folder = ""

    def path_stats(self, path: str) -> Any:
        # Without a time there is nothing a compiled file could be compared with.
        raise OSError(path)


class _ProjectFinder:
    """Finds the modules of one project, before anything installed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.seen: dict[str, tuple[str, int]] = {}
        self.places: dict[str, str] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer the import system."""
        del target
        for entry in path or [self.folder]:
            if not (entry == self.folder or entry.startswith(self.folder + "/")):
                continue
            finder = importlib.machinery.FileFinder(entry, (_FreshLoader, [".py"]))
            spec = finder.find_spec(name)
            if spec is not None and isinstance(spec.loader, _FreshLoader):
                spec.loader.folder = self.folder
                file = str(spec.origin)
                self.seen[file] = _file_stamp(file)
                self.places[name] = file
                return spec
        return None

    def stamp(self) -> Stamp:
        """Tell in which state the files were when they were imported."""
        return tuple(sorted(self.seen.values()))
