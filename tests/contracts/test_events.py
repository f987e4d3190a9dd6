"""What the event log promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Database
from homeostat.foundation.events import records, signing

COLUMNS = [column.name for column in records.events.columns]
RECORD = """
import sys
from homeostat.foundation import access, events
from homeostat.foundation.database import Database
database = Database(sys.argv[1])
for i in range(40):
    with database.write() as tx:
        actor = access.system("test")
        events.record(tx, actor, "thing.made", subject="thing:1", facts={"i": i})
"""


def fill(database, actor, n=12, **where):
    with database.write(**where) as tx:
        for i in range(n):
            facts = {"i": i, "sum": 0.1 + i, "name": "Zoë"}
            kind = "thing.made" if i % 2 else "thing.seen"
            events.record(tx, actor, kind, subject=f"thing:{i % 3}", facts=facts)


def verify(database, **where):
    with database.read(**where) as tx:
        return events.verify(tx)


def test_events_come_back_as_they_were_recorded(database, actor):
    with database.write() as tx:
        made = events.record(tx, actor, "thing.made", subject="thing:1", facts={"b": [1, None]})
    with database.read() as tx:
        assert events.read(tx) == [made]
    assert (made.seq, made.actor, made.previous) == (1, "ada", "0" * 64)


def test_reading_can_be_narrowed_and_turned_round(database, actor):
    fill(database, actor)
    with database.read() as tx:
        assert [e.seq for e in events.read(tx, after=3, limit=2)] == [4, 5]
        assert [e.seq for e in events.read(tx, newest_first=True, limit=2)] == [12, 11]
        assert {e.kind for e in events.read(tx, kinds=["thing.seen"])} == {"thing.seen"}
        assert [e.seq for e in events.read(tx, subject="thing:0")] == [1, 4, 7, 10]
        assert events.read(tx, kinds=[]) == []
        assert events.last_seq(tx) == 12


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_facts_must_be_plain_and_finite(database, actor, bad):
    with pytest.raises(errors.InvalidInputError), database.write() as tx:
        events.record(tx, actor, "thing.made", subject="thing:1", facts={"bad": bad})
    assert verify(database).n_events == 0


def test_an_event_is_undone_with_its_change(database, actor):
    def work():
        with database.write() as tx:
            events.record(tx, actor, "thing.made", subject="thing:1", facts={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    fill(database, actor, n=1)
    assert verify(database) == events.Verification(ok=True, n_events=1)


def test_each_project_has_its_own_chain(database, actor):
    fill(database, actor, n=3)
    fill(database, actor, n=2, project="bank")
    assert verify(database).n_events == 3
    assert verify(database, project="bank").n_events == 2


def test_an_untouched_log_is_verified(database, actor):
    fill(database, actor, n=250)
    found = verify(database)
    assert found == events.Verification(ok=True, n_events=250, n_checkpoints=2)


@pytest.mark.parametrize("column", COLUMNS)
def test_one_changed_byte_is_found(database, actor, column):
    fill(database, actor)
    for seq in (12, 7, 1):  # a later change is hidden by an earlier one, not the reverse
        spoil(database, column, seq)
        found = verify(database)
        assert not found.ok
        assert found.first_bad_seq == seq
        assert found.reason


def spoil(database, column, seq):
    table = records.events
    here = (table.c.project == "default", table.c.seq == seq)
    with database.write() as tx:
        old = tx.execute(sa.select(table.c[column]).where(*here)).scalar_one()
        is_text = isinstance(old, str)
        new = old[:-1] + ("x" if old[-1] != "x" else "y") if is_text else old + 100
        tx.execute(table.update().where(*here).values({column: new}))


def test_a_space_in_the_facts_is_found(database, actor):
    fill(database, actor)
    table = records.events
    with database.write() as tx:
        tx.execute(table.update().where(table.c.seq == 5).values(facts=table.c.facts + " "))
    assert verify(database).first_bad_seq == 5


def test_a_missing_event_is_found(database, actor):
    fill(database, actor)
    with database.write() as tx:
        tx.execute(records.events.delete().where(records.events.c.seq == 6))
    assert verify(database).first_bad_seq == 6


def test_a_missing_last_event_is_found(database, actor):
    fill(database, actor)
    with database.write() as tx:
        tx.execute(records.events.delete().where(records.events.c.seq == 12))
    found = verify(database)
    assert (found.ok, found.first_bad_seq) == (False, 12)


def cut(tx, keep):
    """Cut the end off and cover it up as well as one can without the key."""
    tx.execute(records.events.delete().where(records.events.c.seq > keep))
    last = events.read(tx, newest_first=True, limit=1)[0]
    tx.execute(records.heads.update().values(seq=last.seq, digest=last.digest))


def test_a_cut_that_hides_itself_is_found_by_the_checkpoint_after_it(database, actor):
    fill(database, actor)
    with database.write() as tx:
        events.checkpoint(tx)
    with database.write() as tx:
        cut(tx, keep=8)
    found = verify(database)
    assert (found.ok, found.first_bad_seq) == (False, 9)


def test_a_history_written_anew_is_found_by_the_checkpoint(database, actor):
    fill(database, actor)
    with database.write() as tx:
        events.checkpoint(tx)
    with database.write() as tx:
        tx.execute(records.events.delete())
        tx.execute(records.heads.delete())
    fill(database, access.local_owner("eve"))  # the same number of events
    with database.write() as tx:
        events.record(tx, actor, "thing.made", subject="thing:1", facts={"forged": True})
    assert not verify(database).ok


@pytest.mark.parametrize("column", ["seq", "at", "digest", "public_key", "signature"])
def test_one_changed_byte_of_a_checkpoint_is_found(database, actor, column):
    fill(database, actor)
    with database.write() as tx:
        events.checkpoint(tx)
    table = records.checkpoints
    with database.write() as tx:
        old = tx.execute(sa.select(table.c[column])).scalar_one()
        new = old - 1 if isinstance(old, int) else ("0" if old[0] != "0" else "1") + old[1:]
        tx.execute(table.update().values({column: new}))
    assert not verify(database).ok


def test_a_checkpoint_by_another_key_is_refused(database, database_url, actor):
    fill(database, actor)
    forger = Database(database_url, signer=signing.SigningKey(b"f" * 32))
    with forger.write() as tx:
        events.checkpoint(tx)
    forger.close()
    found = verify(database)
    assert not found.ok
    assert "another key" in found.reason


def test_signing_the_same_place_twice_keeps_the_first(database, actor):
    with database.write() as tx:
        assert events.checkpoint(tx) is None
    fill(database, actor)
    with database.write() as tx:
        first = events.checkpoint(tx)
    with database.write() as tx:
        assert events.checkpoint(tx) == first


def test_a_reader_gets_everything_once_it_advances_in_order(database, actor):
    fill(database, actor)
    seen = []
    while True:
        with database.write() as tx:
            batch = events.follow(tx, "loop", limit=5)
            assert events.follow(tx, "loop", limit=5) == batch
            if not batch:
                break
            events.advance(tx, "loop", batch[-1].seq)
        seen += [event.seq for event in batch]
    assert seen == list(range(1, 13))


def test_readers_do_not_share_their_place_and_never_go_back(database, actor):
    fill(database, actor)
    with database.write() as tx:
        events.advance(tx, "loop", 10)
        events.advance(tx, "loop", 4)
        assert events.position(tx, "loop") == 10
        assert events.position(tx, "page") == 0
        assert [e.seq for e in events.follow(tx, "loop")] == [11, 12]
        assert [e.seq for e in events.follow(tx, "loop", kinds=["thing.seen"])] == [11]


def test_processes_that_record_at_once_keep_one_chain(database, database_url):
    command = [sys.executable, "-c", RECORD, database_url]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert verify(database) == events.Verification(ok=True, n_events=120)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_any_byte_of_an_event_changed_in_the_file_is_found(database, database_url, actor):
    """Changed behind the back of SQLite, as a disk or an editor would."""
    with database.write() as tx:
        event = events.record(tx, actor, "thing.made", subject="thing:1", facts={"z": "needle"})
    with database.write() as tx:
        events.record(tx, actor, "thing.made", subject="thing:2", facts={})
    database.close()
    path = Path(database_url.removeprefix("sqlite:///"))
    whole = path.read_bytes()
    start = whole.index(b'{"z":"needle"}')
    stop = whole.index(event.digest.encode(), start) + 64
    for place in range(start, stop, 3):
        for bit in (0x01, 0x80):
            changed = bytearray(whole)
            changed[place] ^= bit
            path.write_bytes(changed)
            found = verify(database)
            database.close()
            assert not found.ok, (place - start, bit)
