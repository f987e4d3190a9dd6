"""Datasets and their snapshots: tables, schemas, checks; what every model is made from."""
