"""The syntax of a project's functions and classes, as far as it decides what they do.

Called by `fingerprint`. A function's syntax is used only when the file still compiles to
the very code that is in memory; otherwise (edited since the import, typed into a shell,
made by `exec`) the bytecode is what counts.
"""

from __future__ import annotations

import ast
import dataclasses
import linecache
import pathlib
import types
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from homeostat.foundation import clock
from homeostat.lifecycle.pipeline import digests

DropDecorator = Callable[[ast.expr], bool]
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_WITH_DOCSTRING: Final = (*_DEFINITIONS, ast.Module)


@dataclasses.dataclass(frozen=True)
class File:
    """One parsed source file.

    Parameters
    ----------
    tree
        Its syntax.
    codes
        Every code object the file compiles to, with its syntax, by (name, first line).
    """

    tree: ast.Module
    codes: dict[tuple[str, int], list[tuple[types.CodeType, ast.AST]]]


_YOUNG_NS: Final = 2_000_000_000
_files: dict[str, tuple[tuple[int, int], File | None]] = {}


def file_of(path: str) -> File | None:
    """Return a file's syntax, parsed once per state of the file.

    Parameters
    ----------
    path
        What a code object names as its file.

    Returns
    -------
    File or None
        None when there is no such source or it does not parse.
    """
    stamp = stamp_of(path)
    known = _files.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    # What is in no file was typed; of a file, the lines kept may be those before an edit.
    is_file = pathlib.Path(path).is_file()
    text = "".join(linecache.updatecache(path) if is_file else linecache.getlines(path))
    found = _parse(text, path) if text else None
    _files[path] = (stamp, found)
    return found


def syntax_of(code: types.CodeType) -> ast.AST | None:
    """Return the syntax a code object was compiled from.

    Parameters
    ----------
    code
        Of a function, a lambda or a class body.

    Returns
    -------
    ast.AST or None
        None when the file no longer says what is in memory.
    """
    file = file_of(code.co_filename)
    if file is None:
        return None
    candidates = file.codes.get((code.co_name, code.co_firstlineno), [])
    same = [node for found, node in candidates if found == code]
    return same[0] if len(same) == 1 else None


def class_syntax(kind: type) -> ast.ClassDef | None:
    """Return the syntax of a class, found through its module's file.

    Parameters
    ----------
    kind
        A class of the project.

    Returns
    -------
    ast.ClassDef or None
        None when it is not found, or found more than once under its qualified name.
    """
    import sys  # noqa: PLC0415 - read at call time: the table of modules changes

    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    for member in vars(kind).values():
        if path is None and isinstance(member, types.FunctionType):
            path = member.__code__.co_filename
    file = file_of(path) if path else None
    if file is None:
        return None
    names = kind.__qualname__.replace(".<locals>", "").split(".")
    found: list[ast.AST] = [file.tree]
    for name in names:
        inner = [child for node in found for child in _defined(node)]
        found = [child for child in inner if child.name == name]
    return found[0] if len(found) == 1 and isinstance(found[0], ast.ClassDef) else None


def digest(node: ast.AST, *, drop: DropDecorator = lambda _: False) -> str:
    """Return the digest of syntax without what does not change what it does.

    Parameters
    ----------
    node
        A function, a class, a lambda or a module.
    drop
        Says of a decorator that it does not count.

    Returns
    -------
    str
        The same for two texts that differ in comments, layout, docstrings and the
        annotations of functions. A class keeps its field annotations: they make fields.
    """
    return digests.of_parts("syntax", "".join(_tokens(node, drop, in_class=False)))


def bytecode_digest(code: types.CodeType) -> str:
    """Return the digest of a code object and those inside it, without line numbers.

    Parameters
    ----------
    code
        Of a function whose source is not at hand.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    parts: list[str | bytes] = [code.co_code, repr(code.co_names), repr(code.co_varnames)]
    for constant in code.co_consts:
        inner = isinstance(constant, types.CodeType)
        parts.append(bytecode_digest(constant) if inner else repr(constant))
    return digests.of_parts("bytecode", *parts)


def names_in(code: types.CodeType) -> list[str]:
    """List the global and attribute names a code object uses, those of inner code included.

    Parameters
    ----------
    code
        Of a function.

    Returns
    -------
    list of str
        In order of first use, without repeats.
    """
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(names_in(constant)))
    return list(names)


def chains_in(
    node: ast.AST, *, drop: DropDecorator = lambda _: False
) -> dict[str, set[tuple[str, ...]]]:
    """Collect how each name is used: alone, or through which attributes.

    Parameters
    ----------
    node
        Any syntax.
    drop
        Says of a decorator that it does not count.

    Returns
    -------
    dict
        Name to attribute chains, in order of first use; `()` where the name is used alone.
    """
    found: dict[str, set[tuple[str, ...]]] = {}
    todo: list[tuple[Any, bool]] = [(node, False)]
    while todo:
        part, in_class = todo.pop()
        chain: list[str] = []
        while isinstance(part, ast.Attribute):
            chain.insert(0, part.attr)
            part = part.value
        if isinstance(part, ast.Name):
            found.setdefault(part.id, set()).add(tuple(chain))
            continue
        inside = isinstance(part, ast.ClassDef)
        inner: list[tuple[Any, bool]] = []
        for name, field in ast.iter_fields(part):
            if not _is_idle(part, name, in_class=in_class):
                kept = _kept(part, name, field, drop)
                items = kept if isinstance(kept, list) else [kept]
                inner.extend((item, inside) for item in items if isinstance(item, ast.AST))
        todo.extend(reversed(inner))
    return found


def imports_in(node: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """List the imports inside syntax.

    Parameters
    ----------
    node
        Any syntax.

    Yields
    ------
    tuple
        Module name and the names taken from it; no names for a plain `import`.
    """
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from ((alias.name, ()) for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            yield part.module, tuple(alias.name for alias in part.names)


def stamp_of(path: str) -> tuple[int, int]:
    """Tell in which state a source file is.

    Parameters
    ----------
    path
        Of the file, which may be gone.

    Returns
    -------
    tuple of int
        Modification time and size; of a file of the last two seconds its content counts, since
        a second edit may come within one step of the file system's clock.
    """
    try:
        found = pathlib.Path(path).stat()
        if clock.now_ns() - found.st_mtime_ns > _YOUNG_NS:
            return (found.st_mtime_ns, found.st_size)
        return (-1, zlib.crc32(pathlib.Path(path).read_bytes()))
    except OSError:
        return (0, len(linecache.cache.get(path, ())))


def _parse(text: str, path: str) -> File | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    nodes: dict[tuple[str, int], list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS):
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            nodes.setdefault((node.name, first), []).append(node)
        elif isinstance(node, ast.Lambda):
            nodes.setdefault(("<lambda>", node.lineno), []).append(node)
    codes: dict[tuple[str, int], list[tuple[types.CodeType, ast.AST]]] = {}
    for inner in _inner_codes(code):
        place = (inner.co_name, inner.co_firstlineno)
        if len(nodes.get(place, ())) == 1:
            codes.setdefault(place, []).append((inner, nodes[place][0]))
    return File(tree=tree, codes=codes)


def _inner_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner_codes(constant)


def _defined(node: ast.AST) -> Iterator[Any]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITIONS):
            yield child
        elif isinstance(child, ast.stmt):
            yield from _defined(child)


def _tokens(value: Any, drop: DropDecorator, *, in_class: bool) -> Iterator[str]:
    if isinstance(value, list):
        yield "["
        for item in value:
            yield from _tokens(item, drop, in_class=in_class)
        yield "]"
        return
    if not isinstance(value, ast.AST):
        yield f"{value!r};"
        return
    if isinstance(value, ast.AnnAssign) and not in_class:
        if value.value is None:
            return  # an annotation alone does nothing
        value = ast.Assign(targets=[value.target], value=value.value)
    yield f"{type(value).__name__}("
    inside_class = isinstance(value, ast.ClassDef)
    for name, field in ast.iter_fields(value):
        if _is_idle(value, name, in_class=in_class):
            continue
        kept = _kept(value, name, field, drop)
        yield f"{name}="
        yield from _tokens(kept, drop, in_class=inside_class)
    yield ")"


def _is_idle(node: ast.AST, field: str, *, in_class: bool) -> bool:
    if field in {"type_comment", "returns", "ctx", "simple"}:
        return True
    if field != "annotation":
        return False
    return not (isinstance(node, ast.AnnAssign) and in_class)


def _kept(node: ast.AST, name: str, field: Any, drop: DropDecorator) -> Any:
    if name == "decorator_list":
        return [part for part in field if not drop(part)]
    if name == "body" and isinstance(node, _WITH_DOCSTRING) and field:
        first = field[0]
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if is_text and isinstance(first.value.value, str):
            return field[1:]
    return field
