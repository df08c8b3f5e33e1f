"""Services and lists that are away: a batch waits, says for what, and goes on when they are back."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.exceptions import CancelledError

from infra.demo.cast import COMPLIANCE
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failed_with
from tests.integration.batch.office import Json, Office, all_of, waits_at
from tests.integration.batch.test_left_early import ALL_GATES

GATED_WAVES: Json = {"waves_percent": [20, 100], "soak_seconds": 0, "approve_from_wave": 2}


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """A file with other content for a while."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A file or folder that is not there for a while."""
    hidden = path.with_name(f".{path.name}.away")
    path.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(path)


@contextmanager
def cut_short(folder: Path) -> Iterator[None]:
    """OFAC's list without its end, vouched for by a sidecar that was made from the cut file."""
    whole = (folder / "sdn.csv").read_bytes()
    cut = whole[: whole.rindex(b"\n", 0, -10) + 1]
    stated = json.loads((folder / "provenance.json").read_bytes())
    stated["sha256"]["sdn.csv"] = hashlib.sha256(cut).hexdigest()
    with changed(folder / "sdn.csv", cut), changed(folder / "provenance.json", json.dumps(stated).encode()):
        yield


async def test_list_that_cannot_be_believed_is_waited_for(office: Office) -> None:
    """Truncated, malformed, missing: the batch waits and names the list; repaired, it goes on by itself."""
    ofac, un = office.new_id("ofac"), office.new_id("un")
    office.write_policy("OFAC", lists=["ofac-sdn"])
    office.write_policy("UN", lists=["un-consolidated"])
    for batch_id, jurisdiction in ((ofac, "OFAC"), (un, "UN")):
        await office.start(office.request(batch_id, jurisdiction=jurisdiction, rollout=GATED_WAVES))
        await office.at_gate(batch_id, "compliance")
    folder = office.lists / "ofac-sdn"
    with cut_short(folder), changed(office.lists / "un-consolidated/consolidated.xml", b"<CONSOLIDATED_LIST"):
        await all_of(*(office.pass_gate(batch_id, "compliance") for batch_id in (ofac, un)))
        seen = await all_of(
            office.until_waiting_for(ofac, "list ofac-sdn ("),
            office.until_waiting_for(un, "list un-consolidated ("),
        )
        assert "its end mark is missing" in seen[0]["waiting_for"]["name"]
        listed = await office.temporal("workflow", "list", "--query", 'BatchWaitingFor = "service"')
        assert (ofac in listed.stdout, un in listed.stdout) == (True, True)
        assert not any(_verdicts(office, batch_id) for batch_id in (ofac, un))
    await all_of(*(office.at_gate(batch_id, "wave/2") for batch_id in (ofac, un)))
    with away(folder):
        await office.pass_gate(ofac, "wave/2")
        waiting = (await office.until_waiting_for(ofac, "list ofac-sdn"))["waiting_for"]["name"]
        assert "missing" in waiting
        assert office.states(ofac) == {"active": 1, "ready": 4}
    await office.pass_gate(un, "wave/2")
    await all_of(*(require_end(office, batch_id, "completed") for batch_id in (ofac, un)))


def _verdicts(office: Office, batch_id: str) -> int:
    found = office.rows(
        "SELECT 1 FROM verdicts JOIN batches USING (batch_no) WHERE batch_id = :id", id=batch_id
    )
    return len(found)


async def test_sealed_key_service_and_inbox_away_are_waited_for(office: Office) -> None:
    """Sealed in the middle the batch waits for the key service; unsealed, it goes on.

    A batch whose inbox is away waits too; cancelled before it was claimed, it leaves nothing behind.
    """
    sealed, unread = office.new_id("sealed"), office.new_id("unread")
    await office.start(office.request(sealed, **ALL_GATES))
    await office.pass_gate(sealed, "compliance")
    await office.at_gate(sealed, "issuance")
    request = office.request(unread)
    office.stack.seal()
    try:
        with away(office.inbox):
            await office.start(request)
            await office.pass_gate(sealed, "issuance")
            await all_of(
                office.until_waiting_for(sealed, "key service"), office.until_waiting_for(unread, "inbox")
            )
            await office.handle(unread).cancel()
            assert isinstance(await failed_with(office.handle(unread)), CancelledError)
        assert (office.states(sealed), office.accounts(sealed)) == ({}, [])
    finally:
        office.stack.unseal()
    await office.pass_gates(sealed, "wave/1", "wave/2")
    await require_end(office, sealed, "completed")
    assert office.rows("SELECT 1 FROM batches WHERE batch_id = :id", id=unread) == []


async def test_database_killed_and_brought_back_is_waited_for(office: Office) -> None:
    """A batch between its waves and a decision on its way wait for the database; a question is given up."""
    soaking, deciding = office.new_id("soaking"), office.new_id("deciding")
    soak = {"waves_percent": [20, 100], "soak_seconds": 2}
    await all_of(office.start(office.request(soaking, rollout=soak)), office.start(office.request(deciding)))
    gate = await office.at_gate(deciding, "compliance")
    await office.pass_gate(soaking, "compliance")
    await office.until(soaking, lambda status: waits_at(status, "wave/1"), what="its first soak")
    office.stack.kill("postgres")
    try:
        decision = asyncio.create_task(office.decide(deciding, gate, COMPLIANCE))
        asked, *_ = await all_of(
            office.walletworks(COMPLIANCE, "wallets", soaking),
            *(office.until_waiting_for(batch_id, "database") for batch_id in (soaking, deciding)),
        )
        assert (asked.returncode, "database could not be reached" in asked.stderr) == (3, True), asked
        assert not decision.done()
    finally:
        await asyncio.to_thread(office.stack.start_server, "postgres")
    assert (await decision)["counted"]
    await office.pass_gate(deciding, "compliance")
    await all_of(*(require_end(office, batch_id, "completed") for batch_id in (soaking, deciding)))
