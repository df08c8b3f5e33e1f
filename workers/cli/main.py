"""The command `walletworks`: one table of commands, each loaded when it is called."""

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from workers.cli.called import CALLED
from workers.cli.exits import CommandError, Exit
from workers.cli.output import errors, shown


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command's function lies, and the line that the list of commands shows for it."""

    module: str
    summary: str


COMMANDS: Final = {
    "submit": Command("submitting", "Start a batch from a file of subjects."),
    "watch": Command("watching", "Follow a batch with a progress bar; the exit code tells how it ended."),
    "status": Command("watching", "Show where a batch stands."),
    "inbox": Command("deciding", "List the batches that wait for approval; with --as, those you may sign."),
    "show": Command("deciding", "Show what an approver must see, with its digests computed here again."),
    "approve": Command("deciding", "Approve what a batch waits for, after looking at it."),
    "reject": Command("deciding", "Reject what a batch waits for; one rejection is final for its gate."),
    "adjudicate": Command("deciding", "Decide on one held subject, after looking at `holds`."),
    "statement": Command("deciding", "Print the exact bytes of a statement, to sign them elsewhere."),
    "pause": Command("deciding", "Stop a batch before its next shard or wave; anyone may."),
    "resume": Command("deciding", "Approve that a paused batch goes on."),
    "abort": Command("deciding", "Approve that a batch is left early: undone before its first wave."),
    "holds": Command("reading", "Show the open holds; only an adjudicator's SSH key opens them."),
    "wallets": Command("reading", "Take away the table of wallets: subject_id, chain, address, state."),
    "why": Command("reading", "Tell why a subject stands where it stands."),
    "bundle": Command("reading", "Take away the evidence bundle of an ended batch."),
    "verify": Command("verifying", "Check everything in a bundle, offline."),
}
"""Every command in the order of the help; a module is imported only for a command of its own."""


class CommandTable(TyperGroup):
    """The group of commands: the help is shown from the table, so that it costs no import."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        """Gives the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - as above
        """Gives what the help shows of a command."""
        known = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=known.summary) if known else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Gives the command that is to run, loaded."""
        name, _, rest = super().resolve_command(ctx, args)
        CALLED.set(f"walletworks {name}")
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Imports a command's module and gives the command."""
    module = importlib.import_module(f"workers.cli.{COMMANDS[name].module}")
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(module, name))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="walletworks",
    cls=CommandTable,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def walletworks() -> None:
    """Provisions crypto wallets in large, compliant batches."""


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
        app()
    except CommandError as error:
        errors.print(f"[red]walletworks:[/red] {shown(error.message)}")
        return error.code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    except Exception as error:  # noqa: BLE001 - a script gets a code and a line, whatever happened
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        errors.print(
            f"[red]walletworks:[/red] unforeseen {type(error).__name__} at {where}; please report it"
        )
        return Exit.REFUSED
    return Exit.DONE
