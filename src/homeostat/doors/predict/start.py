"""Starts a worker with what it needs and no more; the module that `supervised` runs."""

from __future__ import annotations

import sys

# structlog imports rich where it is installed: 5 MB, for pictures of errors on a terminal.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

from homeostat.doors.predict import worker  # noqa: E402 - after the line above

if __name__ == "__main__":
    worker.main(sys.argv[1:])
