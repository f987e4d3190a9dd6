"""Stands between a running pipeline and its steps: looks up, runs, keeps; used by `drive`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from homeostat.foundation import clock, errors, ids, log
from homeostat.lifecycle.pipeline import cache as caches
from homeostat.lifecycle.pipeline import (
    calls,
    digests,
    entities,
    executors,
    failures,
    fingerprint,
    kept,
    lazy,
    recorders,
    sources,
    steps,
    stopping,
)
from homeostat.lifecycle.tracking import origin

_LONGEST_BACKOFF_S = 60.0
_SHORT_RUN_S = 0.2

logger = log.get(__name__)


class _Attempted(msgspec.Struct, frozen=True):
    done: executors.Done
    n: int


class Driver:
    """One run of a pipeline.

    Parameters
    ----------
    pipeline
        To run.
    cache, recorder, executor, limits
        As `drive.run` was given them.
    """

    def __init__(
        self,
        pipeline: steps.Pipeline[..., Any],
        *,
        cache: caches.Cache,
        recorder: recorders.Recorder | None,
        executor: executors.Executor,
        limits: stopping.Limits,
    ) -> None:
        self.pipeline = pipeline
        self.run_id = ids.new_id()
        self.records: list[entities.StepRecord] = []
        self._cache = cache
        self._recorder = recorder
        self._executor = executor
        self._limits = limits
        self._codes: dict[str, fingerprint.Reached] = {}
        self._began = time.perf_counter()
        self._beginning: threading.Timer | None = None
        self._telling = threading.Lock()
        self._is_over = False
        self._start = entities.RunStart(
            run_id=self.run_id,
            pipeline=pipeline.name,
            executor=executor.name,
            started_at=clock.now_ms(),
        )

    def drive(self, arguments: Mapping[str, Any], *, given: frozenset[str]) -> Any:
        """Call the pipeline function, its steps answered by this driver.

        Parameters
        ----------
        arguments
            For every parameter of the function.
        given
            Names of those that are data rather than settings.

        Returns
        -------
        object
            What it returned; cached parts unread.
        """
        passed = self._admit(arguments, given)
        token = steps.watcher.set(self)
        try:
            with self._limits.interrupting():
                output = self.pipeline.function(**passed)
        except stopping.OverdueError as error:
            self._fail(self._limits.overdue(), "failed")
            raise self._limits.overdue() from error
        except errors.HomeostatError as error:
            self._fail(error, "killed" if isinstance(error, errors.ConflictError) else "failed")
            raise
        except KeyboardInterrupt:
            self._finish("killed", "it was interrupted")
            raise
        except BaseException as error:
            # The pipeline's own lines are the user's code: it may raise anything, or sys.exit.
            failure = failures.of(error, what=f"pipeline {self.pipeline.name!r}")
            self._fail(failure, "failed")
            raise failure from error
        finally:
            steps.watcher.reset(token)
        self._finish("finished", "")
        return output

    def call(
        self, step: steps.Step[Any, Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Answer one call of a step; see `steps.Watcher`."""
        self._limits.check()
        started = (clock.now_ms(), time.perf_counter())
        call = calls.key_of(step, args, options, codes=self._codes)
        if not call.key:
            return self._run(call, started, "it is never cached")
        entry = self._cache.get(call.key)
        if entry is not None:
            return self._hit(call, entry, started)
        with self._cache.alone(call.key, give_up=self._limits.check):
            # Another run may have finished it between the look-up and the lock.
            entry = self._cache.get(call.key)
            if entry is not None:
                return self._hit(call, entry, started)
            return self._run(call, started, calls.reason(call, self._cache))

    def _admit(self, arguments: Mapping[str, Any], given: frozenset[str]) -> dict[str, Any]:
        passed, inputs, settings = dict(arguments), [], {}
        for name, value in arguments.items():
            if name not in given:
                settings[name] = digests.shown(value, limit=500) or type(value).__name__
                continue
            reference, cell = "", None
            if isinstance(value, sources.Source):
                reference = value.reference
                cell = lazy.Cell(digests.of_parts("source", value.digest), value.read)
            elif digests.shown(value) is None:
                cell = lazy.Cell.of(calls.content(value, what=f"input {name!r}"), value)
            if cell is not None:
                cell.name = f"input {name!r}"
                passed[name] = lazy.Output(cell)
            digest = (
                value.digest
                if isinstance(value, sources.Source)
                else calls.content(passed[name], what=f"input {name!r}")
            )
            inputs.append(entities.RunInput(name=name, reference=reference, digest=digest))
        self._start = msgspec.structs.replace(
            self._start, inputs=tuple(inputs), parameters=settings
        )
        return passed

    def _hit(
        self, call: calls.KeyedCall, entry: entities.Entry, started: tuple[int, float]
    ) -> Any:
        record = entities.StepRecord(
            position=len(self.records),
            name=call.step.name,
            status="hit",
            key=call.key,
            code=entry.code,
            arguments=call.arguments,
            digest=entry.digest,
            made_by=entry.made_by,
            started_at=started[0],
            wall_s=time.perf_counter() - started[1],
        )
        self.records.append(record)
        return self._unread(call, entry.result)

    def _run(self, call: calls.KeyedCall, started: tuple[int, float], reason: str) -> Any:
        """Run a step and keep what it returned."""
        self._begin()
        record = entities.StepRecord(
            position=len(self.records),
            name=call.step.name,
            status="failed",
            key=call.key,
            code=call.code.digest,
            reason=reason,
            arguments=call.arguments,
            made_by=self.run_id,
            started_at=started[0],
        )
        place = len(self.records)
        self.records.append(record)
        try:
            attempted = self._attempts(call)
            answer, digest = self._keep(call, attempted.done.value, started)
        except BaseException as error:
            text = error.message if isinstance(error, errors.HomeostatError) else repr(error)
            wall_s = time.perf_counter() - started[1]
            self.records[place] = msgspec.structs.replace(record, error=text, wall_s=wall_s)
            raise
        self.records[place] = msgspec.structs.replace(
            record,
            status="ran",
            digest=digest,
            wall_s=time.perf_counter() - started[1],
            cpu_s=attempted.done.cpu_s,
            max_rss_bytes=attempted.done.max_rss_bytes,
            attempts=attempted.n,
        )
        return answer

    def _attempts(self, call: calls.KeyedCall) -> _Attempted:
        limits = call.step.limits
        for n in range(1, limits.retries + 2):
            self._limits.check()
            attempt = executors.Call(
                step=call.step,
                args=tuple(self._plain(call, value) for value in call.args),
                options={n: self._plain(call, v) for n, v in call.options.items()},
                folder=self.pipeline.folder,
                timeout_s=self._limits.left_s(limits.timeout_s),
            )
            try:
                done = self._executor.run(attempt, give_up=self._limits.check)
            except errors.UserCodeError as error:
                self._limits.check()
                if n > limits.retries:
                    raise
                wait_s = min(limits.backoff_s * 2 ** (n - 1), _LONGEST_BACKOFF_S)
                logger.warning(
                    "a step is tried again",
                    step=call.step.name,
                    wait_s=wait_s,
                    error=str(error),
                )
                self._limits.wait(wait_s)
            else:
                return _Attempted(done, n)
        raise AssertionError("the last attempt returns or raises")

    def _plain(self, call: calls.KeyedCall, value: Any) -> Any:
        if self._executor.shares_memory and call.step.limits.timeout_s is None:
            return calls.lend(value, call.step.name)
        return lazy.value_of(value)

    def _keep(
        self, call: calls.KeyedCall, value: Any, started: tuple[int, float]
    ) -> tuple[Any, str]:
        """Store a result; return it as the pipeline sees it, and its digest."""
        what = f"the result of step {call.step.name!r}"
        if not call.key:
            if digests.shown(value) is not None:
                return value, calls.content(value, what=what)
            try:
                digest = fingerprint.value(value)
            except digests.NoDigestError:
                return value, ""  # only a step that is never cached itself can take it
            return lazy.Output(lazy.Cell.of(digest, value)), digest
        try:
            node = self._cache.store(value)
        except digests.NoDigestError as error:
            raise errors.InvalidInputError(
                f"{what} cannot be cached: {error}",
                hint="return its content, or mark the step @hs.step(cache=False)",
            ) from error
        except OSError as error:
            logger.warning("a result is not kept", step=call.step.name, error=str(error))
            digest = calls.content(value, what=what)
            return lazy.Output(lazy.Cell.of(digest, value)), digest
        digest = calls.node_digest(node)
        entry = entities.Entry(
            key=call.key,
            step=call.name,
            code=call.code.digest,
            arguments=call.arguments,
            result=node,
            digest=digest,
            made_by=self.run_id,
            made_at=started[0],
            cost_s=time.perf_counter() - started[1],
        )
        self._cache.put(entry, call.code.parts)
        return calls.fresh(node, value), digest

    def _unread(self, call: calls.KeyedCall, node: entities.Node) -> Any:
        """Rebuild a cached result, its stored values unread."""
        if node.kind == "plain":
            return node.plain
        if node.leaf is None:
            return calls.container(node, [self._unread(call, inner) for inner in node.inner])
        leaf = node.leaf

        def read() -> Any:
            try:
                return self._cache.read(leaf)
            except errors.CorruptError as error:
                logger.warning("a cached value is lost", step=call.step.name, error=str(error))
                return self._again(call, leaf.digest)

        return lazy.Output(lazy.Cell(leaf.digest, read))

    def _again(self, call: calls.KeyedCall, digest: str) -> Any:
        """Compute a lost value once more."""
        self._cache.forget(call.key)
        value = self._run(
            call, (clock.now_ms(), time.perf_counter()), "its cached value is gone"
        )
        for cell in lazy.cells_in(value):
            if cell.digest == digest:
                return cell.get()
        raise errors.CorruptError(
            f"a cached result of step {call.step.name!r} is gone, and the step now returns"
            " something else",
            hint="run the pipeline again; give the step a seed if it draws random numbers",
        )

    def _begin(self) -> None:
        """Have the run recorded as working, unless it is over before anybody could look."""
        if self._recorder is not None and self._beginning is None:
            self._beginning = threading.Timer(_SHORT_RUN_S, self._tell_begin)
            self._beginning.daemon = True
            self._beginning.start()

    def _tell_begin(self) -> None:
        with self._telling:
            if self._recorder is None or self._is_over:
                return
            try:
                self._recorder.begin(self._start)
            except errors.HomeostatError as error:
                # The end is told again, whole; what is wrong then reaches the caller.
                logger.warning("a run's beginning is not recorded", error=str(error))

    def _fail(self, error: errors.HomeostatError, status: entities.RunStatus) -> None:
        error.facts["run_id"] = self.run_id
        self._finish(status, error.message)

    def _finish(self, status: entities.RunStatus, error: str) -> None:
        hits = [record.key for record in self.records if record.status == "hit"]
        if hits:
            self._cache.used(hits)
        if self._recorder is None:
            return
        code = origin.of_project(self.pipeline.folder)
        installed = origin.environment()
        ran = {record.code for record in self.records if record.status != "hit"}
        codes = {c.digest: c for c in self._codes.values() if c.digest in ran}
        end = entities.RunEnd(
            status=status,
            ended_at=clock.now_ms(),
            steps=tuple(self.records),
            codes=tuple(calls.reached_code(found) for found in codes.values()),
            error=error,
            wall_s=time.perf_counter() - self._began,
            cpu_s=sum(record.cpu_s for record in self.records),
            max_rss_bytes=max((record.max_rss_bytes for record in self.records), default=0),
            commit=code.commit,
            dirty=code.dirty,
            environment=installed.digest,
            packages=installed.packages,
            target=self.pipeline.target,
            files=kept.of_project(self.pipeline.folder),
        )
        with self._telling:
            self._is_over = True
            if self._beginning is not None:
                self._beginning.cancel()
            self._recorder.finish(self._start, end)
