"""What a database promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import migrate
from homeostat.foundation.events import records

HEADS = records.heads
UPGRADE = """
import sys
from homeostat.foundation.database import Database, migrate
database = Database(sys.argv[1])
migrate.upgrade(database)
print(migrate.version(database))
"""


def put(tx, project="default", seq=1):
    tx.execute(HEADS.insert(), {"project": project, "seq": seq, "digest": "d"})


def fail(_tx):
    return 1 / 0


def write(database, *works):
    with database.write() as tx:
        for work in works:
            work(tx)


def projects(tx):
    return sorted(row.project for row in tx.execute(sa.select(HEADS)))


def test_a_commit_is_seen_by_the_next_reader(database):
    with database.write() as tx:
        put(tx)
    with database.read() as tx:
        assert projects(tx) == ["default"]


def test_an_error_undoes_everything(database):
    with pytest.raises(ZeroDivisionError):
        write(database, put, fail)
    with database.read() as tx:
        assert projects(tx) == []


def test_readers_cannot_write(database):
    with pytest.raises(errors.HomeostatError) as raised, database.read() as tx:
        put(tx)
    assert "cannot be written" in str(raised.value)


def test_a_reader_sees_one_state_while_others_write(database):
    with database.read() as reader:
        assert projects(reader) == []
        with database.write() as tx:
            put(tx)
        assert projects(reader) == []


def test_the_instant_is_fixed_and_the_project_is_the_one_asked_for(database):
    with database.write(project="bank") as tx:
        assert tx.project == "bank"
        assert tx.at == tx.at


def test_what_exists_already_is_a_conflict(database):
    with pytest.raises(errors.ConflictError):
        write(database, put, put)


def test_many_rows_go_in_one_statement(database):
    rows = [{"project": f"p{i:03}", "seq": i, "digest": "d"} for i in range(500)]
    with database.write() as tx:
        tx.execute(HEADS.insert(), rows)
    with database.read() as tx:
        assert len(projects(tx)) == 500


def test_callbacks_run_after_the_commit_only(database):
    seen = []
    with database.write() as tx:
        put(tx)
        tx.after_commit(lambda: seen.append("committed"))
        assert seen == []
    assert seen == ["committed"]
    with pytest.raises(ZeroDivisionError):
        write(database, lambda tx: tx.after_commit(lambda: seen.append("never")), fail)
    assert seen == ["committed"]


def test_a_failing_callback_does_not_look_like_a_failed_write(database):
    with database.write() as tx:
        put(tx)
        tx.after_commit(lambda: 1 / 0)
    with database.read() as tx:
        assert projects(tx) == ["default"]


def test_a_writer_reads_what_the_one_before_wrote(database):
    """Read, decide, write: without the lock, counts would be lost."""

    def add():
        for _ in range(20):
            with database.write() as tx:
                seq = tx.execute(sa.select(HEADS.c.seq)).scalar_one()
                tx.execute(HEADS.update().values(seq=seq + 1))

    with database.write() as tx:
        put(tx, seq=0)
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert tx.execute(sa.select(HEADS.c.seq)).scalar_one() == 80


def test_migrations_make_exactly_the_tables_the_code_names(database):
    with database.read() as tx:
        found = set(sa.inspect(tx._connection).get_table_names())
    assert {"events", "event_heads", "jobs", "lineage_edges", "data_keys"} <= found


def test_upgrading_again_does_nothing(database):
    before = migrate.version(database)
    migrate.upgrade(database)
    assert migrate.version(database) == before == migrate.known_versions()[-1]


def test_processes_that_start_together_migrate_once(empty_database_url):
    command = [sys.executable, "-c", UPGRADE, empty_database_url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=240)[0].strip() for process in running]
    assert answers == [migrate.known_versions()[-1]] * 2


def test_a_database_of_a_newer_release_is_refused(database):
    with database.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(errors.ConflictError, match="9999"):
        migrate.upgrade(database)
