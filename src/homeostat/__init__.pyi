from homeostat.doors.client import Client as Client
from homeostat.doors.local import connect as connect
from homeostat.foundation.errors import ConflictError as ConflictError
from homeostat.foundation.errors import CorruptError as CorruptError
from homeostat.foundation.errors import GateClosedError as GateClosedError
from homeostat.foundation.errors import HomeostatError as HomeostatError
from homeostat.foundation.errors import InvalidInputError as InvalidInputError
from homeostat.foundation.errors import NotAllowedError as NotAllowedError
from homeostat.foundation.errors import NotFoundError as NotFoundError
from homeostat.foundation.errors import TooLargeError as TooLargeError
from homeostat.foundation.errors import UnauthenticatedError as UnauthenticatedError
from homeostat.foundation.errors import UnavailableError as UnavailableError
from homeostat.foundation.errors import UserCodeError as UserCodeError
from homeostat.foundation.errors import WrongMediaError as WrongMediaError
from homeostat.foundation.errors import WrongMethodError as WrongMethodError
from homeostat.lifecycle.monitoring.report import drift_report as drift_report
from homeostat.lifecycle.pipeline.steps import pipeline as pipeline
from homeostat.lifecycle.pipeline.steps import step as step

__version__: str
__all__ = [
    "Client",
    "ConflictError",
    "CorruptError",
    "GateClosedError",
    "HomeostatError",
    "InvalidInputError",
    "NotAllowedError",
    "NotFoundError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UserCodeError",
    "WrongMediaError",
    "WrongMethodError",
    "connect",
    "drift_report",
    "pipeline",
    "step",
]
