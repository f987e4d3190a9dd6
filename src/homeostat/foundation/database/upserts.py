"""Inserts that know what to do with a row that is there already, for both databases.

Called by the records modules. SQLAlchemy has ``ON CONFLICT`` in each dialect's own insert only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from homeostat.foundation.database.prepared import Prepared


def both(build: Callable[[Any], sa.Executable]) -> Prepared:
    """Prepare what `build` makes of each dialect's own insert.

    Parameters
    ----------
    build
        ``build(insert)`` returns a statement; ``insert(table)`` begins it.

    Returns
    -------
    Prepared
        For both databases.
    """
    return Prepared({"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)})


def keeping(table: sa.Table) -> Prepared:
    """Prepare an insert of whole rows that leaves those alone which are there.

    Parameters
    ----------
    table
        With a primary key or a unique index.

    Returns
    -------
    Prepared
        Takes every column.
    """
    return both(lambda insert: insert(table).on_conflict_do_nothing())


def replacing(
    table: sa.Table, keys: Sequence[str], names: Sequence[str] | None = None
) -> Prepared:
    """Prepare an insert of whole rows that renews those which are there.

    Parameters
    ----------
    table
        Where they go.
    keys
        Columns of the unique index that decides which row it is.
    names
        Columns that are renewed; all but the keys when None.

    Returns
    -------
    Prepared
        Takes every column.
    """
    renewed_names = [column.name for column in table.columns if column.name not in keys]

    def build(insert: Any) -> sa.Executable:
        made = insert(table)
        changed = {name: made.excluded[name] for name in names or renewed_names}
        renewed: sa.Executable = made.on_conflict_do_update(index_elements=keys, set_=changed)
        return renewed

    return both(build)
