"""Structured logs on standard error: lines of JSON for machines, colours for a terminal.

Every process calls `configure` once; modules take a logger with `log.get(__name__)`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

# structlog imports rich where it is installed, a twelfth of a start, for pictures of errors on
# a terminal; whoever wants rich later finds it.
_is_rich_new = "rich" not in sys.modules
if _is_rich_new:
    sys.modules["rich"] = None  # type: ignore[assignment]

import structlog  # noqa: E402 - after the lines above

if _is_rich_new:
    del sys.modules["rich"]

HIDDEN = "[hidden]"
SECRET_NAMES = re.compile(
    r"password|passwd|secret|token|authorization|cookie|(master|data|access|signing|private|api)_key",
    re.IGNORECASE,
)
URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")


def configure(*, level: str = "info", output: str = "auto") -> None:
    """Send all logs of this process, also those of libraries, to standard error.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning`` or ``error``.
    output
        ``json``, ``console``, or ``auto``: console on a terminal, else JSON.
    """
    is_console = output == "console" or (output == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        hide_secrets,
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if is_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    out = _Stderr()
    out.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(level.upper())


class _Stderr(logging.Handler):
    """Writes to whatever ``sys.stderr`` is now: a captured one may be closed by then."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler: a log line must not end the work
            self.handleError(record)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module.

    Parameters
    ----------
    name
        The module's ``__name__``.

    Returns
    -------
    structlog.stdlib.BoundLogger
        Call it as ``logger.info("what happened", key=value)``.
    """
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def hide_secrets(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values whose name says secret, and passwords inside addresses.

    Parameters
    ----------
    entry
        The event about to be written; changed in place.

    Returns
    -------
    dict
        The same `entry`.

    Examples
    --------
    >>> hide_secrets(None, "info", {"token": "abc", "url": "postgresql://me:pw@db/x"})
    {'token': '[hidden]', 'url': 'postgresql://me:[hidden]@db/x'}
    """
    for name, value in entry.items():
        entry[name] = HIDDEN if SECRET_NAMES.search(name) else _clean(value)
    return entry


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    if isinstance(value, dict):
        return hide_secrets(None, "", dict(value))
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


# Until `configure` is called, as in a user's own program, warnings go to standard error through
# the standard library, and nothing is written to standard output.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        hide_secrets,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
