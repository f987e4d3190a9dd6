"""What came out when a version was made again, item by item; pure, for SDK, API and pages.

A model is compared three times, from strict to what counts: the bytes of its files, their
content without what every writing changes (memory addresses, times, ids of runs), and its
scores of the rows it learned from.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import blake3
import msgspec

Verdict = Literal["same", "within tolerance", "differs", "could not be checked"]
SAME: Final = "same"
WITHIN: Final = "within tolerance"
DIFFERS: Final = "differs"
UNCHECKED: Final = "could not be checked"

Kind = Literal["code", "data", "parameters", "environment", "step", "file", "scores", "metric"]
OUTCOMES: Final = ("file", "scores", "metric")
"""What the version is; the other kinds say what it was made of."""
_FEW = 5
_SAID: Final[dict[Verdict, str]] = {
    "same": "reproduced: it gives the same scores",
    "within tolerance": "reproduced: it gives the same scores within the tolerance",
    "differs": "not reproduced: it gives other scores",
    "could not be checked": "not known to be reproduced: its scores could not be compared",
}
# Said anew by every packing; the run, the instant and the id are facts of the packing.
_OF_THE_PACKING: Final = ("model_uuid", "run_id", "utc_time_created", "model_size_bytes")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was compared.

    Attributes
    ----------
    kind, name
        What: a step by its name, a file by its path.
    verdict
        How the two stand.
    sentence
        What was seen, for people.
    gap
        Largest absolute difference of two numbers, where numbers were compared.
    """

    kind: Kind
    name: str
    verdict: Verdict
    sentence: str = ""
    gap: float | None = None


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was made again.

    Attributes
    ----------
    id
        Of this attempt.
    model, number
        Which version.
    of_run, run_id
        The run that made it, and the one that made it again; the latter empty where nothing
        could be run.
    environment
        Where it ran: ``present`` or ``fresh``.
    tolerance
        Largest difference of two scores or metrics that still counts as the same.
    items
        All that was compared.
    verdict
        Of the whole; see `judged`.
    at, actor
        When, ms UTC, and by whom.
    """

    id: str
    model: str
    number: int
    of_run: str
    run_id: str
    environment: Literal["present", "fresh"]
    tolerance: float
    items: tuple[Item, ...]
    verdict: Verdict
    at: int
    actor: str

    @property
    def reference(self) -> str:
        """How events and lineage name it."""
        return f"reproduction:{self.id}"

    @property
    def sentence(self) -> str:
        """What came of it, for people: what decides first, then what only is told."""
        decides = [item for item in self.items if item.kind in {"scores", "metric"}]
        besides = [
            f"{item.kind} {item.name}"
            for item in self.items
            if item not in decides and item.verdict == DIFFERS
        ]
        said = _SAID[self.verdict]
        if not besides or self.verdict not in {SAME, WITHIN}:
            return said
        more = f" and {len(besides) - _FEW} more" if len(besides) > _FEW else ""
        return (
            f"{said}; what differs besides decides nothing: {', '.join(besides[:_FEW])}{more}"
        )


def judged(items: Sequence[Item]) -> Verdict:
    """Return the verdict of the whole.

    Parameters
    ----------
    items
        As compared.

    Returns
    -------
    str
        ``differs`` when what came out differs; ``could not be checked`` when its scores could
        not; else the weaker of ``same`` and ``within tolerance``. A changed environment,
        code or step is told, and decides nothing: what came out does.

    Notes
    -----
    Where scores were compared they stand for the model's file, which one and the same fit
    need not write in the same bytes.

    Examples
    --------
    >>> scores = Item(kind="scores", name="scores", verdict="same")
    >>> judged([scores, Item(kind="environment", name="numpy", verdict="differs")])
    'same'
    >>> judged([Item(kind="code", name="fit", verdict="same")])
    'could not be checked'
    """
    outcomes = [item for item in items if item.kind in {"scores", "metric"}]
    found = {item.verdict for item in outcomes}
    if DIFFERS in found:
        return "differs"
    if not any(item.kind == "scores" and item.verdict != UNCHECKED for item in outcomes):
        return "could not be checked"
    return "within tolerance" if WITHIN in found else "same"


def numbers(
    recorded: Sequence[float], found: Sequence[float], *, tolerance: float
) -> tuple[Verdict, float]:
    """Compare two series of numbers.

    Parameters
    ----------
    recorded, found
        Of the same length; NaN equals NaN.
    tolerance
        0 or more.

    Returns
    -------
    tuple
        Verdict and the largest absolute difference; infinite where one is not a number.

    Examples
    --------
    >>> numbers([0.5, 0.25], [0.5, 0.26], tolerance=0.05)[0]
    'within tolerance'
    """
    if len(recorded) != len(found):
        return "differs", math.inf
    gap = 0.0
    for one, other in zip(recorded, found, strict=True):
        if one == other or (math.isnan(one) and math.isnan(other)):
            continue
        step = abs(one - other)
        gap = max(gap, step if math.isfinite(step) else math.inf)
    if gap == 0.0:
        return "same", 0.0
    return ("within tolerance" if gap <= tolerance else "differs"), gap


def packages(recorded: Sequence[str], present: Sequence[str]) -> list[Item]:
    """Compare two lists of distributions.

    Parameters
    ----------
    recorded, present
        ``name==version``.

    Returns
    -------
    list of Item
        One item when they are the same or nothing was recorded, else one for each that differs.

    Examples
    --------
    >>> [(i.name, i.sentence) for i in packages(["numpy==1.0"], ["numpy==2.0"])]
    [('numpy', 'recorded 1.0, here 2.0')]
    """
    if not recorded:
        said = "the run recorded no list of packages"
        return [
            Item(
                kind="environment",
                name="packages",
                verdict="could not be checked",
                sentence=said,
            )
        ]
    then, now = _by_name(recorded), _by_name(present)
    items = [
        Item(
            kind="environment",
            name=name,
            verdict="differs",
            sentence=f"recorded {then.get(name, 'nothing')}, here {now.get(name, 'nothing')}",
        )
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    said = f"{len(then)} packages, all in the recorded versions"
    return items or [Item(kind="environment", name="packages", verdict="same", sentence=said)]


def files(recorded: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[Item]:
    """Compare the files of a version with those made again.

    Parameters
    ----------
    recorded, found
        Path to bytes.

    Returns
    -------
    list of Item
        By path.
    """
    items = []
    for path in sorted(recorded.keys() | found.keys()):
        one, other = recorded.get(path), found.get(path)
        verdict: Verdict = "differs"
        if one is None or other is None:
            said = "only in what was made now" if one is None else "was not made again"
        elif one == other:
            verdict, said = "same", f"the same bytes ({blake3.blake3(one).hexdigest()[:12]})"
        elif content(path, one) == content(path, other):
            verdict, said = "same", "the same content, written at another time"
        else:
            said = f"{len(one):,} bytes then, {len(other):,} now, of another content"
        items.append(Item(kind="file", name=path, verdict=verdict, sentence=said))
    return items


def content(path: str, data: bytes) -> str:
    """Return the digest of a file's content without what every writing changes.

    Parameters
    ----------
    path
        Tells the format.
    data
        The file.

    Returns
    -------
    str
        64 hexadecimal digits; of the bytes themselves where the format is not known.
    """
    try:
        if path.endswith(".skops"):
            return _skops(data)
        if path.rpartition("/")[2] == "MLmodel":
            return _digest(_mlmodel(data))
        if path.endswith("homeostat.json"):
            return _digest(json.dumps(_without_twin(json.loads(data)), sort_keys=True))
    except (ValueError, KeyError, zipfile.BadZipFile):
        pass
    return blake3.blake3(data).hexdigest()


def _skops(data: bytes) -> str:
    """Digest a skops file: its objects are named by their addresses in memory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {
            info.filename: blake3.blake3(archive.read(info)).hexdigest()
            for info in archive.infolist()
            if info.filename != "schema.json"
        }
        schema = json.loads(archive.read("schema.json"))
    seen: dict[int, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if not isinstance(value, dict):
            return value
        found: dict[str, Any] = {}
        for name, item in value.items():
            if name == "__id__" and isinstance(item, int):
                found[name] = seen.setdefault(item, len(seen))
            elif name == "file" and isinstance(item, str):
                found[name] = members[item]
            else:
                found[name] = plain(item)
        return found

    return _digest(json.dumps(plain(schema), sort_keys=True))


def _mlmodel(data: bytes) -> str:
    lines = data.decode().splitlines()
    return "\n".join(line for line in lines if not line.startswith(_OF_THE_PACKING))


def _without_twin(about: dict[str, Any]) -> dict[str, Any]:
    """Leave out how the twin compared; the twin is a file of its own."""
    return {name: value for name, value in about.items() if name != "twin"}


def _digest(text: str) -> str:
    return blake3.blake3(text.encode()).hexdigest()


def _by_name(packages: Sequence[str]) -> dict[str, str]:
    return {name: version for name, _, version in (one.partition("==") for one in packages)}


def told(items: Sequence[Item], *, kind: str) -> str:
    """Return a sentence on the items of a kind that are not the same; empty when all are.

    Examples
    --------
    >>> told(packages(["numpy==1.0"], ["numpy==2.0"]), kind="environment")
    'numpy: recorded 1.0, here 2.0'
    """
    other = [item for item in items if item.kind == kind and item.verdict != SAME]
    said = "; ".join(f"{item.name}: {item.sentence}" for item in other[:_FEW])
    return f"{said}; and {len(other) - _FEW} more" if len(other) > _FEW else said
