"""Experiments and runs: parameters, metrics, tags, artifacts and where they came from."""
