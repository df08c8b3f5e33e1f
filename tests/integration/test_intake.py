"""Intake on the real store and the real key service."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities import merkle
from activities.contracts.batches import RaiseFence
from activities.contracts.intake import InspectSource, StoredSubjects
from activities.contracts.shapes import SLICE_SIZE, BatchStep
from activities.failures import InvalidRequestError, ServiceUnavailableError, StaleFenceError
from activities.personal_data import wrapped_key
from activities.register import BatchRegisterActivities
from infra.devstack import Stack
from tests.integration.intake_room import IntakeRoom, file_of, people, row
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run
from tests.signers import Signer
from tests.trust_room import OPS, STRANGER, trust_text

CHANGED = "source: the file changed since it was inspected"


@pytest.fixture
def room(tmp_path: Path, databases: Databases, stack: Stack) -> IntakeRoom:
    """An inbox of the test's own on the session's servers."""
    return IntakeRoom.made_in(tmp_path, databases, stack, trust_text())


def _slices(room: IntakeRoom, step: BatchStep) -> list[tuple[int, int, int, bytes]]:
    found = run(
        room.database,
        "SELECT slice_index, first_position, row_count, root FROM slices"
        " WHERE batch_no = :batch_no AND stage = 'intake' ORDER BY slice_index",
        batch_no=room.number(step),
    )
    return [(one.slice_index, one.first_position, one.row_count, bytes(one.root)) for one in found]


def _raised(room: IntakeRoom, step: BatchStep) -> BatchStep:
    register = BatchRegisterActivities(database=room.database)
    raised = register.raise_fence(RaiseFence(batch_id=step.batch_id, fence=step.fence, reason="aborted"))
    return replace(step, fence=raised.fence)


def test_every_row_is_stored_sealed_in_the_files_order(room: IntakeRoom) -> None:
    """Rows open to what the file says, leaves fit their rows, and slice roots fit the leaves."""
    step = room.claimed(people(2500))
    assert room.intake().store_subjects(step) == StoredSubjects(subject_count=2500, slice_count=3)
    opened = room.opened(step)
    assert [fields["subject_id"] for fields in opened] == [f"s-{number}" for number in range(2500)]
    assert opened[7]["full_name"] == "Ana Pérez"
    leaves = [bytes(subject.leaf) for subject in room.subjects(step)]
    slices = _slices(room, step)
    assert [found[:3] for found in slices] == [(0, 0, 1024), (1, 1024, 1024), (2, 2048, 452)]
    assert [found[3] for found in slices] == [
        merkle.root(leaves[first : first + SLICE_SIZE]) for first in (0, 1024, 2048)
    ]
    assert len({subject.salt for subject in room.subjects(step)}) == 2500


def test_every_slice_has_its_intent_before_its_outcome(room: IntakeRoom) -> None:
    """The audit log tells of each slice before and after, with its root and no personal data."""
    step = room.stored(people(1500))
    intents, outcomes = room.audit(step, "slice.intent"), room.audit(step, "slice.outcome")
    assert [entry["slice_index"] for entry in intents] == [0, 1]
    assert [(entry["slice_index"], entry["row_count"]) for entry in outcomes] == [(0, 1024), (1, 476)]
    assert [entry["root"] for entry in outcomes] == [found[3].hex() for found in _slices(room, step)]
    assert "Ana" not in json.dumps(intents + outcomes)


def test_storing_again_changes_nothing(room: IntakeRoom) -> None:
    """A second run finds all slices and gives the same answer, under the same data key."""
    step = room.stored(people(1500))
    before = (room.subjects(step), room.audit(step, "slice.outcome"))
    assert room.intake().store_subjects(step) == StoredSubjects(subject_count=1500, slice_count=2)
    assert (room.subjects(step), room.audit(step, "slice.outcome")) == before


def test_nothing_of_a_person_stands_in_clear(room: IntakeRoom) -> None:
    """Names, dates, countries and KYC references are in no column of any table."""
    step = room.stored([row("s-1", name="Canaria Kanarek", kyc="canary-kyc")])
    tables = run(
        room.database, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    for table in (found.table_name for found in tables):
        if table == "keyrings":
            continue
        rows = run(room.database, f'SELECT t::text AS content FROM "{table}" t')  # noqa: S608 - names from the catalogue
        for found in rows:
            content = found.content.lower()
            assert "canari" not in content
            assert b"Canari".hex() not in content
            assert b"canary-kyc".hex() not in content
    assert room.opened(step)[0]["kyc_reference"] == "canary-kyc"


@pytest.mark.parametrize("stall_after", [4096, 100_000, 150_000])
def test_a_killed_worker_leaves_whole_slices_and_the_next_goes_on(
    room: IntakeRoom, databases: Databases, stall_after: int
) -> None:
    """After kill -9 in the middle of a file, what was committed stays and the rest follows, each row once."""
    step = room.claimed(people(5000))
    given = {
        "folder": str(room.folder),
        "database_url": databases.url("walletworks_provisioning"),
        "key_service": room.key_service,
        "token_file": str(room.token_file),
        "stall_after": stall_after,
        "batch_id": step.batch_id,
        "fence": step.fence,
    }
    command = [sys.executable, "-m", "tests.integration.intake_process", json.dumps(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
        process.kill()
    before = room.subjects(step)
    assert len(before) % SLICE_SIZE == 0
    assert len(before) < 5000
    assert len(before) > 0 or stall_after < 100_000
    assert room.intake().store_subjects(step) == StoredSubjects(subject_count=5000, slice_count=5)
    after = room.subjects(step)
    assert after[: len(before)] == before
    assert [subject.subject_id for subject in after] == [f"s-{number}" for number in range(5000)]
    assert [entry["slice_index"] for entry in room.audit(step, "slice.outcome")] == [0, 1, 2, 3, 4]
    assert len(room.opened(step)) == 5000


def test_attempts_at_the_same_time_store_each_row_once(room: IntakeRoom) -> None:
    """A late attempt and its successor share the work: every slice has one outcome."""
    step = room.claimed(people(5000))
    with ThreadPoolExecutor(3) as pool:
        answers = [
            done.result() for done in [pool.submit(room.intake().store_subjects, step) for _ in range(3)]
        ]
    assert answers == [StoredSubjects(subject_count=5000, slice_count=5)] * 3
    assert [fields["subject_id"] for fields in room.opened(step)] == [f"s-{number}" for number in range(5000)]
    assert [entry["slice_index"] for entry in room.audit(step, "slice.outcome")] == [0, 1, 2, 3, 4]


def test_a_stale_fence_stores_nothing(room: IntakeRoom) -> None:
    """Once the fence is raised, a zombie attempt changes nothing."""
    step = room.claimed(people(10))
    _raised(room, step)
    with pytest.raises(StaleFenceError):
        room.intake().store_subjects(step)
    assert room.subjects(step) == []


@pytest.mark.parametrize(
    "changed",
    [
        people(1500)[:-1],
        [*people(1500), row("s-new")],
        [*people(1499), row("s-1499", kyc="another")],
        [row("s-0", country="US"), *people(1500)[1:]],
        [*people(1500), row("s-7")],
        [*people(1499), "rubbish"],
        [],
    ],
    ids=["shorter", "longer", "last row", "first row", "repeats", "bad row", "none"],
)
def test_a_file_that_changed_since_its_inspection_is_refused(room: IntakeRoom, changed: list[str]) -> None:
    """Whatever changed in the file, storing ends with a refusal and its undoing leaves nothing."""
    step = room.claimed(people(1500))
    room.put(file_of(changed), f"{step.batch_id}.csv")
    with pytest.raises(InvalidRequestError, match=CHANGED):
        room.intake().store_subjects(step)
    room.intake().undo_intake(_raised(room, step))
    assert room.subjects(step) == []


def test_a_file_that_grew_between_two_attempts_is_refused(room: IntakeRoom) -> None:
    """A stored last slice is not added to."""
    step = room.stored(people(1500))
    room.put(file_of([*people(1500), row("s-new")]), f"{step.batch_id}.csv")
    with pytest.raises(InvalidRequestError, match=CHANGED):
        room.intake().store_subjects(step)
    assert len(room.subjects(step)) == 1500


def test_a_file_removed_after_its_inspection_is_refused(room: IntakeRoom) -> None:
    """A missing file is named as such."""
    step = room.claimed(people(3))
    (room.folder / "inbox" / f"{step.batch_id}.csv").unlink()
    with pytest.raises(InvalidRequestError, match=r"source.uri: no file of that name is in the inbox"):
        room.intake().store_subjects(step)


def test_skipped_rows_are_left_out_and_the_counts_agree(room: IntakeRoom) -> None:
    """Bad and repeated rows, also across slices, are left out; inspection and storing count the same."""
    good = people(2500)
    rows = [*good[:10], "rubbish", good[3], *good[10:], row("bad id"), good[5], good[2499]]
    request = room.request(file_of(rows), on_bad_rows="skip")
    found = room.intake().inspect_source(InspectSource(request=request))
    assert (found.row_count, found.bad_row_count) == (2505, 5)
    step = room.claimed(rows, on_bad_rows="skip")
    assert room.intake().store_subjects(step) == StoredSubjects(subject_count=2500, slice_count=3)
    assert [subject.subject_id for subject in room.subjects(step)] == [
        f"s-{number}" for number in range(2500)
    ]
    assert room.intake().store_subjects(step) == StoredSubjects(subject_count=2500, slice_count=3)


def test_undoing_removes_the_subjects_once(room: IntakeRoom) -> None:
    """Subjects of a batch that was never planned go; a second undoing finds nothing, and adds no record."""
    step = room.stored(people(1500))
    raised = _raised(room, step)
    assert room.intake().undo_intake(raised).counts == {"subjects_removed": 1500}
    assert room.intake().undo_intake(raised).counts == {"subjects_removed": 0}
    assert room.subjects(step) == []
    removed = [entry["counts"]["subjects_removed"] for entry in room.audit(step, "undo.intake")]
    assert removed == [1500]


def test_undoing_keeps_the_sealed_rows_of_a_planned_batch(room: IntakeRoom) -> None:
    """What was planned can be explained later: its rows stay, sealed."""
    step = room.stored(people(3))
    room.compliance.plan_batch(step)
    assert room.intake().undo_intake(_raised(room, step)).counts == {"subjects_removed": 0}
    assert len(room.subjects(step)) == 3
    assert [entry["counts"] for entry in room.audit(step, "undo.intake")] == [{"subjects_removed": 0}]


def test_undoing_under_the_old_fence_changes_nothing(room: IntakeRoom) -> None:
    """Only the fence that undoing raised may remove rows."""
    step = room.stored(people(3))
    _raised(room, step)
    with pytest.raises(StaleFenceError):
        room.intake().undo_intake(step)
    assert len(room.subjects(step)) == 3


def test_a_sealed_key_service_is_waited_for(room: IntakeRoom, stack: Stack) -> None:
    """Nothing is stored while the key service is away, and the next attempt goes on by itself."""
    step = room.claimed(people(3))
    stack.seal()
    try:
        with pytest.raises(ServiceUnavailableError, match="key service"):
            room.intake().store_subjects(step)
    finally:
        stack.unseal()
    assert room.subjects(step) == []
    assert room.intake().store_subjects(step).subject_count == 3


def test_one_batchs_data_key_opens_nothing_of_another(room: IntakeRoom) -> None:
    """A data key stored under the wrong batch does not unwrap: its context is another."""
    first, second = room.stored(people(1)), room.stored(people(1))
    with room.database.transaction() as connection:
        wrapped = wrapped_key(connection, room.number(first))
    assert wrapped is not None
    with pytest.raises(Exception, match="key service does not hold this key, or what it wrapped was changed"):
        replace(wrapped, batch_id=second.batch_id).opened_by(room.vault)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jurisdiction": "XX"}, "jurisdiction: must be one of"),
        ({"jurisdiction": "sg"}, "jurisdiction: must be one of"),
        ({"custody": "watch_only"}, "custody: not offered yet"),
        ({"custody": "self_custody"}, "custody: not offered yet"),
        ({"chains": ["dogecoin"]}, "chains: must be among"),
        ({"source": {"uri": "s3://bucket/key", "sha256": "0" * 64}}, "source.uri: s3 is not configured"),
        (
            {"source": {"uri": "inbox://../trust.toml", "sha256": "0" * 64}},
            "source.uri: names a place outside",
        ),
        ({"source": {"uri": "inbox://none.csv", "sha256": "0" * 64}}, "source.uri: no file of that name"),
        ({"signature": "rubbish"}, "signature: "),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_field(
    room: IntakeRoom, changes: dict[str, Any], message: str
) -> None:
    """Each refusal names the field and the reason before anything is claimed."""
    request = room.request(file_of(people(2)), **changes)
    with pytest.raises(InvalidRequestError, match=message):
        room.intake().inspect_source(InspectSource(request=request))


@pytest.mark.parametrize("signer", [STRANGER, Signer(name="ops@acme.example")])
def test_a_signature_by_somebody_else_is_refused(room: IntakeRoom, signer: Signer) -> None:
    """A request signed by a key that is not the requester's is worse than an unsigned one."""
    request = room.request(file_of(people(2)), signer=signer)
    with pytest.raises(InvalidRequestError, match="signature: "):
        room.intake().inspect_source(InspectSource(request=request))


def test_a_signed_request_changed_afterwards_is_refused(room: IntakeRoom) -> None:
    """The signature covers the whole request."""
    request = room.request(file_of(people(2)), signer=OPS)
    assert room.intake().inspect_source(InspectSource(request=request)).row_count == 2
    with pytest.raises(InvalidRequestError, match="signature: "):
        room.intake().inspect_source(InspectSource(request={**request, "purpose": "airdrop"}))


def test_a_file_exchanged_for_one_attempt_and_put_back_is_found(room: IntakeRoom) -> None:
    """Slices stored from other bytes than the pinned file's never become part of a plan."""
    rows = people(1500)
    step = room.claimed(rows)
    name = f"{step.batch_id}.csv"
    room.put(file_of([row("s-0", name="Eva Pérez", kyc="kyc-0"), *rows[1:]]), name)
    with pytest.raises(InvalidRequestError, match=CHANGED):
        room.intake().store_subjects(step)
    room.put(file_of(rows), name)
    with pytest.raises(InvalidRequestError, match=CHANGED):
        room.intake().store_subjects(step)
