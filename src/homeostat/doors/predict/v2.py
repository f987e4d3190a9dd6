"""The Open Inference Protocol, version 2, over HTTP, with tensors as JSON or as bytes.

Called by `app` and `routes`. One tensor per column, or one of all features side by side.

References
----------
.. [1] KServe, *Open Inference Protocol*, V2 REST.
.. [2] NVIDIA, *Triton Inference Server, binary tensor data extension*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from homeostat.doors.predict import answers, asked, tensors
from homeostat.foundation import errors
from homeostat.lifecycle.serving import engine, served

EXTENSIONS: Final = ("binary_tensor_data",)
HEADER_LENGTH: Final = b"inference-header-content-length"
TAKEN: Final = ("application/json", "application/octet-stream")
_OF_KIND: Final = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
_NAMES: Final = ("score", "answer", "version")
PROBABILITIES: Final = "probabilities"


class Output(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Infer(msgspec.Struct):
    """A request."""

    inputs: list[tensors.Tensor]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None


class Wanted(NamedTuple):
    """An output and whether it goes out as bytes."""

    name: str
    is_binary: bool


_infer = msgspec.json.Decoder(Infer)


async def infer(call: asked.Call) -> answers.Reply:
    """Answer a request to infer.

    Parameters
    ----------
    call
        JSON, or JSON and bytes where the header says how long the JSON is.

    Returns
    -------
    Reply
        JSON, or JSON and bytes where an output was asked for as bytes.

    Raises
    ------
    InvalidInputError
        When it is no V2 request, a tensor's data do not fit its shape, or a row the schema.
    """
    request, wanted, id_ = read(call)
    found = await asked.predict(call, request)
    return _reply(write(found, model=call.now.document.deployment, request_id=id_), wanted)


def read(call: asked.Call) -> tuple[asked.Asked, list[Wanted], str]:
    """Read a request to infer.

    Parameters
    ----------
    call
        As `infer` takes it.

    Returns
    -------
    tuple
        What is to be scored, which outputs are wanted (none for all, as JSON), and the
        caller's id.

    Raises
    ------
    InvalidInputError, TooLargeError, WrongMediaError
        When it cannot be read.
    """
    asked.need_media(call.headers, TAKEN)
    said, rest = _parted(call)
    request = asked.decode(_infer, said)
    if not request.inputs:
        raise errors.InvalidInputError("inputs: expected at least one tensor, got none")
    found = []
    for at, tensor in enumerate(request.inputs):
        size = tensor.binary_bytes
        data = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest):
                raise errors.InvalidInputError(
                    f"inputs[{at}].parameters.binary_data_size: {str(size)[:40]} of the "
                    f"{len(rest)} bytes that are left"
                )
            data, rest = rest[:size], rest[size:]
        found.append(tensors.values(tensor, data, at=at))
    if rest:
        raise errors.InvalidInputError(f"the body: {len(rest)} bytes belong to no tensor")
    names, columns = tensors.columns(request.inputs, found, call.now.features)
    told = request.parameters or {}
    n_rows = len(columns[0])
    keys = asked.keys_of(told.get("keys", told.get("key")), n_rows=n_rows, header=call.key)
    given = (*_NAMES, PROBABILITIES) if call.now.several else _NAMES
    return asked.Asked(names, columns, n_rows, keys), _wanted(request, given), request.id


def write(found: engine.Prediction, *, model: str, request_id: str) -> dict[str, Any]:
    """Return the answer of a prediction.

    Parameters
    ----------
    found
        What the engine said.
    model
        Name of the deployment.
    request_id
        The caller's; the first prediction's id when empty.

    Returns
    -------
    dict
        Outputs ``score`` (FP64) and ``answer`` (BYTES, or FP64 for a regression), of several
        classes ``probabilities`` (FP64, a row for each row, in the order of the parameter
        ``classes``), and ``version`` (BYTES) where rows were answered by different arms.
    """
    shape = [len(found.scores)]
    is_text = not found.answers or not isinstance(found.answers[0], float)
    outputs = [
        {"name": "score", "shape": shape, "datatype": "FP64", "data": found.scores},
        {
            "name": "answer",
            "shape": shape,
            "datatype": "BYTES" if is_text else "FP64",
            "data": found.answers,
        },
    ]
    if found.chances is not None:
        outputs.append(_probabilities(found.chances, len(found.classes)))
    versions = found.versions
    if len(versions) > 1 and len(set(versions)) > 1:
        outputs.append(_versions(found.versions))
    parameters = {
        "generation": found.generation,
        "ids": found.ids,
        "keys": found.keys,
        "arms": found.arms,
    }
    if found.unseen:
        parameters["unseen"] = found.unseen
    if found.chances is not None:
        parameters["classes"] = found.classes
    return {
        "model_name": model,
        "model_version": versions[0],
        "id": request_id or found.ids[0],
        "parameters": parameters,
        "outputs": outputs,
    }


def describe(now: served.Served, version: str | None = None) -> dict[str, Any]:
    """Return a deployment's metadata: its name, versions, inputs and outputs.

    Parameters
    ----------
    now
        What answers.
    version
        Of one version only.

    Raises
    ------
    NotFoundError
        When the plan does not name that version.
    """
    document = now.document
    versions = [str(one.version) for one in document.versions]
    if version is not None:
        if version not in versions:
            raise errors.NotFoundError(
                f"no version {version[:40]!r} of deployment {document.deployment!r} is served",
                hint=f"served: {', '.join(versions)}",
            )
        versions = [version]
    parameters: dict[str, Any] = {
        "generation": document.plan.generation,
        "model": document.model,
    }
    answer = "BYTES" if now.classes else "FP64"
    more = []
    if now.several:
        parameters["classes"] = now.several
        more.append(
            {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(now.several)]}
        )
    return {
        "name": document.deployment,
        "versions": versions,
        "platform": "homeostat",
        "parameters": parameters,
        "inputs": [
            {"name": name, "datatype": _OF_KIND.get(kind, "BYTES"), "shape": [-1]}
            for name, kind in now.columns
        ],
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [-1]},
            {"name": "answer", "datatype": answer, "shape": [-1]},
            *more,
        ],
    }


def _parted(call: asked.Call) -> tuple[bytes, memoryview]:
    """Return the JSON of a body, and the bytes after it."""
    body = call.body
    header = call.headers.get(HEADER_LENGTH)
    if header is None:
        return body, memoryview(b"")
    if not header.isdigit() or len(header) > len(str(len(body))) or int(header) > len(body):
        raise errors.InvalidInputError(
            f"Inference-Header-Content-Length: {header[:40].decode('latin-1')!r} is no length "
            f"of the JSON in a body of {len(body)} bytes"
        )
    return body[: int(header)], memoryview(body)[int(header) :]


def _wanted(request: Infer, given: Sequence[str]) -> list[Wanted]:
    by_default = _flag(request.parameters, "binary_data_output", where="parameters")
    if request.outputs is None:
        said = [name for name in given if name != "version"]
        return [Wanted(name, is_binary=True) for name in said] if by_default else []
    wanted: list[Wanted] = []
    for at, output in enumerate(request.outputs):
        if output.name not in given or any(one.name == output.name for one in wanted):
            raise errors.InvalidInputError(
                f"outputs[{at}].name: {output.name[:40]!r} is not one of {', '.join(given)}, "
                "each once"
            )
        where = f"outputs[{at}].parameters"
        is_binary = _flag(output.parameters, "binary_data", where=where, default=by_default)
        wanted.append(Wanted(output.name, is_binary))
    return wanted


def _flag(
    parameters: dict[str, Any] | None, name: str, *, where: str, default: bool = False
) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise errors.InvalidInputError(
            f"{where}.{name}: expected true or false, got {str(value)[:40]}"
        )
    return value


def _probabilities(chances: list[list[float]], n_classes: int) -> dict[str, Any]:
    return {
        "name": PROBABILITIES,
        "shape": [len(chances), n_classes],
        "datatype": "FP64",
        "data": [one for row in chances for one in row],
    }


def _versions(versions: list[str]) -> dict[str, Any]:
    shape = [len(versions)]
    return {"name": "version", "shape": shape, "datatype": "BYTES", "data": versions}


def _reply(said: dict[str, Any], wanted: list[Wanted]) -> answers.Reply:
    if not wanted:
        return answers.json(said)
    given = {one["name"]: one for one in said["outputs"]}
    n_rows = len(given["score"]["data"])
    given.setdefault("version", _versions([said["model_version"]] * n_rows))
    outputs, parts = [], []
    for one in wanted:
        output = given[one.name]
        if one.is_binary:
            parts.append(tensors.pack(output["datatype"], output.pop("data")))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        outputs.append(output)
    body = answers.encode({**said, "outputs": outputs})
    if not parts:
        return answers.Reply(200, body)
    more = b"inference-header-content-length: %d\r\n" % len(body)
    return answers.Reply(200, b"".join([body, *parts]), answers.OCTETS, more=more)
