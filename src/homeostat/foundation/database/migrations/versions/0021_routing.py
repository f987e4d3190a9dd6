"""Rules and overrides of plans: they are part of the plan's text, so no column is new."""

from __future__ import annotations

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing: a plan without rules reads as one that has none."""
