"""What people take away: wallet tables, holds, the story of a subject, the bundle."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import pyrage
import typer

from activities.contracts.reading import ReadBatch, Reading, SubjectAccount
from activities.contracts.shapes import Document
from workers.cli.exits import CommandError, Exit
from workers.cli.options import AsJson, Batch, Key, Me, Reason, SettingsFile
from workers.cli.output import console, print_json, print_pairs, print_table, shown
from workers.cli.session import Session, fetch, run

_ROWS_SHOWN = 20

OutFile = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.")]


def wallets(
    batch: Batch,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole table as CSV.")] = False,
    out: OutFile = None,
    me: Me = "",
    reason: Reason = "wallet table",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Take away the table of wallets: subject_id, chain, address, state."""
    question = ReadBatch(batch_id=batch, reader=me or "unnamed", reason=reason)
    content = fetch(_ask_document(Reading.publish_wallets, question, settings)).decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    if out is not None:
        _write(out, content.encode())
        console.print(f"{len(rows):,} wallets written to {shown(out)}")
    elif as_json:
        print_json(rows)
    elif as_csv:
        typer.echo(content, nl=False)
    else:
        shown_rows = [tuple(row.values()) for row in rows[:_ROWS_SHOWN]]
        print_table(f"{len(rows):,} wallets", ("subject_id", "chain", "address", "state"), shown_rows)
        if len(rows) > _ROWS_SHOWN:
            console.print(f"... and {len(rows) - _ROWS_SHOWN:,} more: --csv prints all")


def holds(
    batch: Batch,
    me: Me = "",
    key: Key = Path("~/.ssh/id_ed25519"),
    reason: Reason = "adjudication",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Show the open holds; only an adjudicator's SSH key opens them."""
    question = ReadBatch(batch_id=batch, reader=me or "unnamed", reason=reason)
    sealed = fetch(_ask_document(Reading.publish_holds, question, settings))
    found: list[dict[str, Any]] = json.loads(_opened(sealed, key.expanduser()))["holds"]
    if as_json:
        print_json(found)
        return
    for hold in found:
        subject = hold["subject"]
        print_pairs(
            f"hold {hold['hold_digest']}",
            [
                ("subject", f"{hold['subject_id']} (ordinal {hold['ordinal']})"),
                *[(name.replace("_", " "), value) for name, value in subject.items()],
                *[("resembles", _hit(hit)) for hit in hold["hits"]],
            ],
        )
    console.print(f"{len(found)} open hold(s)")


def why(
    batch: Batch,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject id.")],
    me: Me = "",
    reason: Reason = "asked why",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Tell why a subject stands where it stands."""
    question = ReadBatch(batch_id=batch, reader=me or "unnamed", reason=reason, subject_id=subject)

    async def work(session: Session) -> SubjectAccount:
        return await session.ask(Reading.explain_subject, question)

    account = run(work, settings_path=settings)
    if as_json:
        print_json(
            {
                "subject_id": account.subject_id,
                "ordinal": account.ordinal,
                "screening": account.screening,
                "wallets": account.wallets,
                "steps": account.steps,
            }
        )
        return
    print_pairs(
        f"subject {account.subject_id}",
        [
            ("ordinal", account.ordinal),
            ("screening", account.screening),
            *[("wallet", f"{w['chain']} {w['address']} {w['state']}") for w in account.wallets],
            *[("", step) for step in account.steps],
        ],
    )


def bundle(
    batch: Batch,
    out: OutFile = None,
    me: Me = "",
    reason: Reason = "evidence",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Take away the evidence bundle of an ended batch."""
    question = ReadBatch(batch_id=batch, reader=me or "unnamed", reason=reason)
    document = _ask_document(Reading.find_bundle, question, settings)
    place = out or Path(f"{batch}.zip")
    _write(place, fetch(document))
    if as_json:
        print_json(
            {"file": str(place), "uri": document.uri, "sha256": document.sha256, "size": document.size}
        )
    else:
        console.print(f"bundle written to {shown(place)}, SHA-256 {document.sha256}")
        console.print(f"verify it:  walletworks verify {shown(place)} --trust TRUST")


def _ask_document(activity: Any, question: ReadBatch, settings: Path | None) -> Document:
    async def work(session: Session) -> Document:
        document: Document = await session.ask(activity, question)
        return document

    return run(work, settings_path=settings)


def _opened(sealed: bytes, key: Path) -> bytes:
    """Opens an age file with an SSH private key; a key in an agent or on a token cannot decrypt."""
    try:
        opened: bytes = pyrage.decrypt(sealed, [pyrage.ssh.Identity.from_buffer(key.read_bytes())])
    except OSError as error:
        raise CommandError(f"the key {key} cannot be read", Exit.WRONG_USE) from error
    except (pyrage.IdentityError, pyrage.DecryptError) as error:
        raise CommandError("this key does not open the holds: is its owner an adjudicator?") from error
    return opened


def _hit(hit: dict[str, Any]) -> str:
    return f"{hit['listed_name']} ({hit['list_id']} {hit['entry_id']}, score {hit['score']})"


def _write(place: Path, content: bytes) -> None:
    try:
        place.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{place} cannot be written", Exit.WRONG_USE) from error
