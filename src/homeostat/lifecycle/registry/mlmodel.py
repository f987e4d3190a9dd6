"""What an `MLmodel` file says: which file holds the model, how to read it, what it takes.

Pure and safe on strangers' files: plain YAML without aliases, bounded, nothing is imported or
unpickled. Called where a version logged by MLflow is adopted, and by its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Kind

MLMODEL = "MLmodel"
MOST_BYTES = 4_000_000
PICKLED = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill")

# Formats that are read without running code of the model; the others need somebody's trust.
# `skops-any` is a skops file with types that are not on the list of `trust`.
Loader = Literal["skops", "lightgbm", "xgboost", "skops-any", "pickle", "pyfunc"]
DATA_ONLY: frozenset[str] = frozenset({"skops", "lightgbm", "xgboost"})

_KINDS: dict[str, Kind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "string": "text",
    "boolean": "boolean",
    "datetime": "timestamp",
}


class Input(msgspec.Struct, frozen=True):
    """One column of a signature; `type` is MLflow's word, `kind` ours."""

    name: str
    kind: Kind
    required: bool = True
    type: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says.

    Attributes
    ----------
    flavour
        The one that is read: ``sklearn``, ``lightgbm``, ``xgboost`` or ``python_function``.
    flavours
        All that are named.
    loader
        How the model's file is read.
    file
        Path of the model's file; empty where MLflow itself must read the folder.
    inputs
        Named columns of the signature; None without a signature of columns.
    width
        Columns of a signature of one matrix; None otherwise.
    mlflow, python
        Versions it was written with; empty when not said.
    run_id, model_id
        What MLflow says made it; empty when not said.
    """

    flavour: str
    flavours: tuple[str, ...]
    loader: Loader
    file: str
    inputs: tuple[Input, ...] | None = None
    width: int | None = None
    mlflow: str = ""
    python: str = ""
    run_id: str = ""
    model_id: str = ""

    @property
    def needs_trust(self) -> bool:
        """Whether loading it can run any code."""
        return self.loader not in DATA_ONLY


def read(files: Mapping[str, bytes]) -> Told:
    """Read the `MLmodel` among the files of a version.

    Parameters
    ----------
    files
        Path to bytes; only `MLmodel` is looked into.

    Returns
    -------
    Told
        What it says.

    Raises
    ------
    InvalidInputError
        When there is none, it is no such file, names a file that is not there, or a signature
        has a column of a type that no table has.
    """
    return parse(files.get(MLMODEL), paths=tuple(files))


def parse(text: bytes | None, *, paths: tuple[str, ...]) -> Told:
    """Read an `MLmodel` file, as `read`, from its bytes and the paths of all files beside it.

    Parameters
    ----------
    text
        The file; None when there is none.
    paths
        Of all files of the version.

    Raises
    ------
    InvalidInputError
        As `read`.
    """
    if text is None:
        raise errors.InvalidInputError(
            "the version has no file MLmodel, so nobody can tell how to load it",
            hint="register a folder that log_model wrote, not a single file",
        )
    about = _yaml(text)
    flavours = about.get("flavors")
    if not isinstance(flavours, dict) or not flavours:
        raise errors.InvalidInputError("MLmodel names no flavour")
    named = {str(name): part for name, part in flavours.items() if isinstance(part, dict)}
    flavour, loader, file = _model_file(named)
    if file and file not in paths:
        raise errors.InvalidInputError(
            f"MLmodel says that the model is in {file!r}, which is not among the files",
            hint="log the model again",
        )
    inputs, width = _signature(about.get("signature"))
    python = named.get("python_function", {}).get("python_version")
    return Told(
        flavour=flavour,
        flavours=tuple(sorted(named)),
        loader=loader,
        file=file,
        inputs=inputs,
        width=width,
        mlflow=_text(about.get("mlflow_version")),
        python=_text(python),
        run_id=_text(about.get("run_id")),
        model_id=_text(about.get("model_id")),
    )


def _yaml(text: bytes) -> dict[str, Any]:
    if len(text) > MOST_BYTES:
        raise errors.InvalidInputError(
            f"MLmodel has {len(text)} bytes; {MOST_BYTES} are the most"
        )
    import yaml  # noqa: PLC0415 - prediction workers know this module and read no such file

    class Plain(yaml.SafeLoader):
        """Safe, and without aliases, by which a few lines become gigabytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it holds an alias, which MLflow never writes")
            return super().compose_node(parent, index)

    try:
        about = yaml.load(text, Plain)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        told = str(error).partition("\n")[0]
        raise errors.InvalidInputError(f"MLmodel cannot be read: {told}") from None
    if not isinstance(about, dict):
        raise errors.InvalidInputError("MLmodel cannot be read: it holds no keys")
    return about


def _model_file(named: Mapping[str, dict[str, Any]]) -> tuple[str, Loader, str]:
    """Return the flavour to read, how, and which file; MLflow itself for all unknown ones."""
    if "sklearn" in named:
        file = _text(named["sklearn"].get("pickled_model"))
        return "sklearn", _by_name(file), file
    for flavour in ("lightgbm", "xgboost"):
        if flavour in named:
            file = _text(named[flavour].get("data"))
            native: Loader = "lightgbm" if flavour == "lightgbm" else "xgboost"
            is_own = not file.endswith((".skops", *PICKLED))
            return flavour, native if is_own else _by_name(file), file
    if "python_function" in named:
        return "python_function", "pyfunc", ""
    flavours = ", ".join(sorted(named)) or "none"
    raise errors.InvalidInputError(
        f"MLmodel has no flavour that can be loaded here (it has {flavours})",
        hint="log the model with its sklearn, lightgbm, xgboost or python_function flavour",
    )


def _by_name(file: str) -> Loader:
    return "skops" if file.endswith(".skops") else "pickle"


def _signature(told: object) -> tuple[tuple[Input, ...] | None, int | None]:
    if not isinstance(told, dict) or not told.get("inputs"):
        return None, None
    try:
        found = told["inputs"]
        inputs = msgspec.json.decode(found) if isinstance(found, str) else found
    except msgspec.DecodeError:
        raise errors.InvalidInputError("the signature in MLmodel cannot be read") from None
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise errors.InvalidInputError("the signature in MLmodel cannot be read")
    if len(inputs) == 1 and inputs[0].get("type") == "tensor" and not inputs[0].get("name"):
        return None, _width(inputs[0].get("tensor-spec"))
    if any(not one.get("name") for one in inputs):
        return None, len(inputs)
    return tuple(_input(one) for one in inputs), None


def _width(spec: object) -> int | None:
    shape = spec.get("shape") if isinstance(spec, dict) else None
    if isinstance(shape, list) and len(shape) == 2 and isinstance(shape[1], int):  # noqa: PLR2004
        return shape[1] if shape[1] > 0 else None
    raise errors.InvalidInputError(
        f"the model takes an array of shape {shape}; only rows of columns can be served here",
        hint="log it with an input_example that is a table",
    )


def _input(one: Mapping[str, Any]) -> Input:
    name, kind = str(one["name"]), _KINDS.get(str(one.get("type")))
    if kind is None:
        raise errors.InvalidInputError(
            f"column {name!r} of the signature is of type {one.get('type')!r}, which no column "
            f"of a table has; known are {', '.join(_KINDS)}",
            column=name,
        )
    is_required = bool(one.get("required", not one.get("optional", False)))
    return Input(name, kind, is_required, str(one["type"]))


def _text(value: object) -> str:
    return "" if value is None else str(value)[:1000]
