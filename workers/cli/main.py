"""The command `walletworks`."""

import os
import sys

import click
import typer

from workers.cli import deciding, reading, submitting, verifying, watching
from workers.cli.exits import CommandError, Exit
from workers.cli.output import errors, shown

app = typer.Typer(
    name="walletworks",
    help="Provisions crypto wallets in large, compliant batches.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    submitting.submit,
    watching.watch,
    watching.status,
    deciding.inbox,
    deciding.show,
    deciding.approve,
    deciding.reject,
    deciding.adjudicate,
    deciding.statement,
    deciding.pause,
    deciding.resume,
    deciding.abort,
    reading.holds,
    reading.wallets,
    reading.why,
    reading.bundle,
    verifying.verify,
):
    app.command()(command)


def run() -> None:
    """Runs one command and ends the process with its exit code.

    The SDK's threads can crash the interpreter while it exits, so the process ends at once after its
    output is flushed.
    """
    code = _exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code() -> int:
    try:
        given = app(standalone_mode=False)
    except CommandError as error:
        errors.print(f"[red]walletworks:[/red] {shown(error.message)}")
        return error.code
    except click.exceptions.Abort:
        return Exit.REFUSED
    except click.exceptions.ClickException as error:
        error.show()
        return Exit.WRONG_USE
    except KeyboardInterrupt:
        return Exit.REFUSED
    return given if isinstance(given, int) else Exit.DONE
