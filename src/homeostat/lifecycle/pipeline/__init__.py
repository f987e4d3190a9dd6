"""Steps and pipelines: what is called, what is cached, what is recorded."""
