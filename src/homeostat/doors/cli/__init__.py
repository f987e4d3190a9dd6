"""The command line. Commands load when they are used, so that `--help` is instant."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any, NamedTuple

import click

EPILOG = """
Exit codes: 0 done; 1 unexpected; 2 the input cannot be right; 3 checked, and the answer is no;
4 not found; 5 conflict; 6 not allowed; 7 not available now; 8 the user's code failed;
9 stored bytes do not match their digest; 130 interrupted.
"""


class Entry(NamedTuple):
    """Where a command is found, and what the list of commands says of it."""

    place: str
    help: str


COMMANDS: dict[str, Entry] = {
    "init": Entry("homeostat.doors.cli.init:init", "Write a new project that runs at once."),
    "up": Entry("homeostat.doors.cli.up:up", "Start server, prediction server and worker."),
    "demo": Entry("homeostat.doors.cli.demo:demo", "Watch a model live through a bad year."),
    "run": Entry("homeostat.doors.cli.run:run", "Run a pipeline and record it."),
    "data": Entry("homeostat.doors.cli.data:data", "Add, list and check snapshots of data."),
    "model": Entry("homeostat.doors.cli.model:model", "List, show and approve model versions."),
    "import": Entry("homeostat.doors.cli.imports:imports", "Copy what MLflow has."),
    "deploy": Entry("homeostat.doors.cli.deploy:deploy", "Serve a model under a name."),
    "predict": Entry("homeostat.doors.cli.predict:predict", "Ask a deployment for answers."),
    "explain": Entry("homeostat.doors.cli.explain:explain", "Say why a row gets its score."),
    "correction": Entry(
        "homeostat.doors.cli.corrections:correction", "Change answers without a new model."
    ),
    "review": Entry("homeostat.doors.cli.reviews:review", "Decide what was left to a person."),
    "labels": Entry("homeostat.doors.cli.labels:labels", "Ask for labels that tell most."),
    "predictions": Entry(
        "homeostat.doors.cli.predictions:predictions", "Export the prediction log."
    ),
    "monitor": Entry("homeostat.doors.cli.monitor:monitor", "Show what monitoring has found."),
    "loop": Entry("homeostat.doors.cli.loops:loop", "Ask a loop for a fit; see how it stands."),
    "alerts": Entry("homeostat.doors.cli.alerts:alerts", "Answer alerts; silence them."),
    "objectives": Entry(
        "homeostat.doors.cli.objectives:objectives", "Show what is promised, and its budget."
    ),
    "backtest": Entry(
        "homeostat.doors.cli.backtest:backtest", "Replay history under a policy."
    ),
    "reproduce": Entry(
        "homeostat.doors.cli.reproduce:reproduce", "Make a version again and compare."
    ),
    "why": Entry(
        "homeostat.doors.cli.why:why", "Trace a prediction or decision to its causes."
    ),
    "replay": Entry("homeostat.doors.cli.decisions:replay", "Recompute decisions bit for bit."),
    "access": Entry("homeostat.doors.cli.access:access", "Make, list and revoke access keys."),
    "audit": Entry("homeostat.doors.cli.audit:audit", "Verify and read the audit log."),
    "status": Entry("homeostat.doors.cli.status:status", "Show the health of everything here."),
    "doctor": Entry("homeostat.doors.cli.doctor:doctor", "Check that this machine is ready."),
    "server": Entry("homeostat.doors.cli.server:server", "Start the API and the pages alone."),
    "serve": Entry("homeostat.doors.cli.serve:serve", "Start the prediction server alone."),
    "worker": Entry("homeostat.doors.cli.worker:worker", "Start the worker alone."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None when there is no such name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        # What imports make stays: looking through it for garbage takes a tenth of a start.
        gc.disable()
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        finally:
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="homeostat")
@click.option("--home", metavar="DIR", help="Where everything is kept (HOMEOSTAT_HOME).")
@click.option("--url", metavar="URL", envvar="HOMEOSTAT_URL", help="Talk to this server.")
@click.option("--project", metavar="NAME", help="Work in this project.")
@click.pass_context
def root(ctx: click.Context, home: str | None, url: str | None, project: str | None) -> None:
    """Keep machine-learning models in production accurate, explained and accountable."""
    ctx.obj = {"home": home, "url": url, "project": project}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors become a sentence on stderr.

    Parameters
    ----------
    arguments
        Without the name of the program.
    """
    from homeostat.foundation import errors

    # backtest and demo take a FILE after --json: a person reads what goes wrong there.
    as_json = "--json" in arguments and not {"backtest", "demo"} & set(arguments)
    try:
        code: Any = root.main(args=arguments, prog_name="homeostat", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        if not as_json:
            error.show()
            return error.exit_code
        return _tell(errors.InvalidInputError(error.format_message()), as_json=True)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 141
    except errors.HomeostatError as error:
        return _tell(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the outermost loop of this door
        return _tell(_unforeseen(error, arguments), as_json=as_json)
    return code if isinstance(code, int) else 0


def _tell(error: Any, *, as_json: bool) -> int:
    from homeostat.doors.cli import output

    output.fail(error, as_json=as_json)
    code: int = error.exit_code
    return code


def _unforeseen(error: Exception, arguments: list[str]) -> Any:
    """Say in a sentence what nobody foresaw; the trace is for logs and for those who ask."""
    import os
    import traceback

    from homeostat.foundation import errors

    if isinstance(error, OSError) and error.strerror:
        at = f"{error.filename}: " if error.filename else ""
        return errors.UnavailableError(f"{at}{error.strerror}")
    is_logged = bool({"server", "serve", "worker"} & set(arguments))
    if is_logged or os.environ.get("HOMEOSTAT_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error).partition("\n")[0]
    return errors.HomeostatError(
        f"unforeseen {type(error).__name__} at {last.filename}:{last.lineno}: {said}",
        hint="a fault of homeostat; HOMEOSTAT_LOG_LEVEL=debug shows the whole trace",
    )
