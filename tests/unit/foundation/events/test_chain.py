"""What the digests of events are made of: the same bytes, however they are written."""

from __future__ import annotations

import json

import blake3
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation.events import chain

TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
FACTS = st.dictionaries(TEXTS, TEXTS, max_size=4) | st.dictionaries(
    TEXTS,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


def plain(value):
    """As the format is defined: Python's own JSON, keys sorted, no spaces, nothing escaped."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@given(FACTS)
def test_facts_are_written_in_one_way(facts):
    assert chain.canonical(facts) == plain(facts)


@given(
    FACTS, st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), st.integers(1, 2**62), st.integers(0, 2**62)
)
def test_a_digest_is_that_of_the_canonical_json_of_all_fields(facts, texts, seq, at):
    project, actor, kind, subject = texts
    fields = {
        "project": project,
        "seq": seq,
        "at": at,
        "actor": actor,
        "kind": kind,
        "subject": subject,
        "facts": facts,
        "previous": "0" * 64,
    }
    written = plain(fields).encode("utf-8", "surrogatepass")
    assert chain.digest(fields) == blake3.blake3(written).hexdigest()
