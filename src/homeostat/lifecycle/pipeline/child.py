"""A worker process: takes steps from its parent one after another until the line closes.

Started by `workers.Worker` as `python -m homeostat.lifecycle.pipeline.child`.
"""

from __future__ import annotations

import resource
import sys
import time

import cloudpickle
import msgspec
import polars as pl  # noqa: F401 - nearly every step needs it; a warm worker has it ready

from homeostat.lifecycle.pipeline import failures, load, steps, tied, workers

_KIB = 1024


def main(line_fd: int, dump_fd: int, parent: int) -> None:
    """Serve steps until the parent closes the line.

    Parameters
    ----------
    line_fd
        Of the socket to the parent.
    dump_fd
        Where the interpreter writes if it crashes.
    parent
        Its process id: when it is gone, so is this worker.
    """
    line = tied.line(line_fd, dump_fd, parent=parent)
    decode = msgspec.msgpack.Decoder(workers.Request).decode
    seen: dict[str, str] = {}
    while True:
        try:
            request = decode(line.recv_bytes())
        except (EOFError, OSError):
            return
        line.send_bytes(msgspec.msgpack.encode(_answer(request, seen)))


def _answer(request: workers.Request, seen: dict[str, str]) -> workers.Answer:
    before = time.process_time()
    try:
        sys.path[:] = request.path
        if request.folder:
            if seen.get(request.folder) != request.stamp:
                load.forget(request.folder)
                seen.clear()
                seen[request.folder] = request.stamp
            load.activate(request.folder)
        target, args, options = cloudpickle.loads(request.payload)
        function = target.function if isinstance(target, steps.Step) else target
        payload = cloudpickle.dumps(function(*args, **options), protocol=5)
    except BaseException as error:  # noqa: BLE001 - also SystemExit: a step ends itself only
        place, kind, text = failures.parts(error)
        return workers.Answer(failure=workers.Failure(kind, text, place))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    cpu_s = time.process_time() - before
    return workers.Answer(payload=payload, cpu_s=cpu_s, max_rss_bytes=peak)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
