"""One call of a step: its key, and why it missed; used by `drive`."""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import (
    cache as caches,
)
from homeostat.lifecycle.pipeline import (
    digests,
    entities,
    explain,
    fingerprint,
    lazy,
    steps,
)


class KeyedCall(msgspec.Struct, frozen=True):
    """A call with what it depends on.

    Parameters
    ----------
    step
        That is called.
    args, options
        As it was called.
    name
        Of the step, with its module.
    code
        What it reaches.
    arguments
        Digests by name.
    key
        Of the call; empty when the step is never cached.
    """

    step: steps.Step[Any, Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    name: str
    code: fingerprint.Reached
    arguments: dict[str, entities.Argument]
    key: str


_NO_CODE = fingerprint.Reached(digest="", parts=())


def key_of(
    step: steps.Step[Any, Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    *,
    codes: dict[str, fingerprint.Reached],
) -> KeyedCall:
    """Compute the key of a call.

    Parameters
    ----------
    step
        That is called.
    args, options
        As it is called.
    codes
        What steps of this run reach, by name; filled here.

    Returns
    -------
    KeyedCall
        With an empty key when the step is never cached.

    Raises
    ------
    InvalidInputError
        When an argument has no content digest, or a step changed one in place.
    TypeError
        When the arguments do not fit the step's function.
    """
    bound = step.bind(args, options)
    name = f"{step.function.__module__}.{step.function.__qualname__}"
    arguments: dict[str, entities.Argument] = {}
    if not step.cache:
        return KeyedCall(step, args, options, name, _NO_CODE, arguments, "")
    code = codes.get(name)
    if code is None:
        code = codes[name] = fingerprint.reached(step.function)  # type: ignore[arg-type]
    flat = [name, code.digest]
    for label, value in bound.items():
        digest = content(value, what=f"argument {label!r} of step {step.name!r}")
        arguments[label] = entities.Argument(digest, digests.shown(value))
        flat += (label, digest)
    key = digests.of_parts("key", *flat)
    return KeyedCall(step, args, options, name, code, arguments, key)


def content(value: Any, *, what: str) -> str:
    """Return a value's content digest, or say in one sentence why it has none.

    Parameters
    ----------
    value
        An argument; outputs inside it count by the digest they have.
    what
        How to name it.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InvalidInputError
        When it has none, or a step it was given to changed it.
    """
    if type(value) is lazy.Output:
        held = lazy.cell(value)
        _freshen(held)
        return held.digest
    for cell in lazy.cells_in(value):
        _freshen(cell)
    try:
        return fingerprint.value(value)
    except digests.NoDigestError as error:
        raise errors.InvalidInputError(
            f"{what} cannot be cached: {error}",
            hint="pass its content (rows, text), or mark the step @hs.step(cache=False)",
        ) from error


def reason(call: KeyedCall, cache: caches.Cache) -> str:
    """Say why a call is not in the cache.

    Parameters
    ----------
    call
        That missed.
    cache
        Where its last result is looked up.

    Returns
    -------
    str
        One line.
    """
    last = cache.nearest(call.name)
    is_other = last is not None and last.code != call.code.digest
    parts = cache.parts(last.code) if last is not None and is_other else ()
    return explain.miss(code=call.code, arguments=call.arguments, last=last, last_parts=parts)


def lend(value: Any, step: str) -> Any:
    """Give an argument's plain value to a step that could change it in place.

    Parameters
    ----------
    value
        An argument.
    step
        Name of the step.

    Returns
    -------
    object
        Without outputs.
    """
    for cell in lazy.cells_in(value):
        cell.lent_to = step
    return lazy.value_of(value)


def _freshen(cell: lazy.Cell) -> None:
    """Digest a value again when somebody could have changed it since."""
    if not (cell.touched or cell.lent_to) or not cell.is_read():
        return
    now = fingerprint.value(cell.value)
    if now == cell.digest:
        cell.touched = False
        return
    if cell.lent_to:
        raise errors.InvalidInputError(
            f"{cell.name or 'a value'} was changed in place after step {cell.lent_to!r} was"
            " given it, so a cached run would not see the change",
            hint="let the step return a changed copy",
        )
    cell.digest = now
    cell.touched = False


def node_digest(node: entities.Node) -> str:
    """Return the content digest of a whole result.

    Parameters
    ----------
    node
        Its shape.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    if node.leaf is not None:
        return node.leaf.digest
    if node.kind == "plain":
        return digests.of(node.plain)
    inner = [node_digest(part) for part in node.inner]
    return digests.of_parts(node.kind, *(node.plain or ()), *inner)


def container(node: entities.Node, items: list[Any]) -> Any:
    """Rebuild a tuple, list or dict from its items.

    Parameters
    ----------
    node
        Its shape.
    items
        In order.

    Returns
    -------
    tuple, list or dict
        New.
    """
    if node.kind == "dict":
        return dict(zip(node.plain, items, strict=True))
    return tuple(items) if node.kind == "tuple" else items


def fresh(node: entities.Node, value: Any) -> Any:
    """Wrap a result that was just computed, so that its digests are known.

    Parameters
    ----------
    node
        Its shape, as it was stored.
    value
        The result.

    Returns
    -------
    object
        Plain values as they are, containers anew, the rest as outputs.
    """
    if node.kind == "plain":
        return value
    if node.leaf is not None:
        return lazy.Output(lazy.Cell.of(node.leaf.digest, value))
    items = list(value.values()) if node.kind == "dict" else list(value)
    return container(node, [fresh(n, v) for n, v in zip(node.inner, items, strict=True)])


def reached_code(code: fingerprint.Reached) -> entities.ReachedCode:
    """Write reached code for the record.

    Parameters
    ----------
    code
        As fingerprinted.

    Returns
    -------
    ReachedCode
        Its parts as triples.
    """
    parts = tuple((part.name, part.kind, part.digest) for part in code.parts)
    return entities.ReachedCode(digest=code.digest, parts=parts)
