"""Whatever is put and deleted in whatever order, the store says what a dictionary would."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from homeostat.foundation import blobs
from homeostat.foundation.errors import NotFoundError

OWNERS = [
    blobs.DataKey(project="default", owner=name, generation=1, secret=name.encode() * 32)
    for name in "ab"
]
CONTENTS = [b"", b"x", b"rows" * 100]
KEYS = st.sampled_from(OWNERS)
DATA = st.sampled_from(CONTENTS)


class StoreStates(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = blobs.open_store(self.folder.name)
        self.known = {}

    def teardown(self):
        self.folder.cleanup()

    @rule(key=KEYS, data=DATA)
    def put(self, key, data):
        blob = self.store.put(key, data)
        self.known[key.owner, blob.digest] = data

    @rule(key=KEYS, data=DATA)
    def delete(self, key, data):
        digest = blobs.digest_of(data)
        self.store.delete(key, digest)
        self.known.pop((key.owner, digest), None)

    @rule()
    def open_again(self):
        self.store = blobs.open_store(self.folder.name)

    @invariant()
    def it_holds_what_was_put(self):
        for key in OWNERS:
            for data in CONTENTS:
                digest = blobs.digest_of(data)
                is_known = (key.owner, digest) in self.known
                assert self.store.exists(key, digest) is is_known
                if is_known:
                    assert self.store.get(key, digest) == data
                else:
                    with pytest.raises(NotFoundError):
                        self.store.get(key, digest)


StoreStates.TestCase.settings = hypothesis_settings(
    max_examples=20, stateful_step_count=12, deadline=None
)
TestStoreStates = StoreStates.TestCase
