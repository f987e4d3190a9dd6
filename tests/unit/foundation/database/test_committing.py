"""What groups of writes leave behind on SQLite."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

from homeostat.foundation.database import Database, migrate, writer
from homeostat.foundation.events import records


def put(project):
    row = {"project": project, "seq": 1, "digest": "d"}
    return lambda tx: tx.execute(records.heads.insert(), row).rowcount


def test_the_write_ahead_log_is_brought_home_while_the_writer_works(tmp_path):
    file = tmp_path / "all.db"
    database = Database(f"sqlite:///{file}")
    migrate.upgrade(database)
    made = writer.Writer(database)
    n = 500
    for i in range(n):
        made.write(put(f"p{i}"))
    alone = tmp_path / "alone.db"
    shutil.copy(file, alone)
    made.close()
    database.close()
    with contextlib.closing(sqlite3.connect(alone)) as raw:
        (n_home,) = raw.execute("SELECT count(*) FROM event_heads").fetchone()
    assert 0 < n_home < n
