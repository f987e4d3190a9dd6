"""How good, how fair, how sure: metrics with intervals, slices, comparison, gates, reports."""
