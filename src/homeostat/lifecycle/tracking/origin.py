"""Where a run came from: git state and what is installed; asked when a run ends."""

from __future__ import annotations

import functools
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import blake3
import msgspec

_GIT_TIMEOUT_S = 10


class CodeState(msgspec.Struct, frozen=True):
    """A project's state in git.

    Parameters
    ----------
    commit
        Full hash; empty outside a repository.
    dirty
        Digest of what differs from the commit, new files included; empty when nothing does.
    """

    commit: str = ""
    dirty: str = ""


class Environment(msgspec.Struct, frozen=True):
    """What is installed.

    Parameters
    ----------
    digest
        Over the list.
    packages
        `name==version`, sorted, Python itself first.
    """

    digest: str
    packages: tuple[str, ...]


_states: dict[str, tuple[tuple[object, ...], CodeState]] = {}


def of_project(folder: str) -> CodeState:
    """Return the git state of a project; asked again only when a file moved.

    Parameters
    ----------
    folder
        Of the project; the working folder when empty.

    Returns
    -------
    CodeState
        Empty when the folder is in no repository, or git is not installed.
    """
    home = pathlib.Path(folder or ".").resolve()
    stamp = _stamp(home)
    known = _states.get(str(home))
    if known is not None and known[0] == stamp:
        return known[1]
    found = _ask(home) if stamp else CodeState()
    # Asking may refresh git's own index file, so the stamp is taken once more.
    _states[str(home)] = (_stamp(home), found)
    return found


@functools.cache
def environment() -> Environment:
    """Return what is installed; read once per process.

    Returns
    -------
    Environment
        Python and all distributions.
    """
    found = {
        re.sub(r"[-_.]+", "-", dist.name).lower(): dist.version
        for dist in importlib.metadata.distributions()
        if dist.name
    }
    python = ".".join(map(str, sys.version_info[:3]))
    packages = (f"python=={python}", *(f"{n}=={v}" for n, v in sorted(found.items())))
    digest = blake3.blake3("\n".join(packages).encode()).hexdigest()
    return Environment(digest=digest, packages=packages)


def _repository(home: pathlib.Path) -> pathlib.Path | None:
    return next((p for p in (home, *home.parents) if (p / ".git").exists()), None)


def _stamp(home: pathlib.Path) -> tuple[object, ...]:
    """Tell what would have to change for git's answer to change, without asking git."""
    root = _repository(home)
    if root is None:
        return ()
    watched = [root / ".git", root / ".git" / "HEAD", root / ".git" / "index", home]
    watched += sorted(home.glob("*.py"))
    found: list[object] = []
    for path in watched:
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((str(path), state.st_mtime_ns, state.st_size))
    return tuple(found)


def _ask(home: pathlib.Path) -> CodeState:
    commit = _git(home, "rev-parse", "HEAD").strip()
    if not commit:
        return CodeState()
    difference = _git(home, "diff", "HEAD", "--", ".")
    unknown = _git(home, "ls-files", "--others", "--exclude-standard", "--", "*.py", "*.toml")
    hasher = blake3.blake3(difference.encode())
    for name in sorted(unknown.splitlines()):
        path = home / name
        content = path.read_bytes() if path.is_file() else b""
        hasher.update(name.encode() + b"\0" + content)
    is_clean = not difference and not unknown.strip()
    return CodeState(commit=commit, dirty="" if is_clean else hasher.hexdigest())


def _git(home: pathlib.Path, *words: str) -> str:
    command = ["git", "-C", str(home), "--no-optional-locks", *words]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
