"""The nouns of pipelines: a step's record, a run's beginning and end, a cached result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

StepStatus = Literal["hit", "ran", "failed"]
RunStatus = Literal["finished", "failed", "killed"]


class Argument(msgspec.Struct, frozen=True, array_like=True):
    """What a step was given under one name.

    Parameters
    ----------
    digest
        Of its content.
    shown
        The value for people, where it is short and plain.
    """

    digest: str
    shown: str | None = None


class Leaf(msgspec.Struct, frozen=True, array_like=True):
    """One stored value.

    Parameters
    ----------
    digest
        Of its content.
    format
        How it is written.
    blob
        Digest of the bytes.
    size_bytes
        Their number.
    seal
        Keyed hash that proves this home wrote them.
    """

    digest: str
    format: str
    blob: str
    size_bytes: int
    seal: str


class Node(msgspec.Struct, frozen=True, array_like=True):
    """A result's shape: plain values stand here, containers hold nodes, the rest are leaves.

    Parameters
    ----------
    kind
        plain, tuple, list, dict or leaf.
    plain
        The value itself, or the keys of a dict.
    inner
        Nodes of a container.
    leaf
        Where the value is stored.
    """

    kind: str
    plain: Any = None
    inner: tuple[Node, ...] = ()
    leaf: Leaf | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A finished step.

    Parameters
    ----------
    key
        Digest over code and arguments.
    step
        Its name, with its module.
    code
        Digest of the code it reached.
    arguments
        By name.
    result
        Its shape and where its values are.
    digest
        Content digest of the whole result.
    made_by
        Id of the run that computed it.
    made_at
        When, ms UTC.
    cost_s
        Wall seconds it took.
    """

    key: str
    step: str
    code: str
    arguments: dict[str, Argument]
    result: Node
    digest: str
    made_by: str
    made_at: int
    cost_s: float


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a step in a run.

    Parameters
    ----------
    position
        0 for the first call of the run.
    name
        The step's function name.
    status
        hit (its result was cached), ran, or failed.
    key
        Of the call; empty for a step that is never cached.
    code
        Digest of the code it reached.
    reason
        Why it ran, or empty for a hit.
    arguments
        By name.
    digest
        Content digest of its result, empty when it failed.
    made_by
        Id of the run that computed the result.
    started_at
        ms UTC.
    wall_s, cpu_s
        Seconds; 0 CPU for a hit.
    max_rss_bytes
        Peak memory of the process that ran it, 0 for a hit.
    attempts
        How often it was tried, 0 for a hit.
    error
        One sentence when it failed.
    """

    position: int
    name: str
    status: StepStatus
    key: str = ""
    code: str = ""
    reason: str = ""
    arguments: dict[str, Argument] = {}
    digest: str = ""
    made_by: str = ""
    started_at: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    attempts: int = 0
    error: str = ""


class RunInput(msgspec.Struct, frozen=True, kw_only=True):
    """Data a run was given.

    Parameters
    ----------
    name
        The pipeline's parameter.
    reference
        `snapshot:<id>` where it has one, else empty.
    digest
        Of its content.
    """

    name: str
    reference: str = ""
    digest: str


class ReachedCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a code digest stands for.

    Parameters
    ----------
    digest
        Over the parts.
    parts
        Triples of name, kind and digest.
    """

    digest: str
    parts: tuple[tuple[str, str, str], ...]


class SourceFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of a project's code.

    Parameters
    ----------
    path
        Below the project's folder, with forward slashes.
    text
        As it was read.
    """

    path: str
    text: str


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's code and environment were, enough to run it again.

    Parameters
    ----------
    run_id
        Of the run.
    target
        ``module:name`` of the pipeline; empty where it was not loaded from a project.
    files
        The code it was loaded from; empty where that was not kept.
    packages
        The distributions, ``name==version``, Python itself first.
    """

    run_id: str
    target: str = ""
    files: tuple[SourceFile, ...] = ()
    packages: tuple[str, ...] = ()


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it begins.

    Parameters
    ----------
    run_id
        New, made by the driver.
    pipeline
        Name of the pipeline's function.
    executor
        inline or processes.
    started_at
        ms UTC.
    inputs
        Data by name and digest.
    parameters
        Settings by name, written for people.
    """

    run_id: str
    pipeline: str
    executor: str = "inline"
    started_at: int
    inputs: tuple[RunInput, ...] = ()
    parameters: dict[str, str] = {}


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it ended.

    Parameters
    ----------
    status
        finished, failed or killed.
    ended_at
        ms UTC.
    steps
        In order of their calls.
    codes
        What the code digests of steps that ran stand for.
    error
        One sentence when it did not finish.
    wall_s, cpu_s, max_rss_bytes
        What it took: seconds, CPU seconds of its steps, peak memory of one process.
    commit, dirty
        Git commit of the project and digest of what is not committed; empty when unknown.
    environment
        Digest of the installed distributions.
    packages
        The distributions, `name==version`.
    target
        ``module:name`` the pipeline was loaded by.
    files
        The project's code it was loaded from.
    """

    status: RunStatus
    ended_at: int
    steps: tuple[StepRecord, ...] = ()
    codes: tuple[ReachedCode, ...] = ()
    error: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    commit: str = ""
    dirty: str = ""
    environment: str = ""
    packages: tuple[str, ...] = ()
    target: str = ""
    files: tuple[SourceFile, ...] = ()


def leaves_of(node: Node) -> Iterator[Leaf]:
    """List the stored values of a result.

    Parameters
    ----------
    node
        Its shape.

    Yields
    ------
    Leaf
        In order.
    """
    if node.leaf is not None:
        yield node.leaf
    for inner in node.inner:
        yield from leaves_of(inner)
