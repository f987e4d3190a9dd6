"""Traces of programs that call models: kept and given back to those who look into a call."""
