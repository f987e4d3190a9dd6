"""Results of steps on this machine: keys in an index, values by content; used by the driver.

Everything lives under HOME/cache and may be deleted at any time. Values lie there in clear,
each with a keyed digest whose key is in that folder (mode 0600): what somebody else put
there is never read.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Final

import blake3
import msgspec

from homeostat.foundation import clock, errors
from homeostat.lifecycle.pipeline import entities, fingerprint, formats, lazy, locks

SMALL_BYTES: Final = 32 * 1024
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, step TEXT NOT NULL, body BLOB NOT NULL,
    made_at INTEGER NOT NULL, used_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_step ON entries (step, made_at);
CREATE TABLE IF NOT EXISTS codes (digest TEXT PRIMARY KEY, parts BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS small (blob TEXT PRIMARY KEY, data BLOB NOT NULL);
"""


_decode_entry = msgspec.msgpack.Decoder(entities.Entry).decode
_decode_parts = msgspec.msgpack.Decoder(tuple[fingerprint.Part, ...]).decode
_encode = msgspec.msgpack.encode


class Cache:
    """The cache of one home.

    Parameters
    ----------
    folder
        Usually HOME/cache; made when missing.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        (self.folder / "objects").mkdir(parents=True, exist_ok=True)
        self._secret = locks.secret(self.folder / "key")
        self._ranges = locks.Ranges(self.folder / "lock")
        self._known_codes: set[str] = set()
        self._local = threading.local()

    def get(self, key: str) -> entities.Entry | None:
        """Look a key up; reads the index only.

        Parameters
        ----------
        key
            Of a step's call.

        Returns
        -------
        Entry or None
            None on a miss.
        """
        row = self._index().execute("SELECT body FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else _decode_entry(row[0])

    def nearest(self, step: str) -> entities.Entry | None:
        """Return the last result of a step, whatever its key; a miss is explained against it.

        Parameters
        ----------
        step
            Name with module.

        Returns
        -------
        Entry or None
            None when the step never finished here.
        """
        query = "SELECT body FROM entries WHERE step = ? ORDER BY made_at DESC LIMIT 1"
        row = self._index().execute(query, (step,)).fetchone()
        return None if row is None else _decode_entry(row[0])

    def parts(self, code: str) -> tuple[fingerprint.Part, ...]:
        """Return the parts a code digest stood for.

        Parameters
        ----------
        code
            Digest of reached code.

        Returns
        -------
        tuple of Part
            Empty when unknown.
        """
        row = (
            self._index()
            .execute("SELECT parts FROM codes WHERE digest = ?", (code,))
            .fetchone()
        )
        return () if row is None else _decode_parts(row[0])

    def store(self, value: Any) -> entities.Node:
        """Store a result's values, each under its content.

        Parameters
        ----------
        value
            A step's result; tuples, lists and dicts are stored by their items.

        Returns
        -------
        entities.Node
            Its shape.

        Raises
        ------
        digests.NoDigestError
            When something inside has no content.
        """
        kind = type(value)
        # msgpack keeps 64 bits of an integer.
        if kind in formats.INLINE and (kind is not int or -(2**63) <= value < 2**63):
            return entities.Node("plain", plain=value)
        if kind in {tuple, list}:
            return entities.Node(kind.__name__, inner=tuple(self.store(item) for item in value))
        if kind is dict and all(type(name) is str for name in value):
            inner = tuple(self.store(item) for item in value.values())
            return entities.Node("dict", plain=list(value), inner=inner)
        encoded = formats.encode(lazy.value_of(value))
        blob = blake3.blake3(encoded.data).hexdigest()
        self._write(blob, encoded.data)
        seal = self._seal(encoded.format, blob)
        leaf = entities.Leaf(encoded.digest, encoded.format, blob, len(encoded.data), seal)
        return entities.Node("leaf", leaf=leaf)

    def put(self, entry: entities.Entry, parts: tuple[fingerprint.Part, ...]) -> None:
        """Make a finished step findable.

        Parameters
        ----------
        entry
            Its values are stored already.
        parts
            What its code digest stands for.
        """
        index = self._index()
        row = (entry.key, entry.step, _encode(entry), entry.made_at, entry.made_at)
        small, self._local.small = getattr(self._local, "small", []), []
        index.execute("BEGIN IMMEDIATE")
        try:
            if small:
                index.executemany("INSERT OR IGNORE INTO small VALUES (?, ?)", small)
            if entry.code not in self._known_codes:
                code = (entry.code, _encode(parts))
                index.execute("INSERT OR IGNORE INTO codes VALUES (?, ?)", code)
            index.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)
        except BaseException:
            index.execute("ROLLBACK")
            raise
        index.execute("COMMIT")
        self._known_codes.add(entry.code)

    def forget(self, key: str) -> None:
        """Drop an entry whose values turned out to be lost.

        Parameters
        ----------
        key
            Of the entry.
        """
        self._index().execute("DELETE FROM entries WHERE key = ?", (key,))

    def read(self, leaf: entities.Leaf) -> Any:
        """Read one stored value.

        Parameters
        ----------
        leaf
            Where it is.

        Returns
        -------
        object
            An equal value.

        Raises
        ------
        CorruptError
            When it is gone, changed, or was not written by this home.
        """
        data = self._bytes(leaf.blob)
        if data is None or blake3.blake3(data).hexdigest() != leaf.blob:
            raise errors.CorruptError(
                f"cached value {leaf.blob[:12]} in {self.folder} is gone or changed",
                hint="the step runs again",
            )
        if not secrets.compare_digest(leaf.seal, self._seal(leaf.format, leaf.blob)):
            raise errors.CorruptError(
                f"cached value {leaf.blob[:12]} in {self.folder} was not written by this home",
                hint="the step runs again",
            )
        return formats.decode(leaf.format, data)

    @contextlib.contextmanager
    def alone(self, key: str, *, give_up: Any = None) -> Iterator[None]:
        """Hold a key so that no other run computes it meanwhile.

        Parameters
        ----------
        key
            Of a step's call.
        give_up
            Called about every 20 ms while waiting; raises to stop.
        """
        with self._ranges.alone(key, give_up):
            yield

    def used(self, keys: list[str]) -> None:
        """Note that entries were of use; the oldest unused ones go first when space is short.

        Parameters
        ----------
        keys
            Of entries that were hit.
        """
        now = clock.now_ms()
        stale = now - 3_600_000
        query = "UPDATE entries SET used_at = ? WHERE key = ? AND used_at < ?"
        index = self._index()
        marks = ",".join("?" * len(keys))
        known = index.execute(
            f"SELECT count(*) FROM entries WHERE key IN ({marks}) AND used_at < ?",  # noqa: S608 - question marks only
            (*keys, stale),
        ).fetchone()
        if known[0]:
            index.executemany(query, [(now, key, stale) for key in keys])

    def prune(self, *, limit_bytes: int) -> int:
        """Delete values, those used longest ago first, until the rest fits.

        Parameters
        ----------
        limit_bytes
            What may stay, 0 or more.

        Returns
        -------
        int
            Bytes freed.
        """
        index = self._index()
        kept, total = set[str](), 0
        drop: list[str] = []
        for key, body in index.execute("SELECT key, body FROM entries ORDER BY used_at DESC"):
            leaves = list(entities.leaves_of(_decode_entry(body).result))
            total += sum(leaf.size_bytes for leaf in leaves if leaf.blob not in kept)
            if total > limit_bytes:
                drop.append(key)
            else:
                kept.update(leaf.blob for leaf in leaves)
        index.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in drop])
        freed = 0
        for path in (self.folder / "objects").glob("??/*"):
            if path.name not in kept:
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        for (blob,) in index.execute("SELECT blob FROM small").fetchall():
            if blob not in kept:
                index.execute("DELETE FROM small WHERE blob = ?", (blob,))
        return freed

    def close(self) -> None:
        """Close this thread's index."""
        self._ranges.close()
        connection = getattr(self._local, "index", None)
        if connection is not None:
            connection.close()
            self._local.index = None

    def _index(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "index", None)
        if found is None:
            path = self.folder / "index.db"
            found = sqlite3.connect(path, timeout=30, isolation_level=None)
            found.execute("PRAGMA journal_mode = WAL")
            # A cache may lose its last entries in a power cut; it must not be torn by one.
            found.execute("PRAGMA synchronous = NORMAL")
            found.executescript(_TABLES)
            self._local.index = found
        return found

    def _seal(self, kind: str, blob: str) -> str:
        return blake3.blake3(f"{kind}:{blob}".encode(), key=self._secret).hexdigest()

    def _write(self, blob: str, data: bytes) -> None:
        if len(data) <= SMALL_BYTES:
            # Written by `put`, together with the entry that names it.
            self._local.small = [*getattr(self._local, "small", []), (blob, data)]
            return
        path = self.folder / "objects" / blob[:2] / blob
        if path.exists() and path.stat().st_size == len(data):
            return
        path.parent.mkdir(exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix="draft-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            pathlib.Path(draft).replace(path)
        except BaseException:
            pathlib.Path(draft).unlink(missing_ok=True)
            raise

    def _bytes(self, blob: str) -> bytes | None:
        row = self._index().execute("SELECT data FROM small WHERE blob = ?", (blob,)).fetchone()
        if row is not None:
            return bytes(row[0])
        try:
            return (self.folder / "objects" / blob[:2] / blob).read_bytes()
        except OSError:
            return None
