"""Outputs of steps that are read only when somebody looks at them; made by the driver.

A pipeline function sees an `Output` where a step returned a frame, an array or an
object: it behaves as the value itself, and the first look reads it. Handed from step
to step it is never read, so a chain of hits touches the cache's index only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

_UNREAD: Final = object()


class Cell:
    """What an output knows: its digest, how to read it, and who has held it since.

    Parameters
    ----------
    digest
        Content digest of the value.
    read
        Gives the value; called at most once.
    """

    __slots__ = ("digest", "lent_to", "name", "read", "touched", "value")

    def __init__(self, digest: str, read: Callable[[], Any]) -> None:
        self.digest = digest
        self.read = read
        self.value: Any = _UNREAD
        self.touched = False
        self.lent_to = ""
        self.name = ""

    @classmethod
    def of(cls, digest: str, value: Any) -> Cell:
        """Make a cell whose value is in memory already."""
        made = cls(digest, lambda: value)
        made.value = value
        return made

    def get(self) -> Any:
        """Return the value, reading it on the first call."""
        if self.value is _UNREAD:
            self.value = self.read()
        return self.value

    def is_read(self) -> bool:
        """Tell whether the value is in memory."""
        return self.value is not _UNREAD


class Output:
    """Stands for a step's value until somebody looks."""

    __slots__ = ("_homeostat_cell",)

    def __init__(self, cell: Cell) -> None:
        object.__setattr__(self, "_homeostat_cell", cell)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Answer `isinstance` as the value would."""
        return type(_look(self))

    def __getattr__(self, name: str) -> Any:
        return getattr(_look(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_look(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_look(self), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Pickled as the value itself: another process has no cache cell to read from.
        return _look(self).__reduce_ex__(protocol)

    def __dir__(self) -> Any:
        return dir(_look(self))


def cell(output: Output) -> Cell:
    """Return what an output knows, without looking at the value.

    Parameters
    ----------
    output
        An output (`type(value) is Output`).

    Returns
    -------
    Cell
        Shared by all copies of the output.
    """
    found: Cell = object.__getattribute__(output, "_homeostat_cell")
    return found


def digest(output: Output) -> str:
    """Return the content digest of an output; the value need not be read for it.

    Parameters
    ----------
    output
        An output.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return cell(output).digest


def value_of(value: Any) -> Any:
    """Replace outputs by their values, inside lists, tuples and dicts too.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    object
        The same object when nothing inside is an output.
    """
    kind = type(value)
    if kind is Output:
        return cell(value).get()
    if kind in {list, tuple}:
        items = [value_of(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else kind(items)
    if kind is dict:
        pairs = {key: value_of(item) for key, item in value.items()}
        return value if all(pairs[key] is value[key] for key in pairs) else pairs
    return value


def cells_in(value: Any) -> list[Cell]:
    """List the outputs inside a value: the value itself, or what its containers hold.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    list of Cell
        In order of appearance, repeated when met twice.
    """
    kind = type(value)
    if kind is Output:
        return [cell(value)]
    if kind in {list, tuple}:
        return [found for item in value for found in cells_in(item)]
    if kind is dict:
        return [found for item in value.values() for found in cells_in(item)]
    return []


def _look(output: Output) -> Any:
    held = cell(output)
    held.touched = True
    return held.get()


def _forward(act: Callable[..., Any]) -> Callable[..., Any]:
    def forwarded(self: Output, *args: Any, **options: Any) -> Any:
        return act(_look(self), *map(value_of, args), **options)

    return forwarded


def _backward(act: Callable[..., Any]) -> Callable[..., Any]:
    def backwarded(self: Output, other: Any) -> Any:
        return act(value_of(other), _look(self))

    return backwarded


def _method(name: str) -> Callable[..., Any]:
    return lambda value, *args, **options: getattr(value, name)(*args, **options)


_BOTH_WAYS: Final = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift"),
)
_ONE_WAY: Final[dict[str, Callable[..., Any]]] = {
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    "__neg__": operator.neg,
    "__pos__": operator.pos,
    "__abs__": operator.abs,
    "__invert__": operator.invert,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__contains__": operator.contains,
    "__index__": operator.index,
    "__len__": len,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    "__bool__": bool,
    "__int__": int,
    "__float__": float,
    "__complex__": complex,
    "__str__": str,
    "__repr__": repr,
    "__bytes__": bytes,
    "__hash__": hash,
    "__round__": round,
    "__format__": format,
    "__call__": lambda value, *args, **options: value(*args, **options),
}
_BY_NAME: Final = ("__enter__", "__exit__", "__array__", "__dataframe__", "__arrow_c_stream__")

for _name, _act in _ONE_WAY.items():
    setattr(Output, _name, _forward(_act))
for _name in _BOTH_WAYS:
    _plain = _name.rstrip("_")
    setattr(Output, f"__{_plain}__", _forward(getattr(operator, _name)))
    setattr(Output, f"__r{_plain}__", _backward(getattr(operator, _name)))
for _name in _BY_NAME:
    setattr(Output, _name, _forward(_method(_name)))
