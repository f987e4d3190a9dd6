"""SQLite or PostgreSQL: connections, transactions, the group-commit writer, migrations."""

from homeostat.foundation.database.borders import TooLongError
from homeostat.foundation.database.engine import Database
from homeostat.foundation.database.prepared import Prepared
from homeostat.foundation.database.transaction import Signer, Transaction

__all__ = ["Database", "Prepared", "Signer", "TooLongError", "Transaction"]
