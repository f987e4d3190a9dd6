"""Copies everything of a source, in an order that a second run can go on from."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from homeostat.doors.cli.imports import shapes, source, writing
from homeostat.doors.client import Client
from homeostat.foundation import errors
from homeostat.lifecycle.importing import entities

N_FOLDERS_AT_ONCE: Final = 4
ENDED: Final = frozenset({"finished", "failed", "killed"})
Watch = Callable[[str, int], None]
"""Told of a kind and how many more of it were copied or skipped."""


class Copying:
    """One import from one source.

    Parameters
    ----------
    found
        Where from.
    client
        Where to.
    watch
        Told of progress: experiments, runs, points, bytes.
    """

    def __init__(self, found: source.Source, client: Client, watch: Watch) -> None:
        self._source = found
        self._client = client
        self._watch = watch
        self.writer = writing.Writer(client, found.address)
        self.counts: collections.Counter[str] = collections.Counter()
        self._ours: dict[str, str] = {}
        self._lock = threading.Lock()

    def everything(self) -> None:
        """Copy experiments, runs, logged models and registered models."""
        self._client.imports.begin(self._source.address)
        with ThreadPoolExecutor(N_FOLDERS_AT_ONCE, thread_name_prefix="copy") as pool:
            experiments = list(self._source.experiments())
            for one in experiments:
                self.writer.add(one)
            self.writer.flush()
            marks = self._client.imports.marks(self._source.address, "experiment")
            self._ours = {mark.source_id: mark.our_id for mark in marks}
            self.counts["experiments"] = len(experiments)
            known = self._known("run")
            models = self._known("logged-model")
            for one in experiments:
                if one.id in self._ours:
                    for page in self._source.runs(one.id):
                        self._runs(page, known, pool)
                    self._logged_models(self._source.logged_models(one.id), models, pool)
                self._watch("experiments", 1)
        self._models()
        for item in self._source.untaken():
            self.writer.leave(item.kind, "", item.reason, count=item.n)
        facts = {**self.counts, "n_missed": sum(self.writer.missed.values())}
        self._client.imports.finish(self._source.address, facts)

    def _known(self, kind: entities.Kind) -> dict[str, str]:
        marks = self._client.imports.marks(self._source.address, kind)
        return {mark.source_id: mark.fingerprint for mark in marks}

    def _runs(
        self, page: Sequence[source.FoundRun], known: dict[str, str], pool: ThreadPoolExecutor
    ) -> None:
        prints = {one.run.id: fingerprint(one.run, one.state) for one in page}
        todo = [
            one
            for one in page
            if known.get(one.run.id) != prints[one.run.id] or one.run.status not in ENDED
        ]
        self.counts["runs_unchanged"] += len(page) - len(todo)
        self._watch("runs", len(page) - len(todo))
        for one in todo:
            self.writer.add(one.run)
        # Runs stand before their points: a batch may be cut anywhere.
        self.writer.flush()
        todo = [one for one in todo if ("run", one.run.id) not in self.writer.refused]
        for points in self._source.points(todo):
            self.writer.add(points)
            self.counts["points"] += len(points.points)
            self._watch("points", len(points.points))
        self.writer.flush()
        holders = [source.Holder("run", one.run.id, one.address) for one in todo]
        folders = [f"{self._ours[one.run.experiment_id]}/{one.run.id}" for one in todo]
        whole = self._files(holders, folders, pool)
        for one in todo:
            said = prints[one.run.id]
            self.writer.done("run", one.run.id, said if one.run.id in whole else f"part:{said}")
        self.writer.flush()
        self.counts["runs"] += len(todo)
        self._watch("runs", len(todo))

    def _logged_models(
        self,
        models: Iterable[source.FoundModel],
        known: dict[str, str],
        pool: ThreadPoolExecutor,
    ) -> None:
        todo = []
        for one in models:
            said = fingerprint(one.model, one.address)
            if known.get(one.model.model.id) == said and one.model.model.status != "pending":
                self.counts["logged_models_unchanged"] += 1
                continue
            todo.append((one, said))
            self.writer.add(one.model)
        self.writer.flush()
        todo = [
            item
            for item in todo
            if ("logged-model", item[0].model.model.id) not in self.writer.refused
        ]
        holders = [
            source.Holder("logged-model", one.model.model.id, one.address) for one, _ in todo
        ]
        folders = [
            f"{self._ours[one.model.model.experiment_id]}/models/{one.model.model.id}"
            for one, _ in todo
        ]
        whole = self._files(holders, folders, pool)
        for one, said in todo:
            name = one.model.model.id
            self.writer.done("logged-model", name, said if name in whole else f"part:{said}")
        self.writer.flush()
        self.counts["logged_models"] += len(todo)

    def _models(self) -> None:
        for model, versions in self._source.models():
            bare = msgspec.structs.replace(model, aliases={})
            self.writer.add(bare)
            for version in versions:
                self.writer.add(version)
            self.writer.flush()
            self.writer.add(model)
            self.counts["models"] += 1
            self.counts["versions"] += len(versions)
        self.writer.flush()

    def _files(
        self,
        holders: Sequence[source.Holder],
        folders: Sequence[str],
        pool: ThreadPoolExecutor,
    ) -> set[str]:
        """Copy the files of some holders; return those that need not be looked at again."""
        done = pool.map(self._files_of, holders, folders)
        return {holder.id for holder, is_done in zip(holders, done, strict=True) if is_done}

    def _files_of(self, holder: source.Holder, folder: str) -> bool:
        """Copy the files of a holder; say whether all of them are here now."""
        if source.is_remote(holder.address):
            self.writer.leave("artifact", holder.address, source.REMOTE)
            return True
        n_missed = 0
        try:
            for file in self._source.files(holder):
                # One that cannot be copied must not stop the others.
                n_missed += not self._file(holder, folder, file)
        except errors.UnavailableError:
            raise
        except errors.HomeostatError as error:
            self.writer.miss("artifact", holder.address, error.message)
            return False
        return n_missed == 0

    def _file(self, holder: source.Holder, folder: str, file: source.File) -> bool:
        try:
            pieces = self._counted(self._source.read(holder, file.path))
            self._client.imports.put_file(f"{folder}/artifacts", file.path, pieces)
        except errors.UnavailableError:
            raise
        except errors.HomeostatError as error:
            self.writer.miss("artifact", f"{holder.address}/{file.path}", error.message)
            return False
        except OSError as error:
            self.writer.miss("artifact", f"{holder.address}/{file.path}", str(error))
            return False
        with self._lock:
            self.counts["files"] += 1
        return True

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            with self._lock:
                self.counts["bytes"] += len(piece)
            self._watch("bytes", len(piece))


def fingerprint(thing: msgspec.Struct, state: str) -> str:
    """Return a digest of a thing as the source has it, and of what else is known of it."""
    return shapes.digest(msgspec.json.encode(thing, order="sorted").decode() + state)
