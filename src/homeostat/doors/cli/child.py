"""One command as a child of `homeostat up`: it ends when its parent does, however that dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from homeostat.doors import cli

PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Ask the kernel to send SIGTERM when the parent is gone; on Linux only.

    Parameters
    ----------
    parent
        Its process id, to notice a parent that died before we asked.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that this was started for is gone")


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    cli.main(sys.argv[2:])
