"""The native JSON API: one file a subject, one route table."""
