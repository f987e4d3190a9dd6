"""`homeostat serve`: the prediction server alone."""

from __future__ import annotations

import os
from typing import Any, cast

import click

from homeostat.doors.cli import options


@click.command()
@click.option("--port", type=int, help="Where to listen; 5001 unless set, 0 for any free one.")
@click.option(
    "--server", "server_url", metavar="URL", help="Where plans come from; the one of the home."
)
@click.option("--workers", type=int, help="Processes that answer; one per core unless set.")
@click.option(
    "--memory",
    "memory_mb",
    type=int,
    metavar="MB",
    help="What loaded models may take in all of them; half of the machine's unless set.",
)
@click.option(
    "--log",
    "durability",
    type=click.Choice(["process", "ack", "none"]),
    default="process",
    show_default=True,
    help="What a logged prediction survives: a killed process, lost power (ack), or neither.",
)
def serve(
    *,
    port: int | None,
    server_url: str | None,
    workers: int | None,
    memory_mb: int | None,
    durability: str,
) -> None:
    """Start the prediction server; SIGTERM answers, logs and hands over what is left."""
    # One thread per batch: scikit-learn's own threads would only fight over the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from homeostat.doors.predict import server, sockets, succession
    from homeostat.foundation import addresses, log, settings

    told = options.load(predict_port=port, predict_workers=workers, predict_memory_mb=memory_mb)
    log.configure(level=told.log_level, output=told.log_format)
    url = server_url or addresses.server(told)
    before = succession.taken()
    if before is None:
        address = sockets.Address(told.predict_host, told.predict_port)
    else:
        address = before.address
    here = f"http://{settings.in_url(address.host)}:{address.port}"
    with addresses.kept(told.home, "predictions", here):
        server.run(
            told,
            address=address,
            server_url=url,
            durability=cast("Any", durability),
            before=before,
        )
