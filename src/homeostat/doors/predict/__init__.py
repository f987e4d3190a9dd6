"""The prediction server: a raw ASGI edge over `lifecycle.serving`, without a database."""
