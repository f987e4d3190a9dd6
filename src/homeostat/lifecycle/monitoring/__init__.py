"""Watches what is served: windows, data quality, drift, blame, alerts."""
