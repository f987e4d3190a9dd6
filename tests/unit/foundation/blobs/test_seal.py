"""Sealed objects open to exactly what was sealed, or not at all."""

from __future__ import annotations

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation.blobs import DataKey, seal
from homeostat.foundation.errors import CorruptError

KEY = DataKey(project="default", owner="dataset:loans", generation=1, secret=bytes(range(32)))
OTHER = DataKey(project="default", owner="dataset:loans", generation=1, secret=bytes(32))


def sealed(content, key=KEY):
    return b"".join(seal.seal(key, blake3.blake3(content).hexdigest(), [content]))


def opened(stored, content, key=KEY, pieces=None):
    digest = blake3.blake3(content).hexdigest()
    return b"".join(seal.open_sealed(key, digest, pieces or [stored]))


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_any_content_comes_back_however_it_is_cut(content, cut_in, cut_out):
    digest = blake3.blake3(content).hexdigest()
    small = 64
    before = seal.FRAME_BYTES
    seal.FRAME_BYTES = small
    try:
        stored = b"".join(seal.seal(KEY, digest, cut(content, cut_in)))
        assert b"".join(seal.open_sealed(KEY, digest, cut(stored, cut_out))) == content
    finally:
        seal.FRAME_BYTES = before


def cut(content, size):
    return [content[at : at + size] for at in range(0, len(content), size)]


def test_a_content_of_several_frames_comes_back():
    content = bytes(range(256)) * (2 * seal.FRAME_BYTES // 256) + b"end"
    stored = sealed(content)
    assert opened(stored, content) == content
    assert opened(stored, content, pieces=cut(stored, 1_000_003)) == content


def test_equal_content_seals_to_equal_bytes_under_one_key_only():
    assert sealed(b"rows") == sealed(b"rows")
    assert sealed(b"rows") != sealed(b"rows", key=OTHER)
    assert b"rows" not in sealed(b"rows")


def test_every_flipped_byte_is_found():
    content = b"income,defaulted\n1,0\n"
    stored = sealed(content)
    for place in range(len(stored)):
        changed = bytearray(stored)
        changed[place] ^= 1
        with pytest.raises(CorruptError):
            opened(bytes(changed), content)


@pytest.mark.parametrize("kept", [0, 2, 4, 10, 30])
def test_a_cut_object_is_found(kept):
    content = b"a whole object, please"
    with pytest.raises(CorruptError, match="does not open"):
        opened(sealed(content)[:kept], content)


def test_a_missing_last_frame_is_found():
    content = bytes(seal.FRAME_BYTES) + b"tail"
    stored = sealed(content)
    with pytest.raises(CorruptError):
        opened(stored[: 4 + seal.FRAME_BYTES + 16], content)


def test_another_key_does_not_open_it():
    with pytest.raises(CorruptError, match="another key"):
        opened(sealed(b"x"), b"x", key=OTHER)


def test_a_key_does_not_show_its_secret():
    assert "secret" not in repr(KEY)
    assert KEY.derive("seal") != KEY.derive("name")
