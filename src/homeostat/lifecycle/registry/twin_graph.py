"""Writes a model that was read into an ONNX graph: one matrix of doubles in, chances out.

Called by `twin`. The graph takes a column per source: its number, or the code of its value,
looked up by `twinned` before the call; so it needs no texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import twin_features, twin_trees, twinned
from homeostat.lifecycle.registry.twin_boosters import Linear, Model
from homeostat.lifecycle.registry.twin_features import Feature, NoTwinError, Source

Floats = NDArray[np.float64]

_OPSET, _ML_OPSET, _IR = 18, 5, 10
# What leaves a number as it is; the other operations are done where a flag says so.
_NEUTRAL = {"fill": np.nan, "sub": 0.0, "div": 1.0, "mul": 1.0, "add": 0.0}
# What makes the number of a regression of a sum.
_OF_NUMBERS = {"identity": "Identity", "exp": "Exp"}
_FUNCTIONS = {"log": "Log", "sqrt": "Sqrt", "abs": "Abs"}


def write(model: Model, features: Sequence[Feature], *, positive: int | None) -> bytes:
    """Return a model as the bytes of an ONNX model.

    Parameters
    ----------
    model, features
        What it sums, and over what.
    positive
        Place of the class whose chance is answered; None for all classes, or a number.

    Returns
    -------
    bytes
        Input ``rows`` of shape ``(n, k)``, output ``chances`` of shape ``(n,)``, or ``(n, c)``
        of all classes, both double; what the columns are is in its metadata, for `twinned`.

    Raises
    ------
    NoTwinError
        When a classifier takes text.
    """
    graph = _Graph()
    numbers = [one for one in features if one.known is None]
    for one in numbers:
        if one.source.column.kind in {"text", "category"}:
            raise NoTwinError(
                f"column {one.source.column.name!r} reaches the classifier as text"
            )
    if isinstance(model.body, Linear):
        inputs, total = _linear(graph, model.body, features)
    else:
        inputs, total = _forest(graph, model, features)
    if model.start.any():
        total = graph.add("Add", total, graph.constant(model.start))
    if positive is None and len(model.start) > 1:
        _add_all(graph, model, total)
        return graph.written(inputs, rank=2)
    graph.add(*_linked(graph, model, total, positive=positive), outputs=["chances"])
    return graph.written(inputs)


def _add_all(graph: _Graph, model: Model, total: str) -> None:
    """Add the last node, where all classes are answered."""
    if model.link == "softmax":
        graph.add("Softmax", total, axis=1, outputs=["chances"])
    elif model.link == "mean":
        graph.add("Div", total, graph.constant(np.array(model.factor)), outputs=["chances"])
    else:
        raise NoTwinError("several classes, each against the rest, have no counterpart here")


def _linked(graph: _Graph, model: Model, total: str, *, positive: int | None) -> list[str]:
    """Return the last node and its inputs."""
    if model.link == "softmax":
        spread = graph.add("Softmax", total, axis=1)
        return ["Gather1", spread, graph.constant(np.array(positive, dtype=np.int64))]
    flat = graph.add("Reshape", total, graph.constant(np.array([-1], dtype=np.int64)))
    if model.link == "mean":
        return ["Div", flat, graph.constant(np.array(model.factor))]
    if model.link in _OF_NUMBERS:
        return [_OF_NUMBERS[model.link], flat]
    factor = model.factor if positive == 1 else -model.factor
    if factor != 1.0:
        flat = graph.add("Mul", flat, graph.constant(np.array(factor)))
    return ["Sigmoid", flat]


class _Placed(NamedTuple):
    """Numbers as a classifier takes them; `is_input` where they are the first of the rows."""

    name: str
    is_input: bool


def _linear(
    graph: _Graph, body: Linear, features: Sequence[Feature]
) -> tuple[list[twinned.Input], str]:
    """Add for a coded column one number per class, found in its dictionary, to a product."""
    numbers = [at for at, one in enumerate(features) if one.known is None]
    sources = _unique([features[at].source for at in numbers])
    inputs = [twinned.Input(column=one.column.name) for one in sources]
    coded = _unique([one.source for one in features if one.known is not None])
    n_targets = body.weights.shape[1]
    weights = [body.weights[numbers]]
    for source in coded:
        parts = sum(
            np.outer(twin_features.operated(one.known, ()), body.weights[at])
            for at, one in enumerate(features)
            if one.source is source and one.known is not None
        )
        for target in range(n_targets):
            inputs.append(_input(source, np.asarray(parts)[:, target]))
            weights.append(np.eye(n_targets)[target : target + 1])
    placed = _numbers(graph, [features[at] for at in numbers], sources)
    rows = placed.name
    if not placed.is_input:
        added = list(range(len(sources), len(inputs)))
        rows = graph.add("Concat", rows, _columns(graph, added), axis=1) if added else rows
    return inputs, graph.add("MatMul", rows, graph.constant(np.concatenate(weights)))


def _forest(
    graph: _Graph, model: Model, features: Sequence[Feature]
) -> tuple[list[twinned.Input], str]:
    forest = model.body
    assert isinstance(forest, twin_trees.Forest)
    features, direct = _as_numbers(forest, features)
    numbers = [one for one in features if one.known is None]
    sources = _unique([one.source for one in numbers])
    coded = _unique([one.source for one in features if one.known is not None])
    inputs = [
        _input(one, direct[id(one)])
        if id(one) in direct
        else twinned.Input(column=one.column.name)
        for one in sources
    ]
    inputs += [_input(one, np.arange(1.0, len(one.domain or ()) + 3.0)) for one in coded]
    placed = _numbers(graph, numbers, sources)
    rows, n_numbers = placed.name, len(sources) if placed.is_input else len(numbers)
    if coded and not placed.is_input:
        added = range(len(sources), len(inputs))
        rows = graph.add("Concat", rows, _columns(graph, list(added)), axis=1)
    if forest.is_single:
        rows = graph.add("Cast", graph.add("Cast", rows, to=1), to=11)
    counted = 0
    columns = []
    for one in features:
        if one.known is not None:
            columns.append(n_numbers + coded.index(one.source))
        else:
            columns.append(sources.index(one.source) if placed.is_input else counted)
            counted += 1
    total = graph.add(
        "TreeEnsemble", rows, **twin_trees.attributes(forest, features, columns=columns)
    )
    if model.needs_finite and numbers:
        # What the original refuses must not be answered: not a number times zero is none.
        axis = graph.constant(np.array([1], dtype=np.int64))
        zero = graph.add("Mul", graph.add("ReduceSum", rows, axis), graph.constant(np.zeros(1)))
        total = graph.add("Add", total, zero)
    return inputs, total


def _as_numbers(
    forest: twin_trees.Forest, features: Sequence[Feature]
) -> tuple[list[Feature], dict[int, Floats]]:
    """Take encoded columns for numbers where all that trees ask of one is one number.

    Returns the features, and by identity of its source what each value became.
    """
    in_sets = {int(one.features[at]) for one in forest.trees for at in one.tests}
    of_source = Counter(id(one.source) for one in features)
    made, direct = [], {}
    for at, one in enumerate(features):
        is_number = one.known is not None and one.known.dtype != object
        if is_number and of_source[id(one.source)] == 1 and at not in in_sets:
            direct[id(one.source)] = twin_features.operated(twin_features.values_of(one), ())
            made.append(Feature(one.source))
        else:
            made.append(one)
    return made, direct


def _numbers(graph: _Graph, numbers: Sequence[Feature], sources: Sequence[Source]) -> _Placed:
    """Do to the numbers what the steps did, all columns at once."""
    slots: list[tuple[str, Floats]] = []
    for at, one in enumerate(numbers):
        place = 0
        for name, operand in one.operations:
            while place < len(slots) and slots[place][0] != name:
                place += 1
            if place == len(slots):
                slots.append((name, np.full(len(numbers), _NEUTRAL.get(name, 0.0))))
            slots[place][1][at] = operand if name in _NEUTRAL else 1.0
            place += 1
    taken = [list(sources).index(one.source) for one in numbers]
    if not slots and taken == list(range(len(sources))):
        return _Placed("rows", is_input=True)
    name = _columns(graph, taken)
    for operation, operands in slots:
        name = _operated(graph, name, operation, operands)
    return _Placed(name, is_input=False)


def _operated(graph: _Graph, name: str, operation: str, operands: Floats) -> str:
    if operation == "fill":
        is_missing = graph.add("IsNaN", name)
        return graph.add("Where", is_missing, graph.constant(operands), name)
    if operation in _NEUTRAL:
        return graph.add(operation.capitalize(), name, graph.constant(operands))
    if operation == "is-missing":
        made = graph.add("Cast", graph.add("IsNaN", name), to=11)
    elif operation == "drop":
        is_zero = graph.add("Equal", name, graph.constant(np.array(0.0)))
        made = graph.add("Where", is_zero, graph.constant(np.array(np.nan)), name)
    else:
        made = graph.add(_FUNCTIONS[operation], name)
    if (operands == 1.0).all():
        return made
    return graph.add("Where", graph.constant(operands == 1.0), made, name)


def _columns(graph: _Graph, places: Sequence[int]) -> str:
    return graph.add("Gather1", "rows", graph.constant(np.array(places, dtype=np.int64)))


def _input(source: Source, codes: Floats) -> twinned.Input:
    told = [twinned.NAN if np.isnan(code) else float(code) for code in codes]
    return twinned.Input(
        column=source.column.name,
        codes=list(zip(source.domain or (), told[:-2], strict=True)),
        unknown=None if source.refuses_unknown else told[-2],
        missing=None if source.refuses_missing else told[-1],
    )


def _unique(sources: Sequence[Source]) -> list[Source]:
    return list({id(one): one for one in sources}.values())


class _Graph:
    """Nodes and constants, named as they come."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper  # noqa: PLC0415 - only processes that write models need it

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def add(self, kind: str, *names: str, outputs: Sequence[str] = (), **more: Any) -> str:
        """Add a node; return the name of what it makes."""
        from onnx import helper, numpy_helper  # noqa: PLC0415 - as above

        if kind == "Gather1":
            kind, more = "Gather", {"axis": 1}
        given = {}
        for name, value in more.items():
            is_tensor = name in _TENSORS
            given[name] = numpy_helper.from_array(value, name) if is_tensor else value
        made = list(outputs) or [f"v{len(self._nodes)}"]
        domain = "ai.onnx.ml" if kind == "TreeEnsemble" else ""
        self._nodes.append(helper.make_node(kind, list(names), made, domain=domain, **given))
        return made[0]

    def written(self, inputs: Sequence[twinned.Input], *, rank: int = 1) -> bytes:
        """Return the model."""
        from onnx import TensorProto, helper  # noqa: PLC0415 - as above

        rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, len(inputs)])
        chances = helper.make_tensor_value_info("chances", TensorProto.DOUBLE, [None] * rank)
        graph = helper.make_graph(self._nodes, "twin", [rows], [chances], self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", _OPSET),
                helper.make_opsetid("ai.onnx.ml", _ML_OPSET),
            ],
            ir_version=_IR,
            producer_name="homeostat",
        )
        helper.set_model_props(
            model, {twinned.INPUTS: msgspec.json.encode(list(inputs)).decode()}
        )
        data: bytes = model.SerializeToString()
        return data


_TENSORS = frozenset({"nodes_modes", "nodes_splits", "leaf_weights", "membership_values"})
