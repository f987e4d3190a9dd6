"""An environment of a recorded list of packages, made in a folder; for `reproduce`."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from homeostat.foundation import errors

LIMIT_S: Final = 1800.0
# The platform itself comes from where it is installed; it is on no index.
_OWN: Final = frozenset({"homeostat", "python"})
# What makes environments is no part of what runs in them.
TOOLS: Final = frozenset({"pip", "setuptools", "wheel", "uv"})


def requirements(packages: Sequence[str]) -> list[str]:
    """Return what is to be installed.

    Parameters
    ----------
    packages
        ``name==version``, as a run recorded them.

    Examples
    --------
    >>> requirements(["python==3.11.7", "homeostat==0.1", "numpy==2.1.0", "pip==24.0"])
    ['numpy==2.1.0']
    """
    return [one for one in packages if one.partition("==")[0] not in _OWN | TOOLS]


def compared(packages: Sequence[str], *, is_fresh: bool) -> list[str]:
    """Return what of a list is compared: in a fresh environment not what makes environments.

    Parameters
    ----------
    packages
        ``name==version``.
    is_fresh
        Whether the environment was made by `make`.
    """
    left = TOOLS | {"homeostat"} if is_fresh else frozenset()
    return [one for one in packages if one.partition("==")[0] not in left]


def python_of(packages: Sequence[str]) -> str:
    """Return the recorded version of Python; empty when there is none."""
    found = (one.partition("==") for one in packages)
    return next((version for name, _, version in found if name == "python"), "")


def make(packages: Sequence[str], folder: Path, *, timeout_s: float = LIMIT_S) -> str:
    """Make an environment and install the recorded versions, by uv where it is installed.

    Parameters
    ----------
    packages
        As a run recorded them.
    folder
        Where; made here.
    timeout_s
        Seconds that all of it may take.

    Returns
    -------
    str
        Its interpreter.

    Raises
    ------
    InvalidInputError
        When nothing was recorded, or another Python was and uv is not there to fetch it.
    UnavailableError
        When a package cannot be had.
    """
    wanted = python_of(packages)
    if not wanted:
        raise errors.InvalidInputError(
            "the run recorded no environment, so none can be made",
            hint="use the present one: --environment present",
        )
    # Also the one beside this Python: its folder is on no path unless somebody put it there.
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    interpreter = folder / "bin" / "python"
    listed = folder.with_name(f"{folder.name}.txt")
    listed.write_text("\n".join(requirements(packages)) + "\n", encoding="utf-8")
    if uv is not None:
        _call([uv, "venv", "--python", wanted, str(folder)], timeout_s=timeout_s)
        install = [uv, "pip", "install", "--python", str(interpreter)]
    else:
        if wanted.split(".")[:2] != platform.python_version().split(".")[:2]:
            raise errors.InvalidInputError(
                f"the run recorded Python {wanted}; here is {platform.python_version()}",
                hint="install uv, which fetches it, or run the command with that Python",
            )
        own_pip = importlib.util.find_spec("pip") is not None
        bare = ["--without-pip"] if own_pip else []
        _call([sys.executable, "-m", "venv", *bare, str(folder)], timeout_s=timeout_s)
        # Our pip can install for another interpreter; a pip of its own takes seconds to make.
        pip = [sys.executable, "-m", "pip", "--python"] if own_pip else []
        install = [*pip, str(interpreter), *([] if own_pip else ["-m", "pip"]), "install"]
    # The list is complete: what it leaves out was not there.
    _call([*install, "--no-deps", "-r", str(listed)], timeout_s=timeout_s)
    return str(interpreter)


def _call(command: list[str], *, timeout_s: float) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=timeout_s, text=True
        )
    except subprocess.TimeoutExpired:
        raise errors.UnavailableError(
            f"the environment was not made within {timeout_s:g} s: {' '.join(command[:4])} …"
        ) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = next(
            (one for one in lines if "error" in one.lower()), lines[-1] if lines else ""
        )
        raise errors.UnavailableError(
            f"the recorded environment cannot be made here: {said.strip() or 'no word on why'}",
            hint="use the present one, and see which packages differ: --environment present",
        )
