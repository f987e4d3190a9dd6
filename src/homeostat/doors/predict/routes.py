"""What can be asked of a prediction server: one table, for answering and for `openapi`.

Called by `app` for everything that is no prediction; those have a shorter way and stand here to
be described, and to say which method they take.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from homeostat.doors.predict import answers, asked, explaining, invocations, labelling, v2
from homeostat.foundation import errors
from homeostat.lifecycle.explanations.entities import Explained
from homeostat.lifecycle.serving import engine

NAME = "homeostat"
_BRACES = re.compile(r"{(\w+)}")


class Ask(NamedTuple):
    """A request that is no prediction.

    Attributes
    ----------
    name, version
        Of the deployment and of one version of it, where the path says them; else empty.
    only
        Returns the deployment that is meant where the path names none.
    key, token
        What the headers say a row is known by, and who the caller is.
    """

    engine: engine.Engine
    headers: Mapping[bytes, bytes]
    body: bytes
    only: Callable[[], str]
    name: str = ""
    version: str = ""
    key: str | None = None
    asked_version: str | None = None
    token: str | None = None
    explains: explaining.Explaining | None = None


class Live(msgspec.Struct):
    """Whether the process answers."""

    live: bool


class Ready(msgspec.Struct):
    """Whether plans are known."""

    ready: bool


class Server(msgspec.Struct):
    """Name, version and extensions of the protocol."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(msgspec.Struct):
    """Whether a deployment, or one of its versions, answers."""

    name: str
    ready: bool


class MetadataTensor(msgspec.Struct):
    """An input or output; its shape has -1 for the rows."""

    name: str
    datatype: str
    shape: list[int]


class Metadata(msgspec.Struct):
    """What a deployment takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[MetadataTensor]
    outputs: list[MetadataTensor]
    parameters: dict[str, str | int | list[str]]


class AnsweredTensor(msgspec.Struct):
    """An output; without data where they follow as bytes."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class Inferred(msgspec.Struct):
    """An answer of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, Any]
    outputs: list[AnsweredTensor]


class Invoked(msgspec.Struct):
    """An answer of MLflow's protocol, and what we add.

    Of several classes `probabilities` has for each row a number for each of `classes`, and the
    score is the largest of them.
    """

    predictions: list[Any]
    scores: list[float]
    ids: list[str]
    keys: list[str]
    versions: list[str]
    unseen: dict[str, list[str]] | None = None
    classes: list[str] | None = None
    probabilities: list[list[float]] | None = None


class Accepted(msgspec.Struct):
    """How many labels are in the log now."""

    accepted: int


class Health(msgspec.Struct):
    """How the process is, and what it answers for."""

    status: str
    version: str
    ready: bool
    deployments: list[str]


class Version(msgspec.Struct):
    """Name and version of the product."""

    name: str
    version: str


class IndexQuery(msgspec.Struct):
    """Whether only what answers is to be listed."""

    ready: bool = False


class Indexed(msgspec.Struct):
    """A version of a deployment."""

    name: str
    version: str
    state: str
    reason: str


Answering = Callable[[Ask], Awaitable[answers.Reply]]


class Route(NamedTuple):
    """One thing that can be asked; `answer` is None where `app` answers itself."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    answer: Answering | None = None
    gives: Any = None
    takes: Any = None
    media: tuple[str, ...] = asked.JSON
    status: int = 200


async def model(ask: Ask) -> answers.Reply:
    """Return what a deployment, or one version of it, takes and gives."""
    now = await ask.engine.reach(ask.name)
    return answers.json(v2.describe(now, ask.version or None))


async def model_ready(ask: Ask) -> answers.Reply:
    """Tell whether a deployment, or one version of it, answers."""
    if ask.version or ask.name not in ask.engine.names:
        v2.describe(await ask.engine.reach(ask.name), ask.version or None)
    return answers.json(ModelReady(ask.name, ready=True))


async def index(ask: Ask) -> answers.Reply:
    """List versions of the deployments in memory, and the others by name."""
    if ask.body.strip():
        asked.decode(_index, ask.body)
    found: list[Indexed] = []
    for name in sorted(ask.engine.names):
        document = ask.engine.holds(name)
        versions = [""] if document is None else [str(o.version) for o in document.versions]
        found.extend(Indexed(name, version, "READY", "") for version in versions)
    return answers.json(found)


async def label(ask: Ask) -> answers.Reply:
    """Take late labels; many are read in a thread, so that predictions need not wait."""
    media = asked.need_media(ask.headers, labelling.TAKEN)
    if len(ask.body) > labelling.MANY_BYTES:
        told, labels = await asyncio.to_thread(labelling.read, ask.body, media=media)
    else:
        told, labels = labelling.read(ask.body, media=media)
    taken = await ask.engine.label(ask.name or told or ask.only(), labels)
    return answers.json(Accepted(taken), status=202)


async def explain(ask: Ask) -> answers.Reply:
    """Explain rows."""
    if ask.explains is None:
        raise errors.UnavailableError("this process does not explain")
    now = await ask.engine.reach(ask.name or ask.only())
    call = asked.Call(
        ask.engine,
        now,
        ask.headers,
        ask.body,
        key=ask.key,
        version=ask.asked_version,
        token=ask.token,
    )
    return await ask.explains.answer(call)


_ONE = "/v2/models/{name}"
_VERSION = f"{_ONE}/versions/{{version}}"
_LABELS: Final[Mapping[str, Any]] = {
    "answer": label,
    "gives": Accepted,
    "takes": labelling.Labels,
    "media": labelling.TAKEN,
    "status": 202,
}
_INVOKE: Final[Mapping[str, Any]] = {
    "gives": Invoked,
    "takes": invocations.Invocation,
    "media": invocations.TAKEN,
}
_INFER: Final[Mapping[str, Any]] = {"gives": Inferred, "takes": v2.Infer, "media": v2.TAKEN}
ROUTES: Final = (
    Route("GET", "/v2", "Name, version and extensions of the server", gives=Server),
    Route("GET", "/v2/health/live", "Whether the process answers", gives=Live),
    Route("GET", "/v2/health/ready", "Whether plans are known", gives=Ready),
    Route("GET", _ONE, "Inputs and outputs of a deployment", model, gives=Metadata),
    Route("GET", _VERSION, "Inputs and outputs of a version", model, gives=Metadata),
    Route("GET", f"{_ONE}/ready", "Whether it answers", model_ready, gives=ModelReady),
    Route("GET", f"{_VERSION}/ready", "Whether it answers", model_ready, gives=ModelReady),
    Route("POST", f"{_ONE}/infer", "Predict", **_INFER),
    Route("POST", f"{_VERSION}/infer", "Predict by one version", **_INFER),
    Route(
        "POST",
        "/v2/repository/index",
        "List what is served",
        index,
        gives=list[Indexed],
        takes=IndexQuery,
    ),
    Route("POST", "/invocations", "Predict, as MLflow's server does", **_INVOKE),
    Route("POST", "/models/{name}/invocations", "The same for one deployment", **_INVOKE),
    Route("POST", "/labels", "Bring late labels", **_LABELS),
    Route("POST", f"{_ONE}/labels", "Bring late labels of one deployment", **_LABELS),
    Route("POST", "/explain", "Explain rows", explain, gives=Explained, takes=v2.Infer),
    Route(
        "POST",
        f"{_ONE}/explain",
        "Explain rows of one deployment",
        explain,
        gives=Explained,
        takes=v2.Infer,
    ),
    Route("GET", "/health", "How the process is", gives=Health),
    Route("GET", "/ping", "Whether the process answers, as MLflow asks it", gives=str),
    Route("GET", "/version", "Name and version of the product", gives=Version),
    Route("GET", "/metrics", "Numbers for Prometheus", gives=str),
    Route("GET", "/openapi.json", "This description", gives=dict[str, Any]),
)
_index = msgspec.json.Decoder(IndexQuery)
_PATTERNS: Final = tuple(
    (re.compile(_BRACES.sub(r"(?P<\1>[^/]+)", route.path)), route) for route in ROUTES
)


async def answer(ask: Ask, *, method: str, path: str) -> answers.Reply:
    """Answer what is no prediction.

    Parameters
    ----------
    ask
        The request.
    method, path
        What it asks for; escapes of the path are resolved.

    Returns
    -------
    Reply
        As the route says.

    Raises
    ------
    NotFoundError
        When there is nothing at that path.
    WrongMethodError
        When it takes another method.
    """
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(path)
        if found is not None:
            need(method, route.method, path)
            if route.answer is not None:
                parts = found.groupdict()
                name, version = parts.get("name", ""), parts.get("version", "")
                return await route.answer(ask._replace(name=name, version=version))
    raise errors.NotFoundError(
        f"there is nothing at {path[:200]}",
        hint="see /v2, /invocations, /labels, /explain, /metrics, /openapi.json",
    )


def need(method: str, needed: str, path: str) -> None:
    """Refuse a method that a path does not take.

    Parameters
    ----------
    method
        Of the request; HEAD is taken where GET is.
    needed
        What the path takes.
    path
        For the message.

    Raises
    ------
    WrongMethodError
        When it is another one.
    """
    if method != needed and not (needed == "GET" and method == "HEAD"):
        raise errors.WrongMethodError(
            f"{path[:200]} takes {needed}, not {method}",
            hint=f"send {needed}",
            allowed="GET, HEAD" if needed == "GET" else needed,
        )
