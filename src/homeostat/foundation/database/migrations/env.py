from __future__ import annotations

from alembic import context

from homeostat.foundation.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata.metadata,
    # One transaction around all, begun and committed by the caller under the write lock.
    transactional_ddl=True,
)
context.run_migrations()
