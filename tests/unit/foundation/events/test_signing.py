from __future__ import annotations

import stat
from concurrent import futures

import pytest

from homeostat.foundation import errors
from homeostat.foundation.events import chain, signing

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signatures_are_those_of_the_standard():
    key = signing.SigningKey(SEED)
    assert key.public_key.hex() == PUBLIC
    assert key.sign(b"\x72").hex() == SIGNATURE


def test_only_the_signed_bytes_and_the_right_key_fit():
    key, other = signing.SigningKey(SEED), signing.SigningKey(b"x" * 32)
    signature = key.sign(b"said")
    assert signing.is_signed(b"said", signature=signature, public_key=key.public_key)
    assert not signing.is_signed(b"sald", signature=signature, public_key=key.public_key)
    assert not signing.is_signed(b"said", signature=signature, public_key=other.public_key)
    assert not signing.is_signed(b"said", signature=b"short", public_key=b"short")


def test_the_secret_is_not_shown():
    assert SEED.hex() not in repr(signing.SigningKey(SEED))


def test_processes_that_start_together_get_one_key(tmp_path):
    path = tmp_path / "signing.key"
    with futures.ThreadPoolExecutor(8) as pool:
        found = {key.public_key for key in pool.map(signing.load, [path] * 8)}
    assert len(found) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["signing.key"]


def test_a_key_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(errors.UnavailableError, match="signing key"):
        signing.load(tmp_path / "no folder" / "signing.key")


def test_canonical_json_is_one_for_equal_facts():
    assert (
        chain.canonical({"b": 1, "a": {"y": 0.1, "x": "é"}}) == '{"a":{"x":"é","y":0.1},"b":1}'
    )
