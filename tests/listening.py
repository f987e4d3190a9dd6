"""Ports for servers that tests start; used by whatever starts one.

A port that the system names as free may be given to somebody else before our server binds it:
to another test's server, or to a connection that goes out. These come from below the range in
which the system gives ports away by itself, each process of tests has its own, and none is
given twice until all have been.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import zlib

FIRST = 12_000
SHARE = 100
N_SHARES = 40  # ends at 16,000, where the narrowest range of the system's own begins

_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or "0"
_share = (zlib.crc32(_run.encode()) + int(_worker)) % N_SHARES
_coming = itertools.cycle(range(FIRST + _share * SHARE, FIRST + (_share + 1) * SHARE))


def port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on and no other test is given."""
    for number in itertools.islice(_coming, SHARE):
        with socket.socket() as asked:
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                asked.bind(("127.0.0.1", number))
            except OSError:
                continue  # somebody listens there
        return number
    raise OSError(f"no port of this process's {SHARE} is free")
