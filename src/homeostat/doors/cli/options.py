"""What the root command was told, as settings; light, for commands that open nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from homeostat.foundation import log, settings


def chosen() -> dict[str, Any]:
    """Return what the options of the root command said: home, url, project."""
    ctx = click.get_current_context(silent=True)
    found: dict[str, Any] = (ctx.find_root().obj if ctx else None) or {}
    return found


def load(**overrides: Any) -> settings.Settings:
    """Return the settings: ``homeostat.toml``, environment, the root's options, then these.

    Parameters
    ----------
    **overrides
        Fields of `Settings`; those that are None are left out.
    """
    told = chosen()
    asked = {name: told.get(name) for name in ("home", "url", "project")}
    if asked["home"] is not None:
        asked["home"] = Path(asked["home"])
    return settings.load(**{**asked, **overrides})


def speak(told: settings.Settings) -> None:
    """Send this process's logs to standard error; for commands that run until stopped."""
    log.configure(level=told.log_level, output=told.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)
