"""What readers get: the wallet table, the open holds for adjudicators, one subject's story, all on record."""

import csv
import io
import json
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import select

from activities.contracts.reading import ReadBatch, SubjectAccount
from activities.contracts.shapes import Document, batch_chain
from activities.failures import InvalidRequestError, PolicyViolationError
from activities.reading.activities import WALLET_COLUMNS
from activities.reading.log import reads_chain
from activities.store import audit
from activities.store import tables as t
from tests.integration.builders import (
    HELD_EARLY,
    HELD_LATE,
    HELD_REFUSED,
    REFUSED,
    WITHHELD,
    BatchOnRecord,
)
from tests.integration.office import an_office, private_key
from tests.integration.store_fixtures import Databases


@pytest.fixture(scope="module")
def batch(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> BatchOnRecord:
    """A batch that went all the way."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path_factory.mktemp("office")))
    made.complete()
    return made


@pytest.fixture(scope="module")
def waiting(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> BatchOnRecord:
    """A batch with a hold that nobody has settled yet."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path_factory.mktemp("waiting")))
    made.begin()
    made.pass_gate("compliance", made.plan.plan_digest)
    made.screen()
    return made


def ask(made: BatchOnRecord, subject: int | None = None) -> ReadBatch:
    """A reading by an operator."""
    subject_id = "" if subject is None else f"s-{subject}"
    return ReadBatch(
        batch_id=made.batch_id, reader="ops@acme.example", reason="ticket 7", subject_id=subject_id
    )


def content(document: Document) -> bytes:
    """The bytes a document's link leads to."""
    return Path(document.uri.removeprefix("file://")).read_bytes()


def story(made: BatchOnRecord, subject: int) -> SubjectAccount:
    """The account of one subject."""
    return made.reading().explain_subject(ask(made, subject))


def test_the_wallet_table_names_subject_chain_address_and_state(batch: BatchOnRecord) -> None:
    """The table a product team takes away: one line per wallet, in order."""
    document = batch.reading().publish_wallets(ask(batch))
    table = content(document)
    assert table.splitlines()[0] == b"subject_id,chain,address,state"
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert len(rows) == document.rows == 20
    assert document.size == len(table)
    assert rows[0] == {
        "subject_id": "s-0",
        "chain": "bsc",
        "address": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94",
        "state": "active",
    }
    assert {row["state"] for row in rows if row["subject_id"] == f"s-{WITHHELD}"} == {"ready"}
    assert not [row for row in rows if row["subject_id"] in {f"s-{REFUSED}", f"s-{HELD_REFUSED}"}]
    assert tuple(rows[0]) == WALLET_COLUMNS


def test_no_cell_is_run_as_a_formula(databases: Databases, tmp_path: Path) -> None:
    """A subject_id that a spreadsheet would run is quoted for it."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path), scene=False, prefix="-")
    made.complete()
    rows = content(made.reading().publish_wallets(ask(made))).decode().splitlines()
    assert rows[1].startswith("'-0,")


def test_open_holds_reach_those_who_adjudicate_and_nobody_else(waiting: BatchOnRecord) -> None:
    """Name, date of birth, country and hits of the one open hold, encrypted to the officers."""
    document = waiting.reading().publish_holds(ask(waiting))
    sealed = content(document)
    officer = pyrage.ssh.Identity.from_buffer(private_key(waiting.office.compliance))
    holds = json.loads(pyrage.decrypt(sealed, [officer]))
    assert document.rows == 1
    assert holds["batch_id"] == waiting.batch_id
    [hold] = holds["holds"]
    assert hold["ordinal"] == HELD_LATE
    assert hold["subject_id"] == f"s-{HELD_LATE}"
    assert hold["hold_digest"] == waiting.holds[HELD_LATE]
    assert hold["subject"] == {
        "full_name": f"Person Number {HELD_LATE}",
        "date_of_birth": "1990-01-31",
        "country": "SG",
    }
    assert hold["hits"][0]["listed_name"] == f"LISTED PERSON {HELD_LATE}"
    assert b"Person" not in sealed
    for other in (waiting.office.wallets, waiting.office.auditor, waiting.office.requester):
        stranger = pyrage.ssh.Identity.from_buffer(private_key(other))
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(sealed, [stranger])


def test_settled_holds_are_no_longer_listed(batch: BatchOnRecord) -> None:
    """Nobody is shown personal data that there is nothing left to decide on."""
    assert batch.reading().publish_holds(ask(batch)).rows == 0


def test_holds_without_a_reader_are_refused(databases: Databases, tmp_path: Path) -> None:
    """Before a plan names who adjudicates, nothing is written that nobody could read."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path))
    made.claim()
    with pytest.raises(PolicyViolationError, match="nobody who may adjudicate"):
        made.reading().publish_holds(ask(made))


def test_a_held_subject_is_in_review_and_nothing_more_is_told(waiting: BatchOnRecord) -> None:
    """No tipping off: held looks like not screened, and refused names no list and no reason."""
    assert story(waiting, HELD_LATE).screening == "in_review"
    assert story(waiting, REFUSED).screening == "not_eligible"
    assert story(waiting, HELD_REFUSED).screening == "not_eligible"
    assert story(waiting, 0).screening == "clear"
    held, clear = story(waiting, HELD_LATE), story(waiting, 0)
    assert [step.split(" ", 1)[1].replace("5", "0") for step in held.steps] == [
        step.split(" ", 1)[1] for step in clear.steps
    ]
    for account in (held, story(waiting, REFUSED)):
        told = json.dumps([account.screening, account.steps])
        assert not any(word in told for word in ("held", "hold", "hit", "list", "ofac", "0.9"))


def test_a_subjects_story_tells_what_was_done_and_when(batch: BatchOnRecord) -> None:
    """From the request to the end, in order of time, with the wallets as they stand."""
    account = story(batch, HELD_EARLY)
    assert account.screening == "clear"
    assert [wallet["chain"] for wallet in account.wallets] == ["bsc", "ethereum"]
    assert {wallet["state"] for wallet in account.wallets} == {"active"}
    assert account.steps == sorted(account.steps)
    sentences = [step.split(" ", 1)[1] for step in account.steps]
    assert sentences == [
        "The batch was requested.",
        "The subject was taken in as number 2.",
        "The batch was planned and its policy asked.",
        "The subject was screened.",
        "Its addresses were derived.",
        "Its wallets became active in wave 2.",
        "The batch ended: completed_with_exceptions.",
    ]


def test_a_late_and_a_withheld_subject_have_their_own_stories(batch: BatchOnRecord) -> None:
    """Cleared late means wave 3; hit by a later list means in review with a wallet that is not active."""
    late = story(batch, HELD_LATE)
    assert any("wave 3" in step for step in late.steps)
    assert any("derived" in step for step in late.steps)
    withheld = story(batch, WITHHELD)
    assert withheld.screening == "in_review"
    assert {wallet["state"] for wallet in withheld.wallets} == {"ready"}


def test_every_reading_is_on_record_and_moves_no_attested_head(batch: BatchOnRecord) -> None:
    """Who and why stand on the readers' own chain before anything is given out."""
    with batch.provisioning.transaction() as connection:
        before = audit.head(connection, batch_chain(batch.batch_id))
        reads = audit.head(connection, reads_chain(batch.batch_id)).seq
    batch.reading().publish_wallets(ask(batch))
    batch.reading().publish_holds(ask(batch))
    story(batch, 0)
    own = t.audit_entries.c
    with batch.provisioning.transaction() as connection:
        assert audit.head(connection, batch_chain(batch.batch_id)) == before
        bodies = connection.execute(
            select(own.body).where(own.chain == reads_chain(batch.batch_id), own.seq > reads)
        ).scalars()
        entries = [json.loads(body) for body in bodies]
    assert [entry["what"] for entry in entries] == ["wallets", "holds", "subject"]
    assert {(e["kind"], e["reader"], e["reason"]) for e in entries} == {
        ("record.read", "ops@acme.example", "ticket 7")
    }


def test_unknown_batches_and_subjects_are_refused(batch: BatchOnRecord) -> None:
    """The message names the field, never the value."""
    reading = batch.reading()
    nobody = ReadBatch(batch_id="nobodys", reader="ops", reason="why", subject_id="s-0")
    for read in (reading.publish_wallets, reading.publish_holds, reading.explain_subject):
        with pytest.raises(InvalidRequestError, match=r"^InvalidRequestError: batch_id: no such batch$"):
            read(nobody)
    with pytest.raises(InvalidRequestError, match="subject_id: the batch has no such subject"):
        story(batch, 99)


@pytest.mark.parametrize(
    ("reader", "reason"), [("", "why"), ("ops", " "), ("ops", "two\nlines"), ("o" * 501, "why")]
)
def test_a_reading_without_name_or_reason_is_refused(batch: BatchOnRecord, reader: str, reason: str) -> None:
    """Personal data has no anonymous readers."""
    step = ReadBatch(batch_id=batch.batch_id, reader=reader, reason=reason)
    with pytest.raises(InvalidRequestError, match="must be a short line of text"):
        batch.reading().publish_wallets(step)


async def test_a_bundle_is_found_by_the_batch_alone(batch: BatchOnRecord) -> None:
    """The bundle is where the object store keeps it, whatever Temporal still knows of the batch."""
    written, _ = await batch.bundle()
    assert batch.reading().find_bundle(ask(batch)) == written


def test_a_batch_without_a_bundle_is_told_apart(waiting: BatchOnRecord) -> None:
    """Who asks too early learns when the bundle is written."""
    with pytest.raises(InvalidRequestError, match="no bundle yet"):
        waiting.reading().find_bundle(ask(waiting))
