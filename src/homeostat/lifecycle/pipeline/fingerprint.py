"""The code a step reaches, as one digest with named parts; called by the driver for each step.

Followed, from the step's function on: project functions, classes, constants and closure
values by content; project modules by the attributes used; everything installed by the
version of its package. Whatever is reached dynamically (`getattr(module, name)`) counts
by the whole module.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import sys
import types
import weakref
from typing import Any, Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import digests, installed, members, source

_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_IMMUTABLE: Final = (bool, int, float, str, bytes, type(None), types.FunctionType, type)


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One thing a step reaches.

    Parameters
    ----------
    name
        `features.build`, `features.CUTOFF`, `polars 1.30.0`, …
    kind
        function, class, constant, closure, module, package or missing.
    digest
        Of its content.
    """

    name: str
    kind: str
    digest: str


class Reached(msgspec.Struct, frozen=True):
    """Everything a function reaches.

    Parameters
    ----------
    digest
        Over all parts; equal digests mean equal behaviour on equal arguments.
    parts
        In the order they are met.
    """

    digest: str
    parts: tuple[Part, ...]


class _Known(msgspec.Struct, frozen=True):
    reached: Reached
    code: Any
    watched: tuple[tuple[dict[str, Any], str, Any], ...]
    mutable: tuple[tuple[Any, str], ...]


_known: weakref.WeakKeyDictionary[types.FunctionType, _Known] = weakref.WeakKeyDictionary()
_ABSENT: Final = object()


def reached(function: types.FunctionType) -> Reached:
    """Return what a function reaches; remembered until something it reaches is replaced.

    Parameters
    ----------
    function
        A step's function.

    Returns
    -------
    Reached
        Digest and parts.

    Raises
    ------
    InvalidInputError
        When it uses a global or closure value without a content digest.
    """
    known = _known.get(function)
    if known is not None and _still_holds(function, known):
        return known.reached
    walk = _Walk()
    walk.visit(function, function.__qualname__)
    parts = tuple(walk.parts)
    flat = [text for part in parts for text in (part.name, part.kind, part.digest)]
    found = Reached(digest=digests.of_parts("code", _PYTHON, *flat), parts=parts)
    _known[function] = _Known(
        reached=found,
        code=function.__code__,
        watched=tuple(walk.watched),
        mutable=tuple(walk.mutable),
    )
    return found


def value(thing: Any) -> str:
    """Return the content digest of a value, code inside it counting by what it reaches.

    Parameters
    ----------
    thing
        An argument or a result of a step.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    digests.NoDigestError
        When it has no content.
    """
    return digests.of(thing, code_of=_code_of)


def _code_of(code: Any) -> bytes:
    if not installed.is_project(code):
        return b""
    walk = _Walk()
    walk.visit(code, getattr(code, "__qualname__", "code"))
    return "".join(part.digest for part in walk.parts).encode()


def _still_holds(function: types.FunctionType, known: _Known) -> bool:
    if function.__code__ is not known.code:
        return False
    for namespace, name, seen in known.watched:
        if namespace.get(name, _ABSENT) is not seen:
            return False
    return all(value(thing) == seen for thing, seen in known.mutable)


def _is_own_decorator(names: dict[str, Any], node: ast.expr) -> bool:
    target = node.func if isinstance(node, ast.Call) else node
    chain: list[str] = []
    while isinstance(target, ast.Attribute):
        chain.insert(0, target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return False
    found = names.get(target.id)
    for name in chain:
        found = getattr(found, name, None)
    return getattr(found, "__module__", "") == "homeostat.lifecycle.pipeline.steps"


class _Walk:
    """One walk over the objects a function reaches."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.watched: list[tuple[dict[str, Any], str, Any]] = []
        self.mutable: list[tuple[Any, str]] = []
        self.seen: dict[int, Any] = {}
        self.packages: set[str] = set()

    def visit(self, thing: Any, name: str, kind: str = "constant") -> None:
        if id(thing) in self.seen:
            return
        if not isinstance(thing, bool | int | str | float | None):
            self.seen[id(thing)] = thing
        if isinstance(thing, types.ModuleType):
            self._module(thing)
        elif isinstance(thing, types.FunctionType):
            self._function(thing) if installed.is_project(thing) else self._package(thing)
        elif isinstance(thing, type):
            self._class(thing) if installed.is_project(thing) else self._package(thing)
        elif not self._wrapped(thing, name):
            self._constant(thing, name, kind)

    def _wrapped(self, thing: Any, name: str) -> bool:
        if isinstance(thing, staticmethod | classmethod):
            self.visit(thing.__func__, name)
        elif isinstance(thing, property):
            for act in (thing.fget, thing.fset, thing.fdel):
                if act is not None:
                    self.visit(act, name)
        elif isinstance(thing, types.MethodType):
            self.visit(thing.__func__, name)
            self.visit(thing.__self__, f"{name}.__self__")
        elif isinstance(thing, functools.partial):
            self.visit(thing.func, name)
            self._constant((thing.args, thing.keywords), f"{name}.arguments", "constant")
        elif isinstance(thing, types.BuiltinFunctionType | types.MethodDescriptorType):
            self._package(thing)
        elif callable(thing) and isinstance(
            getattr(thing, "__wrapped__", None), types.FunctionType
        ):
            if not type(thing).__module__.startswith("homeostat."):
                self._package(type(thing))  # a step counts by its function alone
            self.visit(thing.__wrapped__, name)
        else:
            return False
        return True

    def _package(self, thing: Any) -> None:
        module = thing.__name__ if isinstance(thing, types.ModuleType) else thing.__module__
        root = (module or "builtins").partition(".")[0]
        if root in self.packages or root in {"builtins", "__main__"}:
            return
        self.packages.add(root)
        version = installed.package_version(root)
        if version == "standard library":
            return  # the version of Python stands for it
        name = f"{root} {version}".strip()
        self.parts.append(Part(name, "package", digests.of_parts("package", root, version)))

    def _module(self, module: types.ModuleType) -> None:
        if not installed.is_project(module):
            self._package(module)
            return
        file = source.file_of(module.__file__ or "")
        content = source.digest(file.tree) if file else digests.of_parts("no source")
        self.parts.append(Part(module.__name__, "module", content))
        for name, item in list(vars(module).items()):
            if isinstance(item, types.ModuleType | types.FunctionType | type):
                self.visit(item, f"{module.__name__}.{name}")

    def _function(self, function: types.FunctionType) -> None:
        code = function.__code__
        name = f"{function.__module__}.{function.__qualname__}"
        node = source.syntax_of(code)
        place = len(self.parts)
        self.parts.append(Part(name, "function", ""))
        if node is None:
            content = source.bytecode_digest(code)
            chains: dict[str, set[tuple[str, ...]]] = {}
        else:
            drop = functools.partial(_is_own_decorator, function.__globals__)
            content = source.digest(node, drop=drop)
            chains = source.chains_in(node, drop=drop)
            self._imports(node)
        self.parts[place] = Part(name, "function", content)
        self._closure(function, name)
        self._globals(function, chains, from_syntax=node is not None)
        for place_name, default in members.defaults(function):
            if not isinstance(default, bool | int | float | str | None):
                self.visit(default, f"{name}({place_name}=)")

    def _closure(self, function: types.FunctionType, owner: str) -> None:
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # not bound yet: calling it now would fail by itself
            self.visit(content, f"{owner}:{name}", "closure")

    def _globals(
        self,
        function: types.FunctionType,
        chains: dict[str, set[tuple[str, ...]]],
        *,
        from_syntax: bool,
    ) -> None:
        space, code = function.__globals__, function.__code__
        local = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        names = [*chains] if from_syntax else source.names_in(code)
        for name in names:
            if name in space and name not in local:
                self.watched.append((space, name, space[name]))
                self._used(space[name], name, function, chains.get(name, {()}))
            elif from_syntax and name not in local and not hasattr(builtins, name):
                self.watched.append((space, name, _ABSENT))

    def _used(
        self, found: Any, name: str, function: types.FunctionType, chains: set[tuple[str, ...]]
    ) -> None:
        if not isinstance(found, types.ModuleType) or not installed.is_project(found):
            self.visit(found, f"{function.__module__}.{name}")
            return
        for chain in sorted(chains):
            self._attribute(found, chain)

    def _attribute(self, module: types.ModuleType, chain: tuple[str, ...]) -> None:
        found: Any = module
        for name in chain:
            if not isinstance(found, types.ModuleType) or not installed.is_project(found):
                break
            space = vars(found)
            if name not in space:
                break  # made by the module's own __getattr__, or missing: all of it counts
            self.watched.append((space, name, space[name]))
            label = f"{found.__name__}.{name}"
            found = space[name]
            if not isinstance(found, types.ModuleType):
                self.visit(found, label)
                return
        self.visit(found, module.__name__)

    def _imports(self, node: ast.AST) -> None:
        for module_name, names in source.imports_in(node):
            try:
                module = importlib.import_module(module_name)
            except Exception as error:  # noqa: BLE001 - any import may fail in any way; the step itself will say so
                kind = type(error).__name__
                missing = digests.of_parts("missing", module_name, kind)
                self.parts.append(Part(module_name, "missing", missing))
                continue
            if not names:
                self.visit(module, module_name)
            for name in names:
                self._attribute(module, (name,))

    def _class(self, kind: type) -> None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        node = source.class_syntax(kind)
        content = source.digest(node) if node is not None else ""
        place = len(self.parts)
        self.parts.append(Part(name, "class", content))
        for base in kind.__mro__[1:]:
            self.visit(base, base.__qualname__)
        for label, member in members.of_class(kind):
            if node is not None and isinstance(member, bool | int | float | str | None):
                continue  # its value stands in the syntax already
            self.visit(member, f"{name}.{label}")
        if node is None and not content:
            plain = [label for label, _ in members.of_class(kind)]
            self.parts[place] = Part(name, "class", digests.of(plain))

    def _constant(self, thing: Any, name: str, kind: str) -> None:
        try:
            content = digests.of(thing, code_of=self._inner_code)
        except digests.NoDigestError as error:
            raise errors.InvalidInputError(
                f"the code of this step uses {name}, and {error}, so whether a cached"
                " result still holds cannot be known",
                hint="pass what matters as a parameter, or mark the step @hs.step(cache=False)",
                name=name,
            ) from error
        self.parts.append(Part(name, kind, content))
        if not isinstance(thing, _IMMUTABLE):
            self.mutable.append((thing, value(thing)))
            self._package(type(thing)) if not installed.is_project(type(thing)) else None

    def _inner_code(self, code: Any) -> bytes:
        self.visit(code, getattr(code, "__qualname__", "code"))
        return b""
