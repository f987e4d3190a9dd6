"""`homeostat init`: a project that runs at once, on simulated data until real data is there."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from homeostat.doors.cli import output
from homeostat.foundation import clock, errors

FILES = ("pipeline.py", "homeostat.toml", "test_pipeline.py", "README.md")
N_ROWS = 6000
SEED = 7
DAY_MS = 86_400_000
SPAN_DAYS = 90


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@output.option
def init(folder: Path, *, as_json: bool) -> None:
    """Write pipeline.py, homeostat.toml, a test, a README and sample data into DIR."""
    written = write(folder)
    output.emit(
        {"folder": str(folder.absolute()), "files": written},
        as_json=as_json,
        show=lambda: _told(folder, written),
    )


def write(folder: Path) -> list[str]:
    """Write the starter project and return the names of its files.

    Parameters
    ----------
    folder
        Made when it is not there; nothing in it is ever replaced.

    Raises
    ------
    ConflictError
        When a file of the project is there already.
    InvalidInputError
        When the folder cannot be written.
    """
    names = [*FILES, "data/loans.parquet"]
    for name in names:
        if (folder / name).exists():
            raise errors.ConflictError(
                f"{folder / name} is there already; nothing was written",
                hint="choose an empty folder",
            )
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        starter = resources.files("homeostat.doors.cli") / "starter"
        for name in FILES:
            text = (starter / f"{name}.txt").read_text(encoding="utf-8")
            (folder / name).write_text(text, encoding="utf-8")
        _write_loans(folder / "data" / "loans.parquet")
    except OSError as error:
        raise errors.InvalidInputError(
            f"cannot write into {folder}: {error.strerror}",
            hint="choose a folder you may write",
        ) from error
    return names


def _write_loans(path: Path) -> None:
    import polars as pl

    from homeostat.doors.cli.demo import lender

    loans = lender.Lender(SEED).applications(N_ROWS)
    last = clock.now_ms() // DAY_MS * DAY_MS
    step = SPAN_DAYS * DAY_MS // N_ROWS
    applied = pl.int_range(last - N_ROWS * step, last, step, eager=True)
    loans = loans.with_columns(applied.cast(pl.Datetime("ms", "UTC")).alias("applied_at"))
    loans.write_parquet(path)


def _told(folder: Path, written: list[str]) -> str:
    lines = [f"wrote {folder}/{name}" for name in written]
    return "\n".join([*lines, "", f"next: cd {folder} && homeostat up, then homeostat run"])
