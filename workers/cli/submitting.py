"""`submit`: hashes, uploads, signs and starts a batch; or shows beforehand what would become of it."""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import typer
from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.contracts.compliance import Compliance, PlannedBatch, PreviewPlan
from activities.contracts.intake import InspectedSource, InspectSource, Intake
from activities.contracts.request import parse_request
from activities.contracts.shapes import PROVISIONING_QUEUE
from activities.failures import InvalidRequestError
from activities.trust.request_signing import request_text
from activities.trust.signatures import REQUEST_NAMESPACE
from workers.cli.exits import CommandError, Exit
from workers.cli.options import AsJson, SettingsFile
from workers.cli.output import console, print_json, print_pairs, shown
from workers.cli.session import Session, run
from workers.cli.signing import sign

_BLOCK_BYTES = 1 << 20

_LOOKED_AT_SECONDS = 10
"""How long `submit` waits to hear that a source was refused; a large one is still being read then."""

_POLL_SECONDS = 0.1

SourceFile = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A CSV or JSON lines file of subjects, or a request JSON.",
    ),
]


def submit(
    source: SourceFile,
    tenant: Annotated[str, typer.Option(help="Whose batch it is.")] = "",
    chains: Annotated[str, typer.Option(help="Chains, separated by commas.")] = "",
    batch_id: Annotated[str, typer.Option("--batch-id", help="Default: from the file.")] = "",
    requested_by: Annotated[
        str, typer.Option("--as", envvar="WALLETWORKS_AS", help="Who asks; default: your login.")
    ] = "",
    key: Annotated[
        Path | None, typer.Option("--key", envvar="WALLETWORKS_KEY", help="Signs the request.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="airdrop, campaign, user_import, institutional.")] = "airdrop",
    custody: Annotated[str, typer.Option(help="custodial, self_custody, watch_only.")] = "custodial",
    jurisdiction: Annotated[str, typer.Option(help="Whose policy decides.")] = "default",
    on_bad_rows: Annotated[str, typer.Option("--on-bad-rows", help="refuse or skip.")] = "refuse",
    waves: Annotated[str, typer.Option(help="Rollout in percent, rising to 100: 1,10,50,100.")] = "",
    soak_seconds: Annotated[int, typer.Option("--soak-seconds", help="Between waves.")] = 0,
    approve_from_wave: Annotated[int, typer.Option("--approve-from-wave", help="1 gates every wave.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show rejects, policy outcome, approvers.")
    ] = False,
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Start a batch from a file of subjects."""

    async def work(session: Session) -> None:
        given = _given_request(source)
        request = given or {
            "batch_id": batch_id or _default_batch_id(source),
            "tenant": tenant,
            "requested_by": requested_by or getuser(),
            "purpose": purpose,
            "custody": custody,
            "jurisdiction": jurisdiction,
            "chains": [name.strip() for name in chains.split(",") if name.strip()],
            "source": _upload(session, source),
            "on_bad_rows": on_bad_rows,
        }
        if waves and not given:
            request["rollout"] = _rollout(waves, soak_seconds, approve_from_wave)
        _require_valid(request)
        if key is not None and "signature" not in request:
            request["signature"] = sign(request_text(request), key=key, namespace=REQUEST_NAMESPACE)
        if dry_run:
            await _preview(session, request, as_json=as_json)
        else:
            await _start(session, request, as_json=as_json)

    run(work, settings_path=settings)


def _given_request(source: Path) -> dict[str, Any] | None:
    """A `.json` file is a request as it stands; anything else is a source of subjects."""
    if source.suffix != ".json":
        return None
    try:
        request = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"{source} is not a readable JSON request", Exit.WRONG_USE) from error
    if not isinstance(request, dict):
        raise CommandError(f"{source} must hold one JSON object", Exit.WRONG_USE)
    return request


def _default_batch_id(source: Path) -> str:
    stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in source.stem.lower()).strip("-")
    return f"{stem[:30] or 'batch'}-{_sha256(source)[:8]}"


def _sha256(source: Path) -> str:
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CommandError(f"{source} cannot be read", Exit.WRONG_USE) from error


def _upload(session: Session, source: Path) -> dict[str, str]:
    """Copies the file into the inbox under a name of its content; a half copied one never has that name."""
    digest = _sha256(source)
    name = f"{digest[:16]}{source.suffix or '.csv'}"
    place = session.settings.inbox.path / name
    partial = place.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        with source.open("rb") as reading, partial.open("xb") as writing:
            while block := reading.read(_BLOCK_BYTES):
                writing.write(block)
            writing.flush()
            os.fsync(writing.fileno())
        partial.replace(place)
    except OSError as error:
        raise CommandError(f"the inbox {place.parent} cannot be written", Exit.UNREACHABLE) from error
    return {"uri": f"inbox://{name}", "sha256": digest}


def _rollout(waves: str, soak_seconds: int, approve_from_wave: int) -> dict[str, Any]:
    try:
        percents = [int(part) for part in waves.split(",")]
    except ValueError as error:
        raise CommandError("--waves takes whole percents separated by commas", Exit.WRONG_USE) from error
    rollout: dict[str, Any] = {"waves_percent": percents, "soak_seconds": soak_seconds}
    if approve_from_wave:
        rollout["approve_from_wave"] = approve_from_wave
    return rollout


def _require_valid(request: dict[str, Any]) -> None:
    try:
        parse_request(request)
    except InvalidRequestError as error:
        raise CommandError(error.message) from error


async def _start(session: Session, request: dict[str, Any], *, as_json: bool) -> None:
    batch_id = request["batch_id"]
    try:
        handle = await session.client.start_workflow(
            "ProvisionBatch",
            request,
            id=batch_id,
            task_queue=PROVISIONING_QUEUE,
            static_summary=f"{request['tenant']}: {request['purpose']} on {', '.join(request['chains'])}"[
                :200
            ],
        )
        started, run_id = True, handle.result_run_id
    except WorkflowAlreadyStartedError as error:
        await _require_same(session.batch(batch_id), request)
        started, run_id = False, error.run_id
    outcome = await _outcome_unless_refused(session, batch_id)
    if as_json:
        print_json({"batch_id": batch_id, "run_id": run_id, "started": started, "outcome": outcome})
        return
    stands = "started" if started else "is running already"
    if outcome is not None:
        stands = f"has ended: {shown(outcome)}"
    console.print(f"batch [bold]{shown(batch_id)}[/bold] {stands}")
    console.print(f"watch it:   walletworks watch {shown(batch_id)}")
    if session.settings.temporal.ui:
        place = f"{session.settings.temporal.ui}/namespaces/{session.settings.temporal.namespace}"
        console.print(f"in the UI:  {place}/workflows/{shown(batch_id)}")


async def _outcome_unless_refused(session: Session, batch_id: str) -> str | None:
    """Stays until the batch has looked at its source, where it does so soon; a refusal ends the command.

    Gives the outcome of one that has ended by then: a request that came again is answered from the record.
    """
    with contextlib.suppress(TimeoutError, RPCError):
        async with asyncio.timeout(_LOOKED_AT_SECONDS):
            while True:
                status = await session.status(batch_id)
                if status["stage"] == "ended" and status["outcome"] == "failed":
                    raise CommandError("; ".join(status["reasons"]) or "the batch has failed")
                if status["stage"] == "ended":
                    return str(status["outcome"])
                if status["counts"]["rows"] or status["waiting_for"]:
                    return None
                await asyncio.sleep(_POLL_SECONDS)
    return None


async def _require_same(handle: WorkflowHandle[Any, Any], request: dict[str, Any]) -> None:
    """The same request again is fine; another one under a running id is a conflict, named by its fields."""
    async for event in handle.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        running = json.loads(payloads[0].data) if payloads else {}
        if not isinstance(running, dict) or "request" in running:
            running = running.get("request", {}) if isinstance(running, dict) else {}
        same = running.keys() & request.keys()
        differ = sorted((running.keys() ^ request.keys()) | {n for n in same if running[n] != request[n]})
        if differ:
            raise CommandError(
                f"the batch id runs already with other content; fields that differ: {', '.join(differ)}"
            )
        return


async def _preview(session: Session, request: dict[str, Any], *, as_json: bool) -> None:
    inspected: InspectedSource = await session.ask(Intake.inspect_source, InspectSource(request=request))
    good = inspected.row_count - inspected.bad_row_count
    plan: PlannedBatch = await session.ask(
        Compliance.preview_plan, PreviewPlan(request=request, subject_count=good)
    )
    gates = {name: terms.roles for name, terms in plan.gates.items()}
    if as_json:
        print_json(
            {
                "batch_id": request["batch_id"],
                "rows": inspected.row_count,
                "bad_rows": inspected.bad_row_count,
                "rejects": inspected.rejects.uri if inspected.rejects else None,
                "outcome": plan.outcome,
                "reasons": plan.reasons,
                "approvers_needed": gates,
                "waves_percent": plan.waves_percent,
            }
        )
    else:
        print_pairs(
            f"dry run of {request['batch_id']}, {datetime.now(UTC):%Y-%m-%d}; nothing was started",
            [
                ("rows", f"{inspected.row_count:,}"),
                ("bad rows", f"{inspected.bad_row_count:,}"),
                ("rejects", inspected.rejects.uri if inspected.rejects else "none"),
                ("policy", plan.outcome),
                *[("reason", reason) for reason in plan.reasons],
                *[(f"gate {name}", _people(roles)) for name, roles in gates.items()],
                ("waves", ", ".join(f"{percent} %" for percent in plan.waves_percent)),
            ],
        )
    if plan.outcome == "refused":
        raise typer.Exit(Exit.REFUSED)


def _people(roles: dict[str, int]) -> str:
    return ", ".join(f"{count} {role}" for role, count in roles.items())
