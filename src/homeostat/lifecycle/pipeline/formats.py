"""How values are written into the step cache and read back; called by `cache` only.

Frames become Arrow IPC, arrays NumPy's own format, scikit-learn estimators skops, all
else cloudpickle. What is read back was sealed by this home's own key first, so nothing
that another user or machine wrote is ever unpickled.
"""

from __future__ import annotations

import io
import sys
from typing import Any, Final

import blake3
import cloudpickle
import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import digests, fingerprint

INLINE: Final = (type(None), bool, int, float, str)


class Encoded(msgspec.Struct, frozen=True):
    """A value as bytes.

    Parameters
    ----------
    format
        arrow, npy, skops or pickle.
    data
        What is stored.
    digest
        Content digest of the value, not of the bytes.
    """

    format: str
    data: bytes
    digest: str


def encode(value: Any) -> Encoded:
    """Write a value as bytes.

    Parameters
    ----------
    value
        A result of a step, or a leaf of one.

    Returns
    -------
    Encoded
        With the value's content digest.

    Raises
    ------
    digests.NoDigestError
        When it has no content.
    InvalidInputError
        When nothing can write it.
    """
    if type(value) is pl.DataFrame and not any(
        isinstance(dtype, pl.Object) for dtype in value.dtypes
    ):
        stream = io.BytesIO()
        digests.write_frame(value, stream)
        data = stream.getvalue()
        # The same bytes that `digests.of` hashes: a frame is written once, not twice.
        return Encoded("arrow", data, blake3.blake3(b"frame\0").update(data).hexdigest())
    digest = fingerprint.value(value)
    if type(value) is np.ndarray and not value.dtype.hasobject:
        stream = io.BytesIO()
        np.save(stream, value, allow_pickle=False)
        return Encoded("npy", stream.getvalue(), digest)
    if _is_estimator(value):
        written = _skops(value)
        if written is not None:
            return Encoded("skops", written, digest)
    try:
        return Encoded("pickle", cloudpickle.dumps(value, protocol=5), digest)
    except Exception as error:
        # Pickling calls the value's own code, which may raise anything.
        raise errors.InvalidInputError(
            f"a {type(value).__name__} cannot be written: {type(error).__name__}: {error}"
        ) from error


def decode(kind: str, data: bytes) -> Any:
    """Read a value back.

    Parameters
    ----------
    kind
        As `encode` said.
    data
        Bytes whose seal was checked by the caller.

    Returns
    -------
    object
        An equal value.
    """
    if kind == "arrow":
        return pl.read_ipc_stream(data)
    if kind == "npy":
        return np.load(io.BytesIO(data), allow_pickle=False)
    if kind == "skops":
        import skops.io  # noqa: PLC0415 - drags in scikit-learn, which a server never needs

        return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    return cloudpickle.loads(data)


def _is_estimator(value: Any) -> bool:
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)


def _skops(value: Any) -> bytes | None:
    import skops.io  # noqa: PLC0415 - as above

    try:
        data: bytes = skops.io.dumps(value)
        back = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception:  # noqa: BLE001 - skops refuses unknown parts in many ways; cloudpickle then writes it
        return None
    return data if fingerprint.value(back) == fingerprint.value(value) else None
