"""Server-rendered pages: one file a subject."""
