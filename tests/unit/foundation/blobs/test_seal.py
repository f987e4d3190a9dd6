"""Sealed objects open to exactly what was sealed, or not at all."""

from __future__ import annotations

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.foundation.blobs import DataKey, seal
from homeostat.foundation.errors import CorruptError

KEY = DataKey(project="default", owner="dataset:loans", generation=1, secret=bytes(range(32)))
OTHER = DataKey(project="default", owner="dataset:loans", generation=1, secret=bytes(32))


def sealed_whole(content, key=KEY, pieces=None):
    digest = blake3.blake3(content).hexdigest()
    return b"".join(seal.seal(key, digest, pieces or [content]))


def sealed_stream(content, key=KEY, pieces=None):
    stream, stored = seal.Stream(key), bytearray(seal.HEAD_BYTES)
    for piece in pieces or [content]:
        stream.add(piece, stored.extend)
    digest = blake3.blake3(content).hexdigest()
    stored[: seal.HEAD_BYTES] = stream.finish(digest, len(content), stored.extend)
    return bytes(stored)


KINDS = pytest.mark.parametrize("sealed", [sealed_whole, sealed_stream])


def opened(stored, content, *, key=KEY, size=0, start=0, end=None):
    digest = blake3.blake3(content).hexdigest()
    made = seal.layout(key, digest, stored[: seal.HEAD_BYTES], stored_bytes=len(stored))
    _, first, last = made.stored_range(start, made.size_bytes if end is None else end)
    pieces = cut(stored[first:last], size or len(stored))
    return b"".join(seal.unseal(made, pieces, start=start, end=end))


def cut(content, size):
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.fixture
def small_frames():
    before = seal.FRAME_BYTES, seal.STREAM_FRAME_BYTES
    seal.FRAME_BYTES = seal.STREAM_FRAME_BYTES = 64
    yield
    seal.FRAME_BYTES, seal.STREAM_FRAME_BYTES = before


@KINDS
@pytest.mark.usefixtures("small_frames")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.binary(max_size=300),
    st.tuples(st.integers(1, 130), st.integers(1, 130)),
    st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_any_range_of_any_content_comes_back_however_it_is_cut(sealed, content, cuts, ends):
    cut_in, cut_out = cuts
    stored = sealed(content, pieces=cut(content, cut_in))
    assert opened(stored, content, size=cut_out) == content
    start, end = sorted(min(end, len(content)) for end in ends)
    assert opened(stored, content, size=cut_out, start=start, end=end) == content[start:end]


@KINDS
def test_a_content_of_several_frames_comes_back(sealed):
    content = bytes(range(256)) * (2 * seal.FRAME_BYTES // 256) + b"end"
    stored = sealed(content)
    assert opened(stored, content) == content
    assert opened(stored, content, size=1_000_003) == content


def test_equal_content_seals_to_equal_bytes_under_one_key_only():
    assert sealed_whole(b"rows") == sealed_whole(b"rows")
    assert sealed_whole(b"rows") != sealed_whole(b"rows", key=OTHER)
    assert b"rows" not in sealed_whole(b"rows")


def test_content_sealed_while_it_arrives_never_seals_to_the_same_bytes_twice():
    assert sealed_stream(b"rows") != sealed_stream(b"rows")
    assert b"rows" not in sealed_stream(b"rows")


@KINDS
def test_every_flipped_byte_is_found(sealed):
    content = b"income,defaulted\n1,0\n"
    stored = sealed(content)
    for place in range(len(stored)):
        changed = bytearray(stored)
        changed[place] ^= 1
        with pytest.raises(CorruptError):
            opened(bytes(changed), content)


@KINDS
@pytest.mark.usefixtures("small_frames")
def test_frames_do_not_open_at_another_place_or_in_another_object(sealed):
    content, other = bytes(64) + b"1" * 64 + b"end", b"2" * 64 + b"3" * 64 + b"end"
    stored, foreign = sealed(content), sealed(other)
    step, head = 64 + seal.TAG_BYTES, len(stored) - 128 - 3 - 3 * seal.TAG_BYTES
    first, second = stored[head : head + step], stored[head + step : head + 2 * step]
    rest = stored[head + 2 * step :]
    for changed in (
        stored[:head] + second + first + rest,
        stored[:head] + first + first + rest,
        stored[:head] + second + rest,
        stored[:head] + first + second,
        stored[:head] + foreign[head : head + step] + second + rest,
    ):
        with pytest.raises(CorruptError):
            opened(changed, content)


@KINDS
def test_an_object_does_not_open_as_another_content_of_its_owner(sealed):
    """Whoever can write the store may swap two objects; each proves its content."""
    with pytest.raises(CorruptError):
        opened(sealed(b"model of mine"), b"model of hers")


@pytest.mark.parametrize("kept", [0, 2, 4, 10, 30])
@KINDS
def test_a_cut_object_is_found(sealed, kept):
    content = b"a whole object, please"
    with pytest.raises(CorruptError, match="does not open"):
        opened(sealed(content)[:kept], content)


def test_a_missing_last_frame_is_found():
    content = bytes(seal.FRAME_BYTES) + b"tail"
    stored = sealed_whole(content)
    with pytest.raises(CorruptError):
        opened(stored[: 4 + seal.FRAME_BYTES + 16], content)
    stored = sealed_stream(content)
    whole = seal.FRAME_BYTES // seal.STREAM_FRAME_BYTES
    kept = seal.HEAD_BYTES + whole * (seal.STREAM_FRAME_BYTES + 16)
    with pytest.raises(CorruptError):
        opened(stored[:kept], content)


@KINDS
def test_another_key_does_not_open_it(sealed):
    with pytest.raises(CorruptError, match="another key"):
        opened(sealed(b"x"), b"x", key=OTHER)


def test_a_key_does_not_show_its_secret():
    assert "secret" not in repr(KEY)
    assert KEY.derive("seal") != KEY.derive("name")
