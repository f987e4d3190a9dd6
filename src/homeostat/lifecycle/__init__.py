"""A model's life, in order; each folder owns its nouns."""
