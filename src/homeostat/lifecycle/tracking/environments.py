"""What the digest of an environment stands for, kept once; called by the actions of pipelines.

Apart from `origin`, which processes without a house ask too.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import records


def keep(tx: Transaction, digest: str, packages: Sequence[str]) -> None:
    """Write what an environment's digest stands for, once.

    Parameters
    ----------
    tx
        Transaction to write in.
    digest, packages
        As `origin.environment` gave them.
    """
    which = {"in_project": tx.project, "in_digest": digest}
    if tx.run(records.KNOWS_ENVIRONMENT, which).fetchone() is None:
        row = {"project": tx.project, "digest": digest, "packages": "\n".join(packages)}
        tx.run(records.INSERT_ENVIRONMENT, row)


def get(tx: Transaction, digest: str) -> tuple[str, ...]:
    """Return the distributions a digest stands for; empty when it is not known.

    Parameters
    ----------
    tx
        Reading suffices.
    digest
        `environment` of a run.

    Returns
    -------
    tuple of str
        `name==version`.
    """
    which = {"in_project": tx.project, "in_digest": digest}
    found = tx.execute(records.ENVIRONMENT, which).first()
    return () if found is None else tuple(found.packages.split("\n"))
