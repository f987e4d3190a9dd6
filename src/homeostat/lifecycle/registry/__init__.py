"""Models, their immutable versions, aliases with history, approvals, and how they load."""
