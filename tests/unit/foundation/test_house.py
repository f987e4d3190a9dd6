from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from homeostat.foundation import errors, events, settings
from homeostat.foundation import house as houses
from homeostat.foundation.blobs import keys


def note(actor):
    return lambda tx: events.record(tx, actor, "thing.made", subject="thing:1", facts={})


def test_opening_makes_everything_and_opening_again_finds_it(tmp_path, actor):
    chosen = settings.load(home=tmp_path / "new" / "home")
    with houses.open_house(chosen) as first:
        first.write(note(actor))
        blob = first.put_blob("run:1", b"bytes")
        public_key = first.signing_key.public_key
    with houses.open_house(chosen) as second:
        assert second.read(events.verify).n_events == 1
        assert second.get_blob("run:1", blob.digest) == b"bytes"
        assert second.signing_key.public_key == public_key


def test_keys_are_readable_by_their_owner_alone(house, home):
    for name in ("signing.key", "master.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_reading_and_writing_happen_in_the_project_of_the_settings(home):
    with houses.open_house(settings.load(home=home, project="bank")) as opened:
        assert opened.read(lambda tx: tx.project) == "bank"
        assert opened.write(lambda tx: tx.project) == "bank"
        assert opened.write(lambda tx: tx.project, project="other") == "other"


def test_blobs_of_one_owner_are_not_anothers(house, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    blob = house.put_file("run:1", file)
    assert house.has_blob("run:1", blob.digest)
    assert not house.has_blob("run:2", blob.digest)
    assert b"".join(house.stream_blob("run:1", blob.digest)) == b"from a file"
    with pytest.raises(errors.NotFoundError):
        house.get_blob("run:2", blob.digest)
    with pytest.raises(errors.NotFoundError):
        house.get_blob("run:1", blob.digest, project="other")


def test_a_destroyed_key_takes_its_blobs_along_and_seals_nothing_more(house):
    old = house.put_blob("run:1", b"bytes")
    house.write(lambda tx: keys.destroy(tx, "run:1"))
    assert not house.has_blob("run:1", old.digest)
    new = house.put_blob("run:1", b"bytes")
    assert house.get_blob("run:1", new.digest) == b"bytes"


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.InvalidInputError, match="cannot be made"):
        houses.open_house(settings.load(home=tmp_path / "file" / "home"))


def test_a_file_that_is_no_database_is_told(tmp_path):
    chosen = settings.load(home=tmp_path)
    (tmp_path / "homeostat.db").write_bytes(b"something else" * 1000)
    with pytest.raises(errors.UnavailableError, match="no SQLite database"):
        houses.open_house(chosen)


def test_a_damaged_signing_key_is_told(home):
    (home / "signing.key").write_bytes(b"short")
    with pytest.raises(errors.CorruptError, match=r"signing key .* has 5 bytes"):
        houses.open_house(settings.load(home=home))


def test_homes_that_share_a_master_key_share_the_signing_key(tmp_path):
    public_keys = set()
    for name in ("a", "b"):
        chosen = settings.load(home=tmp_path / name, master_key="ab" * 32)
        with houses.open_house(chosen) as opened:
            public_keys.add(opened.signing_key.public_key)
    assert len(public_keys) == 1


def test_a_house_with_tables_opens_without_alembic_and_is_cheap_to_import(home):
    code = (
        "import sys\n"
        "from homeostat.foundation import house, settings\n"
        f"house.open_house(settings.load(home={str(home)!r})).close()\n"
        "heavy = {'alembic', 'polars', 'sklearn', 'pandas', 'scipy', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
