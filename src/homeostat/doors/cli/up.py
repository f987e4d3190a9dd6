"""`homeostat up`: server, prediction server and worker, started together and kept alive."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

import click
import msgspec

from homeostat.doors.cli import options, ports, supervision, systemkey
from homeostat.foundation import settings

READY_S = 60.0


@click.command()
@click.option("--port", type=int, help="Of the API and the pages; 5000 unless set.")
@click.option("--predict-port", type=int, help="Of the prediction server; 5001 unless set.")
def up(port: int | None, predict_port: int | None) -> None:
    """Start everything on this machine; Ctrl-C or SIGTERM drains all."""
    told = options.load(port=port, predict_port=predict_port)
    options.speak(told)
    with Household(told) as running:
        if not running.wait():
            return
        click.echo(f"pages and API   {running.url}")
        click.echo(f"predictions     {running.predict_url}")
        click.echo(f"home            {told.home}")
        click.echo("Ctrl-C stops everything.")
        running.family.keep()
        click.echo("stopping: finishing what has begun ...", err=True)


class Household:
    """The three processes of one home.

    Parameters
    ----------
    told
        Where they listen and what they open; a port 0 becomes any free one.

    Raises
    ------
    UnavailableError
        When a port is in use.
    """

    def __init__(self, told: settings.Settings) -> None:
        ports.check(told.host, told.port, option="--port")
        ports.check(told.predict_host, told.predict_port, option="--predict-port")
        self.settings = msgspec.structs.replace(
            told,
            port=told.port or ports.free(told.host),
            predict_port=told.predict_port or ports.free(told.predict_host),
        )
        environment = _environment(self.settings)
        serving = {**environment, "HOMEOSTAT_URL": self.url}
        self._server = supervision.Child("server", [], environment=environment)
        self._serve = supervision.Child("serve", [], environment=serving)
        self._worker = supervision.Child("worker", [], environment=environment)
        self.family = supervision.Family([self._serve, self._worker, self._server])

    @property
    def url(self) -> str:
        """Address of the API and the pages."""
        return f"http://{settings.in_url(self.settings.near_host)}:{self.settings.port}"

    @property
    def predict_url(self) -> str:
        """Address of the prediction server."""
        told = self.settings
        return f"http://{settings.in_url(told.predict_host)}:{told.predict_port}"

    def wait(self) -> bool:
        """Start all and return once they answer; false when asked to end before that.

        Raises
        ------
        UnavailableError
            When one does not come up.
        """
        told = self.settings
        self._server.start()  # first and alone: it brings the database up to date
        if not self.family.until(
            lambda: ports.is_well(told.near_host, told.port),
            timeout_s=READY_S,
            what="the server",
        ):
            return False
        if told.sign_in != "off":
            self._serve.tell("HOMEOSTAT_TOKEN", systemkey.secret(told))
        self._worker.start()
        self._serve.start()
        return self.family.until(
            lambda: ports.is_well(told.predict_host, told.predict_port),
            timeout_s=READY_S,
            what="the prediction server",
        )

    def __enter__(self) -> Self:
        self.family.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.family.stop()


def _environment(told: settings.Settings) -> dict[str, str]:
    """Tell a child everything this process knows, so that all open the same house."""
    found = {n: v for n, v in os.environ.items() if not n.startswith(settings.PREFIX)}
    for name in settings.NAMES:
        value = getattr(told, name)
        if value not in ("", ()) and name not in ("url", "token"):
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            found[settings.PREFIX + name.upper()] = text
    return found
