"""What is the user's own code and what is installed; asked by `fingerprint`."""

from __future__ import annotations

import functools
import importlib.metadata
import pathlib
import sys
import sysconfig
import types
from typing import Any, Final

_OWN: Final = str(pathlib.Path(__file__).parents[2])
_INSTALLED: Final = tuple(
    path
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_paths().get(name))
)


def is_project(thing: Any) -> bool:
    """Tell whether a function, class or module is the user's own, not an installed package's.

    Parameters
    ----------
    thing
        A module, or anything with `__module__`.

    Returns
    -------
    bool
        False for the standard library, installed packages and this one.
    """
    is_module = isinstance(thing, types.ModuleType)
    name = thing.__name__ if is_module else getattr(thing, "__module__", None)
    if not isinstance(name, str) or name.partition(".")[0] in {"homeostat", "builtins"}:
        return False
    module = thing if is_module else sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if path is None and isinstance(thing, types.FunctionType):
        path = thing.__code__.co_filename
    if path is None:
        return name == "__main__"
    return is_project_path(path)


@functools.lru_cache(maxsize=4096)
def is_project_path(path: str) -> bool:
    """Tell whether a source file is the user's own.

    Parameters
    ----------
    path
        As a code object or module names it.

    Returns
    -------
    bool
        False for the standard library, installed packages and this one.
    """
    if path.startswith((_OWN, "<frozen")):
        return False
    if "site-packages" in path or "dist-packages" in path:
        return False
    return not path.startswith(_INSTALLED)


@functools.lru_cache(maxsize=4096)
def package_version(root: str) -> str:
    """Return the version of an installed top-level package.

    Parameters
    ----------
    root
        Its import name.

    Returns
    -------
    str
        `standard library` for what comes with Python, empty when nothing is known.
    """
    if root in sys.stdlib_module_names:
        return "standard library"
    found = getattr(sys.modules.get(root), "__version__", None)
    if isinstance(found, str):
        return found
    try:
        return importlib.metadata.version(root)
    except importlib.metadata.PackageNotFoundError:
        owners = importlib.metadata.packages_distributions().get(root, [])
        return ", ".join(importlib.metadata.version(name) for name in owners)
