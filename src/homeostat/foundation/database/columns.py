"""Columns as nearly every table has them: never null unless said; called by records modules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def text(name: str, **options: Any) -> sa.Column[str]:
    """Make a column of text.

    Parameters
    ----------
    name
        Of the column.
    **options
        As ``sqlalchemy.Column`` takes them.
    """
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def number(name: str, **options: Any) -> sa.Column[int]:
    """Make a column of 64-bit integers.

    Parameters
    ----------
    name
        Of the column.
    **options
        As ``sqlalchemy.Column`` takes them.
    """
    return sa.Column(name, sa.BigInteger, **{"nullable": False, **options})
