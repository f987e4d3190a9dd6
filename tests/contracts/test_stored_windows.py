"""Windows of summaries are added once and read the same on both databases."""

from __future__ import annotations

import zlib

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import access, errors, house, settings
from homeostat.lifecycle.monitoring import baseline, stored

HOUR = stored.GRAINS["hour"]
ACTOR = access.system("loop")


def test_windows_are_added_once_and_read_latest_first(database_url, tmp_path):
    rows = pl.DataFrame({"a": np.random.default_rng(0).normal(size=600)})
    frozen = baseline.freeze(rows, features=["a"])
    told = settings.load(home=tmp_path / "home", database_url=database_url)

    def windows(first, end):
        at = [1000 * HOUR + i * 18_000 for i in range(first, end)]  # three hours in all
        return list(
            stored.summarise(
                rows[first:end], frozen, at=at, version="1", role="stable", parts={}
            )
        )

    with house.open_house(told) as opened:
        for first, end in ((0, 250), (250, 600)):
            found = windows(first, end)
            if not first:  # as windows were kept before they were small
                found = [(where, n, zlib.compress(packed, 1)) for where, n, packed in found]
            opened.write(
                lambda tx, f=found, r=(first, end): stored.add(tx, ACTOR, "credit", f, rows=r)
            )
        with pytest.raises(errors.ConflictError, match="already"):
            opened.write(lambda tx: stored.add(tx, ACTOR, "credit", found, rows=(250, 600)))
        assert opened.read(lambda tx: stored.place(tx, "credit")) == 600
        counts = opened.read(lambda tx: stored.counts(tx, "credit"))
        assert counts == [((1000 + i) * HOUR, 200) for i in range(3)]
        kept = opened.read(lambda tx: stored.latest(tx, ACTOR, "credit", limit=2))
        assert [one.starts_at // HOUR for one in kept] == [1002, 1001]
        seen = stored.view(kept[1], "hour", frozen).columns["a"]
        assert seen.n_rows == 200
        assert seen.mean == pytest.approx(rows["a"][200:400].mean(), abs=1e-9)
        assert seen.n_different == pytest.approx(200, rel=0.1)
        assert seen.different_error == pytest.approx(0.0325)
        assert {float(text) for text in seen.examples} <= set(rows["a"][200:400])
        every = opened.read(lambda tx: stored.latest(tx, ACTOR, "credit"))
        report = stored.compare(every, frozen)
        assert report is not None
        assert report.n_current == 600
        assert report.drifted() == ()
