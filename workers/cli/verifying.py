"""`verify`: checks a bundle offline, with trust pinned to a file the auditor holds."""

from pathlib import Path
from typing import Annotated

import typer

from activities.evidence.restricted import load_identity
from activities.evidence.verify import verify_bundle
from activities.failures import InvalidRequestError
from activities.trust.trust_file import load_trust
from workers.cli.exits import CommandError, Exit
from workers.cli.options import AsJson
from workers.cli.output import console, print_json, print_table, shown


def verify(
    file: Annotated[Path, typer.Argument(help="The bundle.")],
    trust: Annotated[Path | None, typer.Option("--trust", help="The trust file you hold.")] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Your SSH private key, to check the restricted part too.")
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option("--kept", help="An earlier bundle of the batch: its signed heads must still be there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check everything in a bundle, offline."""
    try:
        pinned = load_trust(trust) if trust is not None else None
        identity = load_identity(key.expanduser()) if key is not None else None
    except InvalidRequestError as error:
        raise CommandError(error.message, Exit.WRONG_USE) from error
    report = verify_bundle(file, pinned, restricted_identity=identity, kept=kept)
    if as_json:
        print_json(report.as_dict())
    else:
        print_table(
            f"verification of {file.name}",
            ("check", "result", "what was checked"),
            [(check.name, check.status, check.sentence) for check in report.checks],
        )
        console.print(f"[bold]{shown(report.verdict)}[/bold]")
    if not report.ok:
        raise typer.Exit(Exit.REFUSED)
