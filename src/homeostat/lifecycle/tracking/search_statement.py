"""A statement of a search while it is put together: fixed words, and values that are bound.

Called by the files of runs' search only. What a client wrote reaches a statement through
`Statement.bind` and in no other way.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction

_KEPT_TEXTS: Final = 512
_LARGEST_WHOLE: Final = 2**63 - 1


class Place(NamedTuple):
    """Where a statement is to run that is made before there is a transaction.

    Parameters
    ----------
    dialect
        ``sqlite`` or ``postgresql``.
    project
        Namespace it keeps to.
    """

    dialect: str
    project: str


class Ready(NamedTuple):
    """A statement that is kept and run again, with values of its own and of each run.

    Parameters
    ----------
    prepared
        Its text.
    values
        Bound in all runs.
    """

    prepared: Prepared
    values: dict[str, Any]

    def rows(self, tx: Transaction, **values: Any) -> list[tuple[Any, ...]]:
        """Run it.

        Parameters
        ----------
        tx
            Of the place it was made for.
        **values
            Of this run, by the names that stand in it.

        Returns
        -------
        list of tuple
            Rows as the driver gives them.
        """
        return tx.run(self.prepared, self.values | values).fetchall()


class Statement:
    """Words and the values bound in them.

    Parameters
    ----------
    tx
        Whose database and project it is for; a place where it is only made.
    """

    __slots__ = ("_names", "_tx", "_values", "is_sqlite")

    def __init__(self, tx: Transaction | Place) -> None:
        self._tx = tx
        self._values: dict[str, Any] = {"project": tx.project}
        self._names: dict[Any, str] = {}
        self.is_sqlite = tx.dialect == "sqlite"

    def bind(self, value: float | str) -> str:
        """Return what stands for a value; equal values share it.

        Parameters
        ----------
        value
            A number or text.

        Returns
        -------
        str
            Such as ``:p3``.
        """
        if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
            value = float(value)
        marked = (type(value), value)
        name = self._names.get(marked)
        if name is None:
            name = self._names[marked] = f"p{len(self._names)}"
            self._values[name] = value
        return f":{name}"

    def among(self, expression: str, values: Sequence[int] | Sequence[str]) -> str:
        """Return the condition that an expression is one of some values.

        Parameters
        ----------
        expression
            Fixed words.
        values
            Any number.

        Returns
        -------
        str
            With all values bound as one.
        """
        if len(values) == 1:
            return f"{expression} = {self.bind(values[0])}"
        name = f"p{len(self._names)}"
        self._names[(list, name)] = name
        if self.is_sqlite:
            self._values[name] = json.dumps(list(values))
            return f"{expression} IN (SELECT value FROM json_each(:{name}))"  # noqa: S608 - fixed words
        self._values[name] = list(values)
        return f"{expression} = ANY(:{name})"

    def listed(self, values: Collection[str]) -> str:
        """Return a table of texts, to be called by a name; their column is ``value``."""
        name = f"p{len(self._names)}"
        self._names[(list, name)] = name
        if self.is_sqlite:
            self._values[name] = json.dumps(list(values))
            return f"json_each(:{name})"
        self._values[name] = list(values)
        return f"(SELECT unnest(CAST(:{name} AS text[])) AS value)"

    def bytewise(self, expression: str) -> str:
        """Return a text as both databases compare it alike: by its bytes."""
        return expression if self.is_sqlite else f'{expression} COLLATE "C"'

    def rows(self, *words: str) -> list[tuple[Any, ...]]:
        """Run it.

        Parameters
        ----------
        *words
            The statement, in pieces.

        Returns
        -------
        list of tuple
            Rows as the driver gives them.
        """
        assert isinstance(self._tx, Transaction)
        return self._tx.run(prepared(" ".join(words)), self._values).fetchall()

    def steps(self, n: int, *words: str) -> Iterator[list[tuple[Any, ...]]]:
        """Run it and give the rows as they are read, not all of them at once.

        Parameters
        ----------
        n
            Rows of a step.
        *words
            The statement, in pieces.

        Yields
        ------
        list of tuple
            Up to `n` rows.
        """
        assert isinstance(self._tx, Transaction)
        cursor = self._tx.run(prepared(" ".join(words)), self._values)
        while found := cursor.fetchmany(n):
            yield found

    def ready(self, *words: str) -> Ready:
        """Return the statement, in pieces as for `rows`, to be run later and again."""
        return Ready(prepared(" ".join(words)), self._values)


@functools.lru_cache(maxsize=_KEPT_TEXTS)
def prepared(text: str) -> Prepared:
    """Return the prepared statement of a text; the same as the last time."""
    return Prepared(sa.text(text))
