"""What approvers do: their inbox, the matter before them, and the statements they sign."""

import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.shapes import PROVISIONING_QUEUE
from activities.failures import InvalidRequestError
from activities.trust.signatures import APPROVAL_NAMESPACE
from activities.trust.statements import build_statement
from workers.cli.exits import CommandError, Exit
from workers.cli.matter import gate_to_sign, matter_of, print_matter
from workers.cli.options import AsJson, Batch, Key, Me, Reason, SettingsFile
from workers.cli.output import console, errors, print_json, print_table, shown
from workers.cli.session import Session, run
from workers.cli.signing import sign

_WAITING = (
    f'BatchWaitingFor = "approval" AND WorkflowType = "ProvisionBatch" AND TaskQueue = "{PROVISIONING_QUEUE}"'
    ' AND ExecutionStatus = "Running"'
)
"""What approvers look for. Anyone may start a workflow that says it waits: only a real batch can answer."""

_DEFAULT_KEY = Path("~/.ssh/id_ed25519")

Gate = Annotated[str, typer.Option("--gate", help="Default: the gate the batch waits at.")]
ValidHours = Annotated[float, typer.Option("--valid-hours", help="How long the statement is good for.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask once more on a terminal.")]
StatementFile = Annotated[
    Path | None, typer.Option("--statement", help="A statement signed elsewhere; with --signature.")
]
SignatureFile = Annotated[Path | None, typer.Option("--signature", help="Its signature.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to decide, before it is a statement."""

    message: str
    decision: str
    me: str
    reason: str
    gate: str
    valid_hours: float = 24.0
    digest: str = ""


def inbox(me: Me = "", as_json: AsJson = False, settings: SettingsFile = None) -> None:
    """List the batches that wait for approval; with --as, those you may sign."""
    waiting = run(lambda session: _inbox(session, me), settings_path=settings)
    if as_json:
        print_json(waiting)
        return
    rows = [
        (w["batch_id"], w["gate"], _people(w["still_needed"]), w["requested_by"], w["until"]) for w in waiting
    ]
    print_table("waiting for approval", ("batch", "gate", "still needed", "requested by", "until"), rows)


def show(
    batch: Batch,
    brief: Annotated[bool, typer.Option("--brief", help="What the policy asks for, not its text.")] = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Show what an approver must see, with its digests computed here again."""
    matter = run(lambda session: matter_of(session, batch), settings_path=settings)
    if as_json:
        print_json(matter)
    else:
        print_matter(matter, brief=brief)


def approve(
    batch: Batch,
    me: Me = "",
    key: Key = _DEFAULT_KEY,
    reason: Reason = "approved",
    gate: Gate = "",
    valid_hours: ValidHours = 24.0,
    yes: Yes = False,
    statement: StatementFile = None,
    signature: SignatureFile = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Approve what a batch waits for, after looking at it."""
    wish = Wish(
        message="approve", decision="approve", me=me, reason=reason, gate=gate, valid_hours=valid_hours
    )
    _decide(batch, wish, key, (statement, signature), yes=yes, as_json=as_json, settings=settings)


def reject(
    batch: Batch,
    me: Me = "",
    key: Key = _DEFAULT_KEY,
    reason: Reason = "rejected",
    gate: Gate = "",
    valid_hours: ValidHours = 24.0,
    yes: Yes = False,
    statement: StatementFile = None,
    signature: SignatureFile = None,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Reject what a batch waits for; one rejection is final for its gate."""
    wish = Wish(message="reject", decision="reject", me=me, reason=reason, gate=gate, valid_hours=valid_hours)
    _decide(batch, wish, key, (statement, signature), yes=yes, as_json=as_json, settings=settings)


def resume(
    batch: Batch,
    me: Me = "",
    key: Key = _DEFAULT_KEY,
    reason: Reason = "goes on",
    yes: Yes = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Approve that a paused batch goes on."""
    wish = Wish(message="resume", decision="approve", me=me, reason=reason, gate="resume")
    _decide(batch, wish, key, (None, None), yes=yes, as_json=as_json, settings=settings)


def abort(
    batch: Batch,
    me: Me = "",
    key: Key = _DEFAULT_KEY,
    reason: Reason = "left early",
    yes: Yes = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Approve that a batch is left early: undone before its first wave.

    After its first wave the active wallets are frozen, and nothing is destroyed.
    """
    wish = Wish(message="abort", decision="approve", me=me, reason=reason, gate="rollback")
    _decide(batch, wish, key, (None, None), yes=yes, as_json=as_json, settings=settings)


def adjudicate(
    batch: Batch,
    hold: Annotated[str, typer.Option("--hold", help="The hold's digest, as `holds` shows it.")],
    decision: Annotated[str, typer.Option("--decision", help="clear or refuse.")],
    me: Me = "",
    key: Key = _DEFAULT_KEY,
    reason: Reason = "looked at",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Decide on one held subject, after looking at `holds`."""
    wish = Wish(message="adjudicate", decision=decision, me=me, reason=reason, gate="hold", digest=hold)
    _decide(batch, wish, key, (None, None), yes=True, as_json=as_json, settings=settings)


def pause(batch: Batch, reason: Reason, as_json: AsJson = False, settings: SettingsFile = None) -> None:
    """Stop a batch before its next shard or wave; anyone may."""
    answer = run(lambda s: s.send(batch, "pause", {"reason": reason}), settings_path=settings)
    _report(answer, as_json=as_json)


def statement(
    batch: Batch,
    me: Me,
    gate: Gate = "",
    decision: Annotated[str, typer.Option("--decision", help="approve or reject.")] = "approve",
    reason: Reason = "signed elsewhere",
    valid_hours: ValidHours = 24.0,
    settings: SettingsFile = None,
) -> None:
    """Print the exact bytes of a statement, to sign them elsewhere.

    ssh-keygen -Y sign -n walletworks-approval -f KEY FILE
    """
    wish = Wish(message=decision, decision=decision, me=me, reason=reason, gate=gate, valid_hours=valid_hours)

    async def work(session: Session) -> str:
        return _statement_text(session, await matter_of(session, batch), wish)

    typer.echo(run(work, settings_path=settings), nl=False)


async def _inbox(session: Session, me: str) -> list[dict[str, Any]]:
    waiting = []
    async for batch in session.client.list_workflows(_WAITING):
        status = await _told_by(session, batch.id)
        if status is None:
            continue
        here = status["waiting_for"] or {}
        for gate in status["gates"]:
            if gate["gate"] != here.get("name") or me in {*gate["approved_by"], status["requested_by"]} - {
                ""
            }:
                continue
            waiting.append(
                {
                    "batch_id": batch.id,
                    "gate": gate["gate"],
                    "digest": gate["digest"],
                    "still_needed": gate["still_needed"],
                    "approved_by": gate["approved_by"],
                    "requested_by": status["requested_by"],
                    "until": gate["until"],
                }
            )
    return waiting


async def _told_by(session: Session, batch: str) -> dict[str, Any] | None:
    """The status of what says it waits, or None when it has gone or is none of ours."""
    try:
        return await session.status(batch)
    except (WorkflowQueryFailedError, CommandError):
        pass
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    errors.print(f"{shown(batch)} does not tell what it waits for, and is left out")
    return None


def _decide(
    batch: str,
    wish: Wish,
    key: Path,
    signed_elsewhere: tuple[Path | None, Path | None],
    *,
    yes: bool,
    as_json: bool,
    settings: Path | None,
) -> None:
    """Shows the matter, signs it, sends it, and ends with REFUSED when it did not count."""
    given = _from_files(*signed_elsewhere)

    async def work(session: Session) -> dict[str, Any]:
        message = given
        if message is None:
            matter = await matter_of(session, batch)
            if not (yes or as_json):
                print_matter(matter)
                if sys.stdin.isatty():
                    typer.confirm(f"Sign {wish.decision}?", abort=True)
            text = _statement_text(session, matter, wish)
            signature = sign(text, key=key, namespace=APPROVAL_NAMESPACE)
            message = {"statement": text, "signature": signature}
        return await session.send(batch, wish.message, message)

    _report(run(work, settings_path=settings), as_json=as_json)


def _from_files(statement: Path | None, signature: Path | None) -> dict[str, str] | None:
    if statement is None and signature is None:
        return None
    if statement is None or signature is None:
        raise CommandError("--statement and --signature belong together", Exit.WRONG_USE)
    try:
        return {
            "statement": statement.read_bytes().decode(),
            "signature": signature.read_text(encoding="utf-8"),
        }
    except (OSError, ValueError) as error:
        raise CommandError("the statement or its signature cannot be read", Exit.WRONG_USE) from error


def _statement_text(session: Session, matter: dict[str, Any], wish: Wish) -> str:
    if not wish.me:
        raise CommandError("say who you are: --as NAME, or WALLETWORKS_AS", Exit.WRONG_USE)
    gate = {"gate": "hold", "digest": wish.digest} if wish.gate == "hold" else gate_to_sign(matter, wish.gate)
    issued_at = datetime.now(UTC)
    try:
        return build_statement(
            deployment=session.settings.deployment,
            tenant=matter["request"]["tenant"],
            batch_id=matter["batch_id"],
            gate=gate["gate"],
            digest=gate["digest"],
            decision=wish.decision,
            approver=wish.me,
            reason=wish.reason,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(hours=wish.valid_hours),
            nonce=secrets.token_urlsafe(24),
        )
    except InvalidRequestError as error:
        raise CommandError(error.message, Exit.WRONG_USE) from error


def _report(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif answer["counted"]:
        gate = f", gate {shown(answer['gate'])}" if answer.get("gate") else ""
        console.print(f"counted{gate}")
        console.print(_what_is_left(answer.get("standing") or {}))
    else:
        raise CommandError(f"refused ({answer['reason_code']}): {answer.get('reason', '')}")
    if not answer["counted"]:
        raise typer.Exit(Exit.REFUSED)


def _what_is_left(standing: dict[str, Any]) -> str:
    if standing.get("rejected_by"):
        return f"the answer is no, by {shown(standing['rejected_by'])}: nothing more is needed at this gate"
    needed = _people(standing.get("still_needed", {}))
    return f"still needed: {shown(needed)}" if needed else "nothing more is needed at this gate"


def _people(roles: dict[str, int]) -> str:
    return ", ".join(f"{count} {role}" for role, count in sorted(roles.items()))
