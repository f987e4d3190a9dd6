"""Calls one function over many parts, here, in processes or on Ray, and keeps their order.

Called by `bulk`. So many parts are under way at once that every worker has one and one waits:
memory is bounded by the workers, not by the number of parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import psutil

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import executors, steps

Name = Literal["inline", "processes", "ray"]
NAMES: tuple[Name, ...] = ("inline", "processes", "ray")
A = TypeVar("A")
R = TypeVar("R")


def ordered(
    step: steps.Step[Any, R],
    parts: Iterable[tuple[A, tuple[Any, ...]]],
    *,
    executor: Name,
    shared: tuple[Any, ...] = (),
) -> Iterator[tuple[A, R]]:
    """Call a step with each part and yield what it returned, in the order of the parts.

    Parameters
    ----------
    step
        Found by its name in another process.
    parts
        What is given back beside the result, and the arguments after `shared`.
    executor
        ``inline`` calls it here; ``processes`` in the pool that steps of pipelines use, one
        process for each core; ``ray`` on the cluster that Ray finds, else on this machine.
    shared
        First arguments of every call; on Ray they travel once.

    Yields
    ------
    tuple
        Of the part and its result.

    Raises
    ------
    InvalidInputError
        When Ray is asked for and not installed.
    UnavailableError
        When it does not start.
    UserCodeError
        When the process of a part dies.
    """
    if executor == "processes":
        yield from _in_processes(step, parts, shared)
    elif executor == "ray":
        yield from _on_ray(step, parts, shared)
    else:
        for beside, arguments in parts:
            yield beside, step.function(*shared, *arguments)


def _in_processes(
    step: steps.Step[Any, R],
    parts: Iterable[tuple[A, tuple[Any, ...]]],
    shared: tuple[Any, ...],
) -> Iterator[tuple[A, R]]:
    n_workers = psutil.cpu_count(logical=True) or 1
    pool = executors.processes()

    def call(arguments: tuple[Any, ...]) -> R:
        asked = executors.Call(step, (*shared, *arguments), {})
        found: R = pool.run(asked, give_up=lambda: None).value
        return found

    waiting: deque[tuple[A, Future[R]]] = deque()
    with ThreadPoolExecutor(n_workers, "homeostat-bulk") as threads:
        try:
            for beside, arguments in parts:
                waiting.append((beside, threads.submit(call, arguments)))
                if len(waiting) > n_workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _on_ray(
    step: steps.Step[Any, R],
    parts: Iterable[tuple[A, tuple[Any, ...]]],
    shared: tuple[Any, ...],
) -> Iterator[tuple[A, R]]:
    try:
        import ray  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra that few machines have
    except ImportError:
        raise errors.InvalidInputError(
            "Ray is not installed here",
            hint="pip install ray, or take --executor processes",
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except Exception as error:
            raise errors.UnavailableError(
                f"Ray does not start here: {error}",
                hint="`ray status` and its logs say more; or take --executor processes",
            ) from error
    remote = ray.remote(_called)
    references = [ray.put(one) for one in shared]
    at_once = max(int(ray.cluster_resources().get("CPU", 1)), 1) + 1
    waiting: deque[tuple[A, Any]] = deque()
    for beside, arguments in parts:
        waiting.append((beside, remote.remote(step, *references, *arguments)))
        if len(waiting) > at_once:
            done, reference = waiting.popleft()
            yield done, ray.get(reference)
    while waiting:
        done, reference = waiting.popleft()
        yield done, ray.get(reference)


def _called(step: steps.Step[Any, Any], *arguments: Any) -> Any:
    return step.function(*arguments)
