"""The command line: parse, call one function, print. Imports wait until a command needs them."""

from __future__ import annotations

import os
import sys

import typer
from typer.exceptions import TyperException

from windtunnel.cli import asking, comparing, imports, laws, plans, steps, whole, work
from windtunnel.cli.output import GOOD, INTERRUPTED
from windtunnel.errors import WindtunnelError

app = typer.Typer(
    name="windtunnel",
    help="Tune small, train large, and be told when you can't.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    whole.quickstart,
    whole.init,
    whole.run,
    plans.rules,
    plans.explain,
    plans.check,
    steps.tune,
    imports.transfer,
    steps.fit,
    steps.forecast,
    steps.train,
    imports.verify,
    steps.report,
    asking.ask,
    asking.tell,
    comparing.compare,
    work.work,
):
    app.command()(command)
app.add_typer(laws.app, name="laws")
app.add_typer(imports.runs)


def main() -> None:
    """Run the command line; every mistake of the user's ends in one line and exit code 2."""
    # Workers do the work; a second thread here would only take their cores from them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = app(standalone_mode=False)
    except WindtunnelError as error:
        print(f"windtunnel: {error}", file=sys.stderr)
        code = error.exit_code
    except TyperException as error:
        if error.format_message():  # empty when the help text was the answer
            print(f"windtunnel: {error.format_message()}", file=sys.stderr)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # which is also what typer itself makes of Ctrl-C
        print(
            "\nStopped. Nothing finished is lost: the same command goes on where this one stopped.",
            file=sys.stderr,
        )
    sys.stdout.flush()
    # Leaving at once keeps Ctrl-C under two seconds: torch's own teardown can take longer.
    os._exit(code if isinstance(code, int) else GOOD)
