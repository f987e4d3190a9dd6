"""Tensors come back from bytes as they went in; any other bytes are refused, never misread."""

from __future__ import annotations

import contextlib
import math
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.doors.predict import asked, quick, tensors, v2
from homeostat.foundation import errors

WIDTHS = {"FP16": 16, "FP32": 32, "FP64": 64}
SIZED = [(name, int(name.strip("UINT"))) for name in tensors.CODES if "INT" in name]
ELEMENTS = {
    "BOOL": st.booleans(),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    **{name: st.floats(width=width) for name, width in WIDTHS.items()},
    **{
        name: st.integers(0, 2**bits - 1)
        if name.startswith("U")
        else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        for name, bits in SIZED
    },
}


@pytest.mark.parametrize("datatype", tensors.DATATYPES)
@given(data=st.data())
def test_values_survive_the_way_as_bytes(datatype, data):
    values = data.draw(st.lists(ELEMENTS[datatype], max_size=5))
    raw = memoryview(tensors.pack(datatype, values))
    tensor = tensors.Tensor("a", [len(values)], datatype)
    found = tensors.values(tensor, raw, at=0)
    assert len(found) == len(values)
    for one, other in zip(found, values, strict=True):
        assert one == other or (math.isnan(one) and math.isnan(other))


@given(
    st.sampled_from(tensors.DATATYPES),
    st.lists(st.integers(-1, 4) | st.integers(), max_size=3),
    st.binary(max_size=40),
)
def test_any_bytes_are_as_many_values_as_the_shape_says_or_refused(datatype, shape, raw):
    tensor = tensors.Tensor("a", shape, datatype)
    with contextlib.suppress(errors.InvalidInputError):
        assert len(tensors.values(tensor, memoryview(raw), at=0)) == math.prod(shape)


@given(st.binary(max_size=80), st.binary(max_size=3) | st.sampled_from([b"0", b"10", b"79"]))
def test_a_body_of_anything_is_refused(body, length):
    call = asked.Call(
        None, SimpleNamespace(features=("a",), several=()), {v2.HEADER_LENGTH: length}, body
    )
    with pytest.raises(errors.InvalidInputError):
        v2.read(call)


FINITE = st.floats(width=16, allow_nan=False, allow_infinity=False)
WHAT = st.lists(
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.floats(width=16)
    | st.integers(-300, 300),
    min_size=1,
    max_size=3,
)


@given(st.sampled_from(tensors.DATATYPES), WHAT)
def test_the_quick_reader_takes_nothing_that_the_full_one_refuses(datatype, data):
    one = {"name": "a", "shape": [len(data)], "datatype": datatype, "data": data}
    body = msgspec.json.encode({"inputs": [one]})
    now = SimpleNamespace(features=("a",), several=())
    found = quick.infer(body)
    if found is not None:
        assert found.columns == v2.read(asked.Call(None, now, {}, body))[0].columns
    for kind in ("number", "boolean", "category"):
        if quick.Form([("a", kind)]).read(body) is not None:
            assert v2.read(asked.Call(None, now, {}, body))[0].columns == [data]
