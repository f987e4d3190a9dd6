"""What an installation is told: environment, then `[server]` of homeostat.toml, then defaults.

Every process calls `load` once at start and hands the frozen result down; nothing below reads
the environment again.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from homeostat.foundation import errors

PREFIX = "HOMEOSTAT_"
# Variables with our prefix that are read elsewhere, by tests alone.
OTHER_VARIABLES = ("HOMEOSTAT_TEST_",)
_ADDRESS = re.compile(r"https?://[^/\s]+", re.IGNORECASE)
SECRETS = (
    *("master_key", "s3_secret_key", "database_url", "token"),
    *("alert_secrets", "smtp_password"),
)
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a wildcard is reached by


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a process must know before it starts.

    Parameters
    ----------
    home
        Folder of this installation: keys, default database, default blobs.
    code
        Folder of the user's own ``pipeline.py``; where the command was started when not set.
    database_url
        ``sqlite:///PATH`` or ``postgresql://...``; SQLite in `home` when empty.
    blobs_url
        A folder, or ``s3://bucket/prefix``; the folder ``blobs`` in `home` when empty.
    s3_endpoint, s3_region, s3_access_key, s3_secret_key
        Where the bucket is and who asks; empty means what the cloud's own environment says.
    host, port, predict_port
        Where the server and the prediction server listen; ports 0 to 65535, 0 = any free one.
    predict_workers
        Processes that answer predictions, 0 to 256; 0 = one per core.
    predict_memory_mb
        MiB that loaded models may take in all of them together; 0 = half of the machine's.
    sign_in
        ``off``: only this machine may call, and its caller is the owner; ``keys``: every
        caller of the server shows an access key.
    allowed_hosts
        Names the server answers to besides loopback's and `host`; a list, or text with commas.
    url
        Address of a server that clients and workers talk to; empty means in this process.
    token
        Access key that clients and the prediction server show at `url`.
    predict_url
        Address of the prediction server; empty means `predict_port`, or where the one of this
        home listens when that is not set either.
    project
        Namespace used when none is named.
    actor
        Name of the local owner, written into events.
    master_key
        Base64 of the 32 bytes that wrap data keys; a file in `home` when empty.
    alert_secrets
        What receivers of alerts need to know, by their names in policies, as
        ``oncall=whsec_...,team=https://hooks.slack.com/...``.
    public_url
        Address by which people reach the pages, for links in messages; where the server
        listens when empty.
    allow_private_webhooks
        Whether alerts may go to addresses that only this network reaches, and unencrypted.
    smtp_host, smtp_port, smtp_user, smtp_password, smtp_from
        The server that takes e-mail; no e-mail is sent without a host.
    smtp_security
        ``starttls``, ``tls`` or ``off``.
    log_level, log_format
        ``debug|info|warning|error`` and ``auto|json|console``.
    chosen
        Names of the fields that somebody set; no setting itself.
    """

    home: Path = Path(".homeostat")
    code: Path = Path()
    database_url: str = ""
    blobs_url: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    host: str = "127.0.0.1"
    port: int = 5000
    predict_port: int = 5001
    predict_workers: int = 0
    predict_memory_mb: int = 0
    sign_in: str = "off"
    allowed_hosts: tuple[str, ...] = ()
    url: str = ""
    token: str = ""
    predict_url: str = ""
    project: str = "default"
    actor: str = "owner"
    master_key: str = ""
    alert_secrets: str = ""
    public_url: str = ""
    allow_private_webhooks: bool = False
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_from: str = "homeostat@localhost"
    smtp_security: str = "starttls"
    log_level: str = "info"
    log_format: str = "auto"
    chosen: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        home = Path(self.home).expanduser().absolute()
        msgspec.structs.force_setattr(self, "home", home)
        code = Path(self.code).expanduser().absolute()
        msgspec.structs.force_setattr(self, "code", code)
        if not self.database_url:
            url = f"sqlite:///{home / 'homeostat.db'}"
            msgspec.structs.force_setattr(self, "database_url", url)
        if not self.blobs_url:
            msgspec.structs.force_setattr(self, "blobs_url", str(home / "blobs"))

    @property
    def near_host(self) -> str:
        """The address by which this machine reaches `host`."""
        return ANYWHERE.get(self.host, self.host)

    @property
    def predict_host(self) -> str:
        """Where the prediction server listens: never where other machines reach it."""
        return self.host if is_loopback(self.host) else "127.0.0.1"

    def __repr__(self) -> str:
        shown = [
            f"{name}={'[hidden]' if name in SECRETS and value else repr(value)}"
            for name, value in ((name, getattr(self, name)) for name in NAMES)
        ]
        return f"Settings({', '.join(shown)})"


NAMES = tuple(o.name for o in msgspec.structs.fields(Settings) if o.name != "chosen")


def load(toml: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of this process.

    Parameters
    ----------
    toml
        A homeostat.toml whose ``[server]`` table counts; ``homeostat.toml`` of the current
        folder when not given and there.
    **overrides
        Fields of `Settings` that win over environment and file; None means not given.

    Returns
    -------
    Settings
        With every path absolute and every default filled in.

    Raises
    ------
    InvalidInputError
        When a key or variable is unknown (the nearest known one is named), a value does not
        fit, or others could reach the server and sign-in is off.
    """
    values = _from_toml(toml)
    values.update(_from_environment(os.environ))
    for name, value in overrides.items():
        _known(name, where="settings")
        if value is not None:
            values[name] = value
    if isinstance(values.get("allowed_hosts"), str):
        listed = values["allowed_hosts"].split(",")
        values["allowed_hosts"] = [name.strip() for name in listed if name.strip()]
    try:
        settings = msgspec.convert(
            {**values, "chosen": frozenset(values)}, Settings, strict=False, dec_hook=_decode
        )
    except msgspec.ValidationError as error:
        raise _misfit(error, values) from error
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Refuse settings that cannot be right.

    Parameters
    ----------
    settings
        What was read.

    Raises
    ------
    InvalidInputError
        When others could reach the server and sign-in is off, a port is out of range, or a
        choice unknown.
    """
    _check_reach(settings)
    for name in ("port", "predict_port", "smtp_port"):
        number = getattr(settings, name)
        if not 0 <= number <= 65535:  # noqa: PLR2004 - the highest TCP port
            raise errors.InvalidInputError(f"{name} is {number}; ports are 0 to 65535")
    for name, most in (("predict_workers", 256), ("predict_memory_mb", 2**24)):
        number = getattr(settings, name)
        if not 0 <= number <= most:
            raise errors.InvalidInputError(f"{name} is {number}; it is 0 to {most}")
    for name in ("url", "predict_url", "public_url"):
        address = getattr(settings, name)
        if address and not _ADDRESS.match(address):
            raise errors.InvalidInputError(
                f"{name} is {address!r}, which is no address of a server",
                hint=f"such as http://127.0.0.1:{settings.port}",
            )
    choices = {
        "log_level": ("debug", "info", "warning", "error"),
        "log_format": ("auto", "json", "console"),
        "sign_in": ("off", "keys"),
        "smtp_security": ("starttls", "tls", "off"),
    }
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            seen = getattr(settings, name)
            raise errors.InvalidInputError(
                f"{name} is {seen!r}; it is one of {', '.join(known)}"
            )


def _check_reach(settings: Settings) -> None:
    if settings.sign_in != "off":
        return
    hint = "set sign_in to 'keys', or use 127.0.0.1, ::1 or localhost and a tunnel"
    if not is_loopback(settings.host):
        raise errors.InvalidInputError(
            f"host {settings.host!r} is refused: sign-in is off, so anyone who can reach the "
            "port would be the owner",
            hint=hint,
            host=settings.host,
        )
    if settings.allowed_hosts:
        listed = ", ".join(settings.allowed_hosts)
        raise errors.InvalidInputError(
            f"allowed_hosts {listed[:200]!r} is refused: sign-in is off, so a page of any of "
            "these names would act as the owner",
            hint=hint,
        )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`.

    Parameters
    ----------
    host
        A name or an address.

    Returns
    -------
    bool
        True for ``localhost`` and for addresses of the loopback networks.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_url(host: str) -> str:
    """Return a host as addresses write it.

    Parameters
    ----------
    host
        A name or an address.

    Returns
    -------
    str
        In brackets where it is an address of IPv6.

    Examples
    --------
    >>> in_url("::1"), in_url("127.0.0.1")
    ('[::1]', '127.0.0.1')
    """
    return f"[{host}]" if ":" in host else host


def _from_toml(toml: Path | None) -> dict[str, Any]:
    path = toml if toml is not None else Path("homeostat.toml")
    if toml is None and not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        server = tomllib.loads(text).get("server", {})
    except OSError as error:
        raise errors.InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.InvalidInputError(f"{path} is not TOML: {error}") from error
    if not isinstance(server, dict):
        raise errors.InvalidInputError(f"[server] of {path} must be a table")
    for name in server:
        _known(name, where=f"[server] of {path}")
    if isinstance(server.get("home"), str):
        # A folder named in a file means the same wherever the command is started.
        server["home"] = str(path.absolute().parent / Path(server["home"]).expanduser())
    return server


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(OTHER_VARIABLES):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if variable != variable.upper() or name not in NAMES:
            near = _nearest(name)
            raise errors.InvalidInputError(
                f"unknown environment variable {variable}",
                hint=f"did you mean {PREFIX}{near.upper()}?" if near else "unset it",
            )
        values[name] = value
    return values


def _known(name: str, *, where: str) -> None:
    if name not in NAMES:
        near = _nearest(name)
        raise errors.InvalidInputError(
            f"unknown key {name!r} in {where}",
            hint=f"did you mean {near!r}?" if near else f"known: {', '.join(NAMES)}",
        )


def _misfit(
    error: msgspec.ValidationError, values: Mapping[str, Any]
) -> errors.InvalidInputError:
    said, _, at = str(error).replace("`", "").partition(" - at $.")
    kind = said.removeprefix("Expected ").partition(",")[0]
    seen = "[hidden]" if at in SECRETS else repr(values.get(at))
    return errors.InvalidInputError(
        f"setting {at} needs {kind}, got {seen}",
        hint=f"see {PREFIX}{at.upper()} and {at} in [server] of homeostat.toml",
    )


def _nearest(name: str) -> str:
    return next(iter(difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)), "")


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise msgspec.ValidationError(f"Expected {kind.__name__}, got {type(value).__name__}")
