"""Measures how many more writes a second sharing commits gives, at the same durability.

Both sides are the same writer on the same kind of SQLite file (WAL, synchronous=FULL), fed by
32 client threads that each wait for their commit; one side shares commits, the other may not.
Rounds alternate, and the ratio of medians is printed. Target: 4 or more.

    python benchmarks/group_commit.py [--seconds 1.0] [--rounds 3]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import threading
import time

import machine
from homeostat.foundation import ids
from homeostat.foundation.database import Database, migrate, writer
from homeostat.foundation.lineage import records

CLIENTS = 32
FLOOR = 4.0
SHARED, ALONE = 256, 1


def work(tx):
    edge = {"project": "p", "source": ids.new_id(), "target": "t", "kind": "k", "at": tx.at}
    tx.run(records.INSERT, edge)


def writes_per_second(folder, *, group, seconds):
    database = Database(f"sqlite:///{folder / ids.new_id()}.db")
    migrate.upgrade(database)
    made = writer.Writer(database, group=group)
    counts = [0] * CLIENTS
    stop = threading.Event()

    def client(i):
        while not stop.is_set():
            made.write(work)
            counts[i] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    made.close()
    database.close()
    return sum(counts) / took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="on the disk to measure")
    given = parser.parse_args()
    rates = {SHARED: [], ALONE: []}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for _ in range(given.rounds):
            for group, seen in rates.items():
                folder = pathlib.Path(name)
                seen.append(writes_per_second(folder, group=group, seconds=given.seconds))
    shared, alone = statistics.median(rates[SHARED]), statistics.median(rates[ALONE])
    print(machine.facts())
    print(f"clients {CLIENTS}  shared {shared:,.0f}/s  alone {alone:,.0f}/s")
    ratio = shared / alone
    verdict = "reached" if ratio >= FLOOR else "MISSED"
    print(f"ratio {ratio:.1f}, floor {FLOOR:g}, {ratio / FLOOR:.2f} of it, {verdict}")


if __name__ == "__main__":
    main()
