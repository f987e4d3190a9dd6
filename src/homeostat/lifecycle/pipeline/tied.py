"""A process that runs others' code for its parent, and ends when that does.

Called first by every module that is started as one: `child` of this package, those of the loop
and that of the explanations.
"""

from __future__ import annotations

import faulthandler
import multiprocessing.connection
import os
import signal
import threading
import time
from typing import Any


def line(
    line_fd: int, dump_fd: int, *, parent: int
) -> multiprocessing.connection.Connection[Any, Any]:
    """Tie this process to its parent and return the line to it.

    Parameters
    ----------
    line_fd
        Of the socket to the parent.
    dump_fd
        Where the interpreter writes if it crashes.
    parent
        Its process id: when it is gone, so is this process, with all it started.

    Returns
    -------
    Connection
        Open until the parent closes its end.
    """
    faulthandler.enable(file=dump_fd)
    # The parent decides what Ctrl-C means; it kills this process when it means the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    return multiprocessing.connection.Connection(line_fd)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)
