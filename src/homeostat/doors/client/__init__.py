"""The Python SDK; `homeostat.connect` opens a client."""

from homeostat.doors.client.client import Client

__all__ = ["Client"]
