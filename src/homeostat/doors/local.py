"""A whole house in this process with the application over it; opened by SDK and commands."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from homeostat.doors.api import application, routes
from homeostat.doors.client import Client, carriers, transport
from homeostat.doors.mlflow import door
from homeostat.doors.mlflow import routes as mlflow_routes
from homeostat.doors.web import site
from homeostat.foundation import addresses, house, settings


def build(opened: house.House, *, is_inside: bool = False) -> application.Application:
    """Return the application of a house: the API, the pages and MLflow's protocol.

    Parameters
    ----------
    opened
        Stays the caller's to close, after the application.
    is_inside
        Whether only a client of this very process calls, who is the owner of the home.
    """
    app = application.Application(
        opened,
        routes.TABLE,
        site=site.Site(),
        version=metadata.version("homeostat"),
        is_inside=is_inside,
    )
    app.add(door.Door(app, routes=mlflow_routes.TABLE, admit=app.admit))
    return app


def open_client(told: settings.Settings) -> Client:
    """Return a client as the settings say: to a server, else over a house of its own.

    Parameters
    ----------
    told
        Where the house is, or which server to ask.

    Raises
    ------
    UnavailableError
        When the database cannot be reached.
    """
    if told.url:
        carrier: carriers.Carrier = carriers.HttpCarrier(told.url, token=told.token)
    else:
        opened = house.open_house(told)
        app = build(opened, is_inside=True)

        def leave() -> None:
            app.close()
            opened.close()

        carrier = carriers.AppCarrier(app, on_close=leave)
    speaking = transport.Transport(carrier, project=told.project)
    return Client(speaking, predict_url=addresses.predictions(told))


def connect(
    url: str | None = None,
    *,
    home: str | Path | None = None,
    project: str | None = None,
    token: str | None = None,
) -> Client:
    """Open the SDK: to a server, or without one in this process.

    Parameters
    ----------
    url
        Address of a server such as ``http://127.0.0.1:5000``; None asks ``HOMEOSTAT_URL`` and
        otherwise opens the house in `home`.
    home
        Folder of the installation; ``HOMEOSTAT_HOME`` or ``.homeostat`` when None.
    project
        Namespace to work in; ``default`` unless set.
    token
        Access key to show at a server where sign-in is configured; ``HOMEOSTAT_TOKEN`` when
        None.

    Returns
    -------
    Client
        Close it, or use it in a ``with`` block.

    Raises
    ------
    InvalidInputError
        When a setting cannot be right.
    UnavailableError
        When the house cannot be opened.
    """
    asked = Path(home) if home is not None else None
    return open_client(settings.load(url=url, home=asked, project=project, token=token))
