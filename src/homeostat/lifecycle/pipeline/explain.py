"""Why a step was not found in the cache, in words; called by the driver at every miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from homeostat.lifecycle.pipeline import entities, fingerprint


def miss(
    *,
    code: fingerprint.Reached,
    arguments: Mapping[str, entities.Argument],
    last: entities.Entry | None,
    last_parts: Sequence[fingerprint.Part],
) -> str:
    """Say what differs from the last time the step finished.

    Parameters
    ----------
    code
        What the step reaches now.
    arguments
        What it is given now.
    last
        Its last result, None when there is none.
    last_parts
        What it reached then.

    Returns
    -------
    str
        One line, such as `function features.cut changed; parameter rate 0.1 -> 0.05`.
    """
    if last is None:
        return "it never finished here before"
    found = [*_code(code.parts, last_parts), *_arguments(arguments, last.arguments)]
    if not found and code.digest != last.code:
        found = ["the version of Python changed"]
    return "; ".join(found) or "its cached value is gone"


def _code(now: Sequence[fingerprint.Part], then: Sequence[fingerprint.Part]) -> Iterator[str]:
    if not then:
        return
    new = {_name(part): part for part in now}
    old = {_name(part): part for part in then}
    for key, part in new.items():
        was = old.get(key)
        if was is None:
            yield f"{part.kind} {part.name} is newly used"
        elif was.digest != part.digest and part.kind == "package":
            yield f"package {was.name} -> {part.name.rpartition(' ')[2]}"
        elif was.digest != part.digest:
            yield f"{part.kind} {part.name} changed"
    for key, part in old.items():
        if key not in new:
            yield f"{part.kind} {part.name} is no longer used"


def _name(part: fingerprint.Part) -> tuple[str, str]:
    # A package's name carries its version, which is what may have changed.
    name = part.name.partition(" ")[0] if part.kind == "package" else part.name
    return part.kind, name


def _arguments(
    now: Mapping[str, entities.Argument], then: Mapping[str, entities.Argument]
) -> Iterator[str]:
    for name, argument in now.items():
        was = then.get(name)
        if was is None:
            yield f"parameter {name} is new"
        elif was.digest != argument.digest:
            if was.shown is not None and argument.shown is not None:
                yield f"parameter {name} {was.shown} -> {argument.shown}"
            else:
                yield f"input {name} changed"
    for name in then:
        if name not in now:
            yield f"parameter {name} is gone"
