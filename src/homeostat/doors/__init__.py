"""Ways in; nothing below knows they exist."""
