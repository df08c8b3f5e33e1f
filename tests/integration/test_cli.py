"""The command line on a real batch: what scripts and people can rely on."""

import asyncio
import csv
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.cast import AUDITOR, COMPLIANCE, REQUESTER, WALLETS, Member
from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.integration.batch.endings import failure_of
from tests.integration.batch.office import Office
from tests.integration.batch.people import csv_of, people

RUNS = 6


@pytest.fixture(scope="module")
async def office(stack: Stack) -> AsyncIterator[Office]:
    """The people around the batches, with both workers."""
    stage = set_stage(stack)
    stack.start_workers()
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    yield Office(stack=stack, stage=stage, client=client, owner=owner)
    owner.close()
    stack.stop_workers()


async def told(office: Office, member: Member, *command: str, code: int = 0) -> Any:
    """What a command prints with `--json`: one JSON value and nothing else on standard output."""
    done = await office.walletworks(member, *command, "--json")
    assert done.returncode == code, (command, done.stdout, done.stderr)
    return json.loads(done.stdout)


async def submit(office: Office, folder: Path, batch_id: str, *options: str, held: int = 0) -> Any:
    """Submits six people for the requester."""
    source = folder / "people.csv"
    source.write_text(csv_of(people(batch_id, 6, held=held)))
    command = ["submit", str(source), "--tenant", "acme", "--chains", "ethereum,bsc", "--waves", "20,100"]
    return await told(office, REQUESTER, *command, "--batch-id", batch_id, *options)


async def test_batch_from_submit_to_bundle_by_commands_alone(office: Office, tmp_path: Path) -> None:
    """Inbox, a statement signed elsewhere, a signature made here, watch, table and bundle: all by script."""
    batch_id = office.new_id("commands")
    assert (await submit(office, tmp_path, batch_id, "--dry-run"))["outcome"] == "needs_approvals"
    started = await submit(office, tmp_path, batch_id)
    assert (started["batch_id"], started["started"]) == (batch_id, True)
    assert not (await submit(office, tmp_path, batch_id))["started"]
    waiting = await told(office, COMPLIANCE, "watch", batch_id, "--until", "approval")
    assert waiting["waiting_for"]["kind"] == "approval"
    assert await in_inbox(office, COMPLIANCE, batch_id)
    assert not await in_inbox(office, REQUESTER, batch_id)
    await approve_elsewhere(office, tmp_path, batch_id)
    assert not await in_inbox(office, COMPLIANCE, batch_id)
    refused = await told(office, AUDITOR, "approve", batch_id, "--yes", code=1)
    assert (refused["counted"], refused["reason_code"] != "") == (False, True)
    assert (await told(office, WALLETS, "approve", batch_id, "--yes"))["counted"]
    assert (await told(office, REQUESTER, "watch", batch_id))["outcome"] == "completed"
    await require_table(office, batch_id)
    bundle = tmp_path / "bundle.zip"
    assert (await told(office, AUDITOR, "bundle", batch_id, "--out", str(bundle)))["file"] == str(bundle)
    trust = ("--trust", str(office.stage.auditor_trust))
    assert await told(office, AUDITOR, "verify", str(bundle), *trust)
    assert await told(office, AUDITOR, "verify", str(bundle), code=1)


async def in_inbox(office: Office, member: Member, batch_id: str) -> bool:
    """Whether a batch waits for a person, as the person's inbox says."""
    found = await told(office, member, "inbox", "--as", member.name)
    return batch_id in [entry["batch_id"] for entry in found]


async def approve_elsewhere(office: Office, folder: Path, batch_id: str) -> None:
    """Takes the exact bytes to another machine's `ssh-keygen`, and brings the signature back."""
    printed = await office.walletworks(COMPLIANCE, "statement", batch_id, "--as", COMPLIANCE.name)
    statement = folder / "statement.json"
    statement.write_text(printed.stdout)
    key = str(office.stage.key(COMPLIANCE))
    await asyncio.to_thread(
        subprocess.run,
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "walletworks-approval", "-f", key, str(statement)],
        check=True,
        capture_output=True,
    )
    signed = ("--statement", str(statement), "--signature", f"{statement}.sig")
    assert (await told(office, COMPLIANCE, "approve", batch_id, *signed))["counted"]
    again = await told(office, COMPLIANCE, "approve", batch_id, *signed, code=1)
    assert not again["counted"]


async def require_table(office: Office, batch_id: str) -> None:
    """The table is plain CSV under the published header, and the JSON says the same."""
    printed = await office.walletworks(REQUESTER, "wallets", batch_id, "--csv")
    assert printed.stdout.splitlines()[0] == "subject_id,chain,address,state"
    rows = list(csv.DictReader(printed.stdout.splitlines()))
    assert (len(rows), {row["state"] for row in rows}) == (12, {"active"})
    assert rows == await told(office, REQUESTER, "wallets", batch_id)


async def test_batch_with_a_refused_subject_ends_a_watch_with_4(office: Office, tmp_path: Path) -> None:
    """A hold shown to its adjudicator and refused by command: done, with exceptions."""
    batch_id = office.new_id("exceptions")
    await submit(office, tmp_path, batch_id, held=1)
    await office.pass_gate(batch_id, "compliance")
    (hold,) = await office_holds(office, batch_id)
    decision = ("--hold", hold["hold_digest"], "--decision", "refuse", "--reason", "the same person")
    assert (await told(office, COMPLIANCE, "adjudicate", batch_id, *decision))["counted"]
    done = await office.walletworks(REQUESTER, "watch", batch_id)
    assert done.returncode == 4, done.stderr
    assert "completed_with_exceptions" in done.stdout
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout + done.stderr), (
        "control characters in a pipe"
    )


async def office_holds(office: Office, batch_id: str) -> Any:
    """The open holds, once screening has found them."""
    await office.until(batch_id, lambda status: status["counts"]["in_review"] > 0, what="a hold")
    return await told(office, COMPLIANCE, "holds", batch_id)


async def test_exit_codes_do_not_waver(office: Office, tmp_path: Path) -> None:
    """Looks at the same batch, and at one that is not there, end the same way every time."""
    batch_id = office.new_id("steady")
    await submit(office, tmp_path, batch_id)
    known = await asyncio.gather(*[office.walletworks(REQUESTER, "status", batch_id) for _ in range(RUNS)])
    assert {done.returncode for done in known} == {0}
    unknown = await asyncio.gather(*[office.walletworks(REQUESTER, "status", "nobody") for _ in range(4)])
    assert {(done.returncode, done.stdout) for done in unknown} == {(1, "")}
    assert {len(done.stderr.splitlines()) for done in unknown} == {1}


async def test_paused_batch_says_so_until_it_ends(office: Office, tmp_path: Path) -> None:
    """A batch that waits for an approval and is paused shows both; one that has ended is paused no more."""
    batch_id = office.new_id("paused")
    await submit(office, tmp_path, batch_id)
    await told(office, REQUESTER, "watch", batch_id, "--until", "approval")
    assert (await told(office, REQUESTER, "pause", batch_id, "--reason", "look first"))["counted"]
    shown = (await office.walletworks(REQUESTER, "status", batch_id)).stdout
    assert re.search(r"paused +yes.*walletworks resume", shown)
    assert "approval compliance" in shown
    await office.handle(batch_id).cancel()
    await office.until_ended(batch_id)
    ended = (await office.walletworks(REQUESTER, "status", batch_id)).stdout
    assert re.search(r"outcome +cancelled", ended)
    assert "resume" not in ended


async def test_refused_start_under_an_ended_id_hides_no_record(office: Office, tmp_path: Path) -> None:
    """Status tells the batch that has the id and the refusal beside it; the same request again its end."""
    batch_id = office.new_id("hidden")
    await submit(office, tmp_path, batch_id)
    await told(office, REQUESTER, "watch", batch_id, "--until", "approval")
    await office.handle(batch_id).cancel()
    await office.until_ended(batch_id)
    await office.start(office.request(batch_id, purpose="campaign"))
    await office.until(batch_id, lambda status: status["outcome"] == "failed", what="the refusal")
    recorded = await told(office, REQUESTER, "status", batch_id)
    assert (recorded["outcome"], recorded["counts"]["rows"]) == ("cancelled", 6)
    (refusal,) = recorded["reasons"]
    assert refusal.startswith("a later start under this id was refused: the batch id was claimed with other")
    again = await submit(office, tmp_path, batch_id)
    assert again["outcome"] == "cancelled"


async def test_refused_undoing_makes_no_batch_known(office: Office) -> None:
    """An `UndoBatch` of an id that is nobody's fails, and no status is read from it."""
    batch_id = office.new_id("undone")
    undoing = await office.client.start_workflow(
        "UndoBatch", {"batch_id": batch_id}, id=f"undo/{batch_id}", task_queue="provisioning"
    )
    assert (await failure_of(undoing)).message == "no batch of this id is on record"
    done = await office.walletworks(REQUESTER, "status", batch_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such batch" in done.stderr


async def test_request_refused_at_once_is_shown_as_ended_without_a_plan(office: Office) -> None:
    """Who asks what there is to decide is not told to wait for a plan that never comes."""
    batch_id = office.new_id("planless")
    await office.start(office.request(batch_id, chains=["dogecoin"]))
    assert (await told(office, REQUESTER, "watch", batch_id, code=1))["outcome"] == "failed"
    done = await office.walletworks(COMPLIANCE, "show", batch_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().endswith("ended without a plan: `walletworks status` tells why")
