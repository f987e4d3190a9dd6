"""What functions and classes hold beside their own lines; used by `fingerprint`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Final


def defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """List a function's parameters that have a default, with it."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    values = function.__defaults__ or ()
    yield from zip(positional[len(positional) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


_CLASS_MACHINERY: Final = frozenset(
    {
        *(
            "__dict__",
            "__weakref__",
            "__module__",
            "__doc__",
        ),
        *(
            "__qualname__",
            "__annotations__",
            "__slots__",
            "__abstractmethods__",
        ),
        *(
            "_abc_impl",
            "__parameters__",
            "__orig_bases__",
            "__firstlineno__",
        ),
        *(
            "__static_attributes__",
            "__struct_config__",
            "__dataclass_fields__",
            "__match_args__",
        ),
        *(
            "__dataclass_params__",
            "__init_subclass__",
            "__subclasshook__",
        ),
    }
)
_MADE_BY_CLASS: Final = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


def of_class(kind: type) -> Iterator[tuple[str, Any]]:
    """List what a class's own author put into it: no slots, no generated methods."""
    for label, member in vars(kind).items():
        if label in _CLASS_MACHINERY or isinstance(member, _MADE_BY_CLASS):
            continue
        is_made = isinstance(member, types.FunctionType) and member.__code__.co_filename in {
            "<string>",
            "<attrs generated init>",
        }
        if not is_made:
            yield label, member
