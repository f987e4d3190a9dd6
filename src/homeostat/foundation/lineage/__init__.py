"""Typed edges between references: what was made of what."""

from homeostat.foundation.lineage.entities import Edge
from homeostat.foundation.lineage.graph import ancestors, connect, descendants, targets

__all__ = ["Edge", "ancestors", "connect", "descendants", "targets"]
