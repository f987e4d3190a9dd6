"""The worker: follows events, takes jobs and does them; started by `homeostat worker`.

Lanes run side by side, so that a long fit never keeps windows and blocks from being judged,
nor a user's metric that hangs, nor a receiver of alerts that does not answer; nor does that one
keep the others from being told.
A job's last writes and its completion are one transaction: a worker that is killed leaves a
lease that runs out, and whoever takes the job next starts from what was committed.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeostat.foundation import access, errors, events, house, jobs, log, settings
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import sending
from homeostat.lifecycle.loop import duties, triggers

LEASE_S = 15.0
HEARTBEAT_S = 4.0
POLL_S = 0.05
ACTOR = access.system("worker")

_log = log.get(__name__)


def run(told: settings.Settings) -> None:
    """Work until SIGTERM or SIGINT; finishes the jobs at hand first.

    Parameters
    ----------
    told
        Which house to work in.

    Raises
    ------
    UnavailableError
        When a lane died; whoever supervises the worker starts it again.
    """
    # Several processes share the cores; threads that spin for each other cost more than
    # they bring.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ending = threading.Event()
    asked: list[str] = []

    def end(number: int, _: object) -> None:
        asked.append(signal.Signals(number).name)
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with house.open_house(told) as opened:
        opened.write(lambda tx: triggers.set_clocks(tx, ACTOR))
        bench, post = duties.Bench(opened), sending.Post(opened)
        lanes = [
            Lane("judge", bench.quick(), opened, ending=ending),
            Lane("fit", bench.slow(), opened, ending=ending),
            Lane("measure", bench.aside(), opened, ending=ending),
            Lane("look", post.watches(), opened, ending=ending),
            Lane("tell", post.sends(), opened, ending=ending),
            Lane("tell-2", post.sends(), opened, ending=ending),
            Lane("tell-3", post.sends(), opened, ending=ending),
        ]
        for lane in lanes:
            lane.start()
        _log.info("worker is ready", home=str(told.home))
        try:
            follow(opened, ending, lanes=lanes)
            _log.info("worker ends: it was asked to", signal=", ".join(asked))
        finally:
            ending.set()
            for lane in lanes:
                lane.join()


def follow(opened: house.House, ending: threading.Event, *, lanes: Sequence[Lane] = ()) -> None:
    """Turn events into jobs until `ending`; the cursor and the jobs commit together.

    Parameters
    ----------
    opened
        Whose events.
    ending
        Set by somebody else to return.
    lanes
        That do the jobs; without one of them the worker would seem well and do nothing.

    Raises
    ------
    UnavailableError
        When a lane died.
    """
    kinds = tuple(triggers.TRIGGERS)
    while not ending.is_set():
        dead = next((lane for lane in lanes if not lane.is_alive()), None)
        if dead is not None and not ending.is_set():
            raise errors.UnavailableError(
                f"{dead.name} of the worker died: {dead.death or 'nobody knows why'}",
                hint="the worker ends so that it is started again",
            )
        try:
            news = opened.read(lambda tx: events.follow(tx, triggers.READER, kinds=kinds))
            for event in news:
                answer(opened, event)
            if opened.read(jobs.schedules):
                opened.write(jobs.enqueue_due)
            if news:
                continue
        except errors.UnavailableError as error:
            _log.warning("the store does not answer; trying again", error=str(error))
            ending.wait(1.0)
        ending.wait(POLL_S)


def answer(opened: house.House, event: events.Event) -> None:
    """Put the jobs that an event causes into the queue, and note that it was seen.

    Parameters
    ----------
    opened
        The house of the event.
    event
        Of a kind in `triggers.TRIGGERS`. One that cannot be answered is noted in the log as
        ``trigger.failed``, and the next ones are answered all the same.

    Raises
    ------
    UnavailableError
        When the store does not answer; the event comes again.
    """

    def work(tx: Transaction) -> None:
        if events.position(tx, triggers.READER) >= event.seq:  # by another worker meanwhile
            return
        triggers.TRIGGERS[event.kind](tx, ACTOR, event)
        events.advance(tx, triggers.READER, event.seq)

    try:
        opened.write(work)
    except errors.UnavailableError:
        raise
    except errors.HomeostatError as error:
        sentence = str(error)
        _log.error("an event could not be answered", seq=event.seq, error=sentence)
        opened.write(lambda tx: _pass_over(tx, event, sentence))
    except Exception as error:  # noqa: BLE001 - the outermost loop of a door: one event must not stop all
        sentence = f"{type(error).__name__}: {error}"
        _log.exception("an event could not be answered", seq=event.seq)
        opened.write(lambda tx: _pass_over(tx, event, sentence))


def _pass_over(tx: Transaction, event: events.Event, sentence: str) -> None:
    facts = {"seq": event.seq, "kind": event.kind, "sentence": sentence}
    events.record(tx, ACTOR, "trigger.failed", subject=event.subject, facts=facts)
    events.advance(tx, triggers.READER, event.seq)


class Lane(threading.Thread):
    """Takes one job after the other, of some kinds.

    Parameters
    ----------
    name
        Of the thread, and in the lease.
    handlers
        What to do for each kind of job: returns what to write together with the completion.
    opened
        The house to work in.
    ending
        Set when no further job may be begun.
    """

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, duties.Handler],
        opened: house.House,
        *,
        ending: threading.Event,
    ) -> None:
        super().__init__(name=f"lane-{name}", daemon=True)
        self._handlers = dict(handlers)
        self._house = opened
        self._ending = ending
        self._who = f"{socket.gethostname()}:{os.getpid()}:{name}"
        self.death = ""

    def run(self) -> None:
        """Work until told to end; what ends it otherwise is logged and kept as `death`."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the outermost of a thread: nobody else would tell
            self.death = f"{type(error).__name__}: {error}"
            _log.exception("a lane died", lane=self.name)

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                if not self._work_once():
                    self._ending.wait(POLL_S)
            except errors.ConflictError as error:
                _log.warning(
                    "a lease was lost; its job is somebody else's now", error=str(error)
                )
            except errors.UnavailableError as error:
                _log.warning("the store does not answer; trying again", error=str(error))
                self._ending.wait(1.0)

    def _work_once(self) -> bool:
        kinds = tuple(self._handlers)
        if not self._house.read(lambda tx: jobs.is_due(tx, kinds=kinds)):
            return False
        job = self._house.write(
            lambda tx: jobs.lease(tx, self._who, kinds=kinds, lease_s=LEASE_S)
        )
        if job is None:
            return False
        with Heartbeat(self._house, job):
            self._do(job)
        return True

    def _do(self, job: jobs.Job) -> None:
        try:
            finish = self._handlers[job.kind](job)
            self._house.write(lambda tx: _finish(tx, job, finish))
        except (errors.ConflictError, errors.UnavailableError) as error:
            sentence = str(error)
            self._house.write(lambda tx: jobs.fail(tx, job, sentence, retry=True))
            _log.warning("job comes again", kind=job.kind, error=sentence)
        except errors.HomeostatError as error:
            sentence = str(error)
            self._house.write(lambda tx: jobs.fail(tx, job, sentence, retry=False))
            _log.error("job failed", kind=job.kind, error=sentence)
        except Exception as error:  # noqa: BLE001 - the outermost loop of a door: the lane must live on
            sentence = f"{type(error).__name__}: {error}"
            self._house.write(lambda tx: jobs.fail(tx, job, sentence, retry=True))
            _log.exception("job raised", kind=job.kind)


def _finish(tx: Transaction, job: jobs.Job, finish: Callable[[Transaction], Any]) -> None:
    jobs.complete(tx, job, finish(tx))


class Heartbeat:
    """Extends a job's lease while it is worked on.

    Parameters
    ----------
    opened
        The house of the job.
    job
        As it was leased.
    """

    def __init__(self, opened: house.House, job: jobs.Job) -> None:
        self._house = opened
        self._job = job
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            try:
                self._house.write(lambda tx: jobs.extend(tx, self._job, lease_s=LEASE_S))
            except errors.HomeostatError as error:
                _log.warning("lease not extended", job=self._job.id, error=str(error))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
