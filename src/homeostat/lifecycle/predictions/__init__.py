"""The log serving writes and monitoring reads: spool, segments, late labels, their join."""
