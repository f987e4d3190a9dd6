"""The one catalogue of tables; every subject's `records` registers its tables here."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
