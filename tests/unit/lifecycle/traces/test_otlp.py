"""Reading OpenTelemetry's spans: what it takes, and that nothing makes it fall over."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.traces import otlp

# Sent by mlflow 3.17.2 for `with mlflow.start_span("manual")` in a trace of its own.
SENT = bytes.fromhex(
    "0aa2020a670a220a1674656c656d657472792e73646b2e6c616e677561676512080a06707974686f6e0a1e0a"
    "1274656c656d657472792e73646b2e6e616d6512080a066d6c666c6f770a210a1574656c656d657472792e73"
    "646b2e76657273696f6e12080a06332e31372e3212b60112b3010a105d5e663176de0585582d4accc095678e"
    "120856ef0d18d2aa88922a066d616e75616c39cd5661739df6e91841ed2469739df6e9184a3e0a156d6c666c"
    "6f772e747261636552657175657374496412250a2374722d3564356536363331373664653035383535383264"
    "3461636363303935363738654a1c0a0f6d6c666c6f772e7370616e5479706512090a07554e4b4e4f574e4a19"
    "0a136d6c666c6f772e7370616e4c6f674c6576656c1202180a7a021801"
)


def test_a_span_of_a_stock_client_is_read():
    (span,) = otlp.read_spans(SENT)
    assert span.trace_id == "tr-5d5e663176de0585582d4accc095678e"
    assert (span.id, span.parent_id, span.name) == ("56ef0d18d2aa8892", "", "manual")
    assert (span.started_ns, span.ended_ns) == (1795237082589910733, 1795237082590422253)
    assert span.state == "OK"
    assert msgspec.json.decode(span.body) == {
        "trace_id": "XV5mMXbeBYVYLUrMwJVnjg==",
        "span_id": "Vu8NGNKqiJI=",
        "name": "manual",
        "start_time_unix_nano": 1795237082589910733,
        "end_time_unix_nano": 1795237082590422253,
        "attributes": [
            {
                "key": "mlflow.traceRequestId",
                "value": {"string_value": "tr-5d5e663176de0585582d4accc095678e"},
            },
            {"key": "mlflow.spanType", "value": {"string_value": "UNKNOWN"}},
            {"key": "mlflow.spanLogLevel", "value": {"int_value": 10}},
        ],
        "status": {"code": "STATUS_CODE_OK"},
    }


def read_or_refuse(body):
    try:
        return otlp.read_spans(body)
    except errors.InvalidInputError:
        return None


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body):
    read_or_refuse(body)


@given(st.integers(0, len(SENT) - 1), st.integers(0, 255))
def test_a_span_with_one_byte_changed_is_read_or_refused(place, byte):
    changed = SENT[:place] + bytes([byte]) + SENT[place + 1 :]
    for span in read_or_refuse(changed) or ():
        msgspec.json.decode(span.body)


@pytest.mark.parametrize("n_bytes", range(len(SENT)))
def test_a_body_cut_short_is_never_taken_for_whole(n_bytes):
    with pytest.raises(errors.InvalidInputError):
        otlp.read_spans(SENT[:n_bytes])
