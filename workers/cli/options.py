"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Batch = Annotated[str, typer.Argument(metavar="BATCH", help="The batch id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value for scripts.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", envvar="WALLETWORKS_SETTINGS", help="The settings file.")
]
Me = Annotated[
    str, typer.Option("--as", envvar="WALLETWORKS_AS", help="Who you are, as the trust file names you.")
]
Key = Annotated[
    Path,
    typer.Option(
        "--key",
        envvar="WALLETWORKS_KEY",
        help="Your SSH key: a private key file, or a public one whose private part is in ssh-agent.",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is signed and kept.")]
