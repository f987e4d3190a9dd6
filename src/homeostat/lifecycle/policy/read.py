"""Reads `homeostat.toml` strictly: what is not understood is refused with its line.

Called by the command line, by deployments (their policy travels as text) and by backtests.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import blake3
import msgspec

from homeostat.foundation.errors import InvalidInputError, NotFoundError
from homeostat.lifecycle.policy import rules
from homeostat.lifecycle.policy.entities import (
    Alerts,
    Explain,
    Policy,
    Retraining,
    Rollout,
    Serving,
)
from homeostat.lifecycle.policy.limits import Envelope, Selection
from homeostat.lifecycle.policy.promised import Kpi, Metric, Objective

_SECTIONS: dict[str, type[msgspec.Struct]] = {
    field.name: field.type for field in msgspec.structs.fields(Policy)
}
# Sections in which the user gives names: each name has a table of its own, or a text.
_NAMED: dict[str, type[msgspec.Struct]] = {
    "metrics": Metric,
    "kpis": Kpi,
    "objectives": Objective,
}
_TEXTS = ("slices",)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Read by the settings of a process, not by a policy; allowed in the same file.
_OTHERS = ("server",)
# Keys of [retraining] that came later: unsaid, they do not count in the digest of a policy.
_LATER = ("corrector", "debounce", "fits_per_day", "compute_per_day", "upstream")
_GUARDS = ("guards", "group_margin", "answer_margin")
_KINDS = {str: "some text", int: "a whole number", float: "a number", bool: "true or false"}


def read(path: Path) -> Policy:
    """Read a policy from its file.

    Parameters
    ----------
    path
        A `homeostat.toml`.

    Returns
    -------
    Policy
        With every default filled in.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InvalidInputError
        When it is no TOML, or a key or value is not understood; names file, line, key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no {path}", hint="write one, or run homeostat init", path=str(path)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as text: {error}") from None
    return parse(text, where=str(path))


def parse(text: str, *, where: str = "homeostat.toml") -> Policy:
    """Read a policy from its text.

    Parameters
    ----------
    text
        TOML.
    where
        Name of the source, for messages.

    Returns
    -------
    Policy
        With every default filled in.

    Raises
    ------
    InvalidInputError
        When it is no TOML, or a key or value is not understood; names source, line, key and
        the nearest known key.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _refuse_toml(error, where)
    source = _Source(text, where)
    _check_keys(tables, source)
    tables = {name: table for name, table in tables.items() if name not in _OTHERS}
    try:
        policy = msgspec.convert(tables, Policy)
    except msgspec.ValidationError as error:
        _refuse_value(error, tables, source)
    for problem in rules.problems(policy):
        source.refuse(problem.section, problem.key, problem.sentence, hint=problem.hint)
    return policy


def digest(policy: Policy) -> str:
    """Return what identifies the policy, whatever the layout and comments of its file.

    Parameters
    ----------
    policy
        As read.

    Returns
    -------
    str
        BLAKE3 of its canonical JSON, 64 hexadecimal digits. A policy that says nothing of
        explanations, of serving, of alerts or of anything measured has the digest it had before
        there were any.
    """
    for name in (*_TEXTS, *_NAMED):
        if not getattr(policy, name):
            policy = msgspec.structs.replace(policy, **{name: msgspec.UNSET})
    if policy.alerts == Alerts():
        policy = msgspec.structs.replace(policy, alerts=msgspec.UNSET)
    if policy.explain == Explain():
        policy = msgspec.structs.replace(policy, explain=msgspec.UNSET)
    if policy.envelope == Envelope():
        policy = msgspec.structs.replace(policy, envelope=msgspec.UNSET)
    if policy.selection == Selection():
        policy = msgspec.structs.replace(policy, selection=msgspec.UNSET)
    if policy.serving == Serving():
        policy = msgspec.structs.replace(policy, serving=msgspec.UNSET)
    unsaid = {
        name: msgspec.UNSET
        for name in _LATER
        if getattr(policy.retraining, name) == getattr(Retraining(), name)
    }
    told = msgspec.structs.replace(policy.retraining, **unsaid)
    rollout = msgspec.structs.replace(
        policy.rollout,
        **{
            name: msgspec.UNSET
            for name in _GUARDS
            if getattr(policy.rollout, name) == getattr(Rollout(), name)
        },
    )
    policy = msgspec.structs.replace(policy, retraining=told, rollout=rollout)
    return blake3.blake3(msgspec.json.encode(policy, order="deterministic")).hexdigest()


class _Source:
    """The text of a policy, to say where in it something is wrong."""

    def __init__(self, text: str, where: str) -> None:
        self._lines = text.splitlines()
        self._where = where

    def refuse(self, section: str, key: str, sentence: str, *, hint: str = "") -> NoReturn:
        """Raise with ``file:line: sentence``."""
        line = self._line(section, key)
        place = f"{self._where}:{line}" if line else self._where
        raise InvalidInputError(
            f"{place}: {sentence}", hint=hint, path=self._where, line=line, key=key
        )

    def _line(self, section: str, key: str) -> int:
        inside = ""
        head = 0
        for number, line in enumerate(self._lines, 1):
            stripped = line.strip()
            if found := re.match(r"\[\s*([^\[\]]+?)\s*\]", stripped):
                inside = found[1].strip("\"' ").split(".")[0]
                head = number if inside == section and not head else head
                continue
            name = re.split(r"\s*=", stripped, maxsplit=1)[0].replace('"', "").replace("'", "")
            path = (f"{inside}.{name}" if inside else name).split(".")
            if path[:2] == [section, key] or (not inside and path[:2] == [section]):
                return number
        return head


def _refuse_toml(error: tomllib.TOMLDecodeError, where: str) -> NoReturn:
    what = str(error)
    line = 0
    if found := re.search(r" \(at line (\d+), column \d+\)", what):
        line = int(found[1])
        what = what.replace(found[0], "")
    place = f"{where}:{line}" if line else where
    raise InvalidInputError(
        f"{place}: this is not TOML: {what}", hint="see https://toml.io", path=where, line=line
    ) from None


def _check_keys(tables: dict[str, Any], source: _Source) -> None:
    for section, table in tables.items():
        if section in _OTHERS:
            continue
        if section not in _SECTIONS:
            _refuse_unknown(source, section, "", (*_SECTIONS, *_OTHERS))
        if not isinstance(table, dict):
            source.refuse(section, "", f"{section} needs to be a table", hint=f"[{section}]")
        for inside, known in _tables(section, table, source):
            for key in inside:
                if key not in known:
                    _refuse_unknown(source, section, key, known)
    model = tables.get("model", {})
    for key in ("name", "target"):
        if key not in model:
            source.refuse("model", "", f"[model] {key} is missing", hint=f'{key} = "…"')


def _tables(
    section: str, table: dict[str, Any], source: _Source
) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield each table of a section with the keys that it may have."""
    if section in _TEXTS:
        return
    if section not in _NAMED:
        yield table, _SECTIONS[section].__struct_fields__
        return
    for name, inside in table.items():
        if not isinstance(inside, dict):
            hint = f"[{section}.{name}]"
            source.refuse(section, name, f"{section} has tables of its own, by name", hint=hint)
        yield inside, _NAMED[section].__struct_fields__


def _refuse_unknown(source: _Source, section: str, key: str, known: Iterable[str]) -> NoReturn:
    seen = key or section
    near = difflib.get_close_matches(seen, known, n=1, cutoff=0.5)
    elsewhere = [f"[{name}] {seen}" for name in _homes(seen)]
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif elsewhere:
        hint = f"it belongs under {elsewhere[0]}"
    else:
        hint = f"known are {', '.join(known)}"
    what = f"unknown key {key!r} in [{section}]" if key else f"unknown section [{section}]"
    source.refuse(section, key, what, hint=hint)


def _homes(key: str) -> list[str]:
    kinds = {**_SECTIONS, **_NAMED}
    return [
        name for name, kind in kinds.items() if key in getattr(kind, "__struct_fields__", ())
    ]


def _refuse_value(
    error: msgspec.ValidationError, tables: dict[str, Any], source: _Source
) -> NoReturn:
    found = re.search(r"at `\$\.(\w+)\.(\w+)(?:\[\.\.\.\]|\[\d+\])?`", str(error))
    if found is None:
        _refuse_named(tables, source)
        source.refuse("model", "", str(error))
    section, key = found[1], found[2]
    field = next(f for f in msgspec.structs.fields(_SECTIONS[section]) if f.name == key)
    needed = describe(field.type)
    seen = tables[section][key]
    source.refuse(section, key, f"[{section}] {key} needs {needed}, got {seen!r}")


def _refuse_named(tables: dict[str, Any], source: _Source) -> None:
    """Refuse the first name whose table, or text, is not understood."""
    for section in (*_TEXTS, *_NAMED):
        for name, inside in tables.get(section, {}).items():
            if section in _TEXTS:
                if not isinstance(inside, str) or not inside:
                    source.refuse(
                        section, name, f"[{section}] {name} needs some text, got {inside!r}"
                    )
                continue
            kind = _NAMED[section]
            where = f"[{section}.{name}]"
            for field in msgspec.structs.fields(kind):
                if field.required and field.name not in inside:
                    source.refuse(section, name, f"{where} {field.name} is missing")
                if field.name not in inside:
                    continue
                try:
                    msgspec.convert(inside[field.name], field.type)
                except msgspec.ValidationError:
                    told = f"{where} {field.name} needs {describe(field.type)}"
                    source.refuse(section, name, f"{told}, got {inside[field.name]!r}")
        named = [name for name in tables.get(section, {}) if not _NAME.fullmatch(name)]
        if named:
            told = f"[{section}] {named[0]!r} is no name: letters, digits, '.', '_', '-'"
            source.refuse(section, named[0], told)


def describe(kind: Any) -> str:
    """Say in words what values a field takes.

    Parameters
    ----------
    kind
        The type of a field of a policy's section.

    Returns
    -------
    str
        Words that follow "needs".
    """
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return next(
            (m.description for m in kind.__metadata__ if m.description), "another value"
        )
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return f"a list, each {describe(inner)}"
    if origin is dict:
        return f"a table, each {describe(typing.get_args(kind)[1])}"
    if origin is typing.Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    if parts := [part for part in typing.get_args(kind) if part is not type(None)]:
        return describe(parts[0])
    return _KINDS.get(kind, "another value")
