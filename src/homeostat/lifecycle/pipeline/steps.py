"""`@step` and `@pipeline`: ordinary functions that a driver may watch.

Outside a pipeline run a step is the plain function it decorates; inside one, each call
goes through the driver, which caches, retries, times and records it.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from homeostat.foundation import errors

P = ParamSpec("P")
R = TypeVar("R")


class Watcher(Protocol):
    """What stands between a pipeline function and its steps while it runs."""

    def call(self, step: Step[Any, Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Answer one call of a step."""


watcher: contextvars.ContextVar[Watcher | None] = contextvars.ContextVar(
    "watcher", default=None
)


class Limits(msgspec.Struct, frozen=True):
    """How long and how often a step may try.

    Parameters
    ----------
    timeout_s
        Seconds per attempt; its processes are killed then. None for no limit.
    retries
        Further attempts after the first, 0 or more.
    backoff_s
        Wait before the first retry; doubles each time, up to a minute.
    """

    timeout_s: float | None = None
    retries: int = 0
    backoff_s: float = 1.0


class Step(Generic[P, R]):
    """A function whose calls inside a pipeline are cached and recorded.

    Parameters
    ----------
    function
        What it does.
    limits
        Timeout and retries.
    cache
        False when it must run each time (it reads the world: a query, a clock).
    """

    def __init__(
        self, function: Callable[P, R], *, limits: Limits | None = None, cache: bool = True
    ) -> None:
        _require_function(function, "step")
        functools.update_wrapper(self, function)
        self.function = function
        self.name: str = function.__name__
        self.limits = limits or Limits()
        self.cache = cache
        self.signature = inspect.signature(function)
        kinds = {parameter.kind for parameter in self.signature.parameters.values()}
        is_plain = kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
        self._names = tuple(self.signature.parameters) if is_plain else None

    def bind(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a call gives each parameter.

        Parameters
        ----------
        args, options
            Of the call.

        Returns
        -------
        Mapping
            By name in the function's order, defaults filled in.

        Raises
        ------
        TypeError
            When they do not fit the function.
        """
        if not options and self._names is not None and len(args) == len(self._names):
            # Most calls; `Signature.bind` takes longer than a look-up in the cache.
            return dict(zip(self._names, args, strict=True))
        bound = self.signature.bind(*args, **options)
        bound.apply_defaults()
        return bound.arguments

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102
        watching = watcher.get()
        if watching is None:
            return self.function(*args, **kwargs)
        answer: R = watching.call(self, args, kwargs)
        return answer

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __reduce__(self) -> Any:
        # By name where it can be imported, as pickle does for functions.
        return self.function.__qualname__


class Pipeline(Generic[P, R]):
    """A function that calls steps.

    Parameters
    ----------
    function
        What it does.
    folder
        The project's folder where it was loaded from a file, else empty.
    target
        ``module:name`` it was loaded by, else empty.
    """

    def __init__(self, function: Callable[P, R], *, folder: str = "") -> None:
        _require_function(function, "pipeline")
        functools.update_wrapper(self, function)
        self.function = function
        self.name: str = function.__name__
        self.folder = folder
        self.target = ""
        self._kinds: dict[str, Any] | None = None
        self.signature = inspect.signature(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    def arguments(
        self, inputs: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Bind inputs and parameters to the function's own names.

        Parameters
        ----------
        inputs
            Data by name.
        parameters
            Settings by name; text is read as the parameter's annotated number or truth value.

        Returns
        -------
        dict
            Every parameter of the function, defaults filled in, in its order.

        Raises
        ------
        InvalidInputError
            When a name is unknown, given twice or missing, or a text does not fit.
        """
        known = self.signature.parameters
        twice = sorted(inputs.keys() & parameters.keys())
        if twice:
            raise errors.InvalidInputError(
                f"pipeline {self.name!r} was given {twice[0]!r} both as input and as parameter"
            )
        given = {**inputs, **parameters}
        for name in given:
            if name not in known:
                self._refuse_unknown(name)
        if self._kinds is None:
            self._kinds = _annotations(self.function)
        kinds = self._kinds
        for name, text in parameters.items():
            given[name] = _fitted(text, kinds.get(name), where=f"{self.name}({name}=)")
        missing = [n for n, p in known.items() if n not in given and p.default is p.empty]
        if missing:
            raise errors.InvalidInputError(
                f"pipeline {self.name!r} needs {missing[0]!r}, which was not given",
                hint=f"on the command line: --input {missing[0]}=PATH",
                name=missing[0],
            )
        return {n: given.get(n, p.default) for n, p in known.items()}

    def _refuse_unknown(self, name: str) -> None:
        import difflib  # noqa: PLC0415 - only on the way to an error

        known = list(self.signature.parameters)
        near = difflib.get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
        )
        raise errors.InvalidInputError(
            f"pipeline {self.name!r} has no parameter {name!r}", hint=hint, name=name
        )


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    timeout_s: float | None = None,
    retries: int = 0,
    backoff_s: float = 1.0,
    cache: bool = True,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    timeout_s: float | None = None,
    retries: int = 0,
    backoff_s: float = 1.0,
    cache: bool = True,
) -> Any:
    """Make a function a step of a pipeline; outside a run it stays the plain function.

    Parameters
    ----------
    function
        What the step does: its result may depend on its arguments and its code only.
    timeout_s
        Seconds per attempt, above 0; the step's whole process tree is killed then.
    retries
        Further attempts after one that raised, 0 or more.
    backoff_s
        Seconds before the first retry, doubled each time up to a minute.
    cache
        False for a step that must run each time because it reads the world.

    Returns
    -------
    Step
        Callable as the function is.

    Raises
    ------
    InvalidInputError
        When a limit is out of range, or what is decorated is no plain function.

    Examples
    --------
    >>> @step
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    8
    """
    if timeout_s is not None and not timeout_s > 0:
        raise errors.InvalidInputError(f"timeout_s must be above 0; got {timeout_s}")
    if retries < 0 or backoff_s < 0:
        raise errors.InvalidInputError(
            f"retries and backoff_s must be 0 or more; got {retries} and {backoff_s}"
        )
    limits = Limits(timeout_s=timeout_s, retries=retries, backoff_s=backoff_s)
    if function is not None:
        return Step(function, limits=limits, cache=cache)
    return lambda decorated: Step(decorated, limits=limits, cache=cache)


def pipeline(function: Callable[P, R]) -> Pipeline[P, R]:
    """Make a function a pipeline that `homeostat run` and the loop can drive.

    Parameters
    ----------
    function
        Calls steps; its parameters are the pipeline's inputs and parameters.

    Returns
    -------
    Pipeline
        Callable as the function is; then its steps are plain calls.

    Raises
    ------
    InvalidInputError
        When what is decorated is no plain function.
    """
    return Pipeline(function)


def _require_function(function: Any, role: str) -> None:
    if not isinstance(function, types.FunctionType):
        raise errors.InvalidInputError(
            f"@{role} goes on a plain function; got a {type(function).__name__}",
            hint="put it on top of other decorators that return functions",
        )
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise errors.InvalidInputError(
            f"@{role} {function.__name__!r} must return its result; it is a coroutine or"
            " a generator, which has no content to keep"
        )


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - annotations are the user's; any that cannot be read is no help
        return {}


def _fitted(given: Any, kind: Any, *, where: str) -> Any:
    is_known = kind in {int, float, bool, str} or isinstance(kind, types.UnionType)
    if not is_known or (isinstance(given, bool) and kind is not bool):
        return given
    try:
        return msgspec.convert(given, kind, strict=not isinstance(given, str))
    except (msgspec.ValidationError, TypeError) as error:
        raise errors.InvalidInputError(
            f"{where} is a {getattr(kind, '__name__', kind)}; got {given!r}"
        ) from error
