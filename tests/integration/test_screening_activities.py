"""Screening on the real store and key service, with small lists in the authority's own format."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities import merkle
from activities.contracts.screening import ApplyListChanges, SealedEvidence
from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, TrancheStep, Undone, shard_chain
from activities.failures import (
    IntegrityError,
    PolicyViolationError,
    ServiceUnavailableError,
    StaleFenceError,
)
from activities.personal_data import VERDICT_GROUP, wrapped_key
from activities.screening.activities import ScreeningActivities
from activities.store.locks import lock
from infra.devstack import Stack
from tests.integration.intake_room import IntakeRoom, people, row
from tests.integration.list_files import OFAC, write_ofac
from tests.integration.one_at_a_time import all_behind
from tests.integration.store_fixtures import Cluster, Databases, new_databases
from tests.integration.store_rows import run, some_wallets
from tests.trust_room import OPS, trust_text

LISTED = {1: "DOE, John", 2: "ROE, Richard"}


@dataclass(kw_only=True)
class Room:
    """A batch's way through screening."""

    intake: IntakeRoom
    databases: Databases
    lists: Path
    activities: ScreeningActivities = field(init=False)

    def __post_init__(self) -> None:
        self.activities = self.fresh()

    def fresh(self) -> ScreeningActivities:
        """The activities of another process: nothing is prepared in it yet."""
        return ScreeningActivities(
            database=self.databases.provisioning,
            vault=self.intake.vault,
            object_store=self.intake.objects,
            lists_folder=self.lists,
        )

    def planned(self, rows: list[str]) -> BatchStep:
        """A planned batch of these rows."""
        step = self.intake.stored(rows, signer=OPS)
        self.intake.compliance.plan_batch(step)
        return step

    def pinned(self, rows: list[str]) -> BatchStep:
        """A planned batch with its lists pinned."""
        step = self.planned(rows)
        self.activities.pin_lists(step)
        return step

    def screened(self, rows: list[str]) -> BatchStep:
        """A batch of up to one slice with its verdicts."""
        step = self.pinned(rows)
        self.activities.screen_slice(slice_of(step, length=len(rows)))
        return step

    def sealed(self, step: BatchStep, tranche: int = 0) -> SealedEvidence:
        """The evidence of a tranche."""
        return self.activities.seal_evidence(
            TrancheStep(batch_id=step.batch_id, fence=step.fence, tranche=tranche)
        )

    def rows(self, statement: str, step: BatchStep) -> list[Any]:
        """The rows a statement finds for the batch's number."""
        return run(self.databases.provisioning, statement, batch_no=self.intake.number(step))

    def verdicts(self, step: BatchStep) -> list[Any]:
        """The verdicts by ordinal."""
        return self.rows("SELECT * FROM verdicts WHERE batch_no = :batch_no ORDER BY ordinal", step)

    def settle(self, step: BatchStep, ordinal: int, decision: str) -> None:
        """Settles a hold as counted decisions do."""
        run(
            self.databases.provisioning,
            "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision)"
            " SELECT batch_no, ordinal, hold_digest, :decision FROM verdicts"
            " WHERE batch_no = :batch_no AND ordinal = :ordinal",
            batch_no=self.intake.number(step),
            ordinal=ordinal,
            decision=decision,
        )

    def opened_detail(self, step: BatchStep, ordinal: int, sealed: bytes) -> dict[str, Any]:
        """What is kept, sealed, of a finding."""
        with self.databases.provisioning.transaction() as connection:
            wrapped = wrapped_key(connection, self.intake.number(step))
        assert wrapped is not None
        vault, salt = self.intake.vault, self.intake.subjects(step)[ordinal].salt
        key = wrapped.opened_by(vault)
        return vault.open(key, salt=salt, ordinal=ordinal, group=VERDICT_GROUP, sealed=sealed)


@pytest.fixture
def room(tmp_path: Path, cluster: Cluster, migrated_template: str, stack: Stack) -> Iterator[Room]:
    """A database of the test's own: what lists were accepted before matters to the next."""
    with new_databases(cluster, migrated_template) as databases:
        intake = IntakeRoom.made_in(tmp_path, databases, stack, trust_text())
        policy = tmp_path / "policies" / "SG.toml"
        text = policy.read_text(encoding="utf-8")
        assert '"ofac-sdn", "un-consolidated"' in text
        policy.write_text(text.replace('"ofac-sdn", "un-consolidated"', '"ofac-sdn"'), encoding="utf-8")
        write_ofac(tmp_path / "lists", LISTED)
        yield Room(intake=intake, databases=databases, lists=tmp_path / "lists")


def slice_of(step: BatchStep, *, length: int, offset: int = 0, index: int = 0) -> SliceStep:
    """One slice of the screening stage."""
    return SliceStep(
        batch_id=step.batch_id,
        fence=step.fence,
        tranche=0,
        slice_index=index,
        offset=offset,
        length=length,
        audit_chain=shard_chain(step.batch_id, "screen", 0),
    )


def changes_before(step: BatchStep, wave: int) -> ApplyListChanges:
    """The look at the lists before a wave."""
    return ApplyListChanges(batch_id=step.batch_id, fence=step.fence, tranche=0, wave=wave)


MIXED = [
    row("clear", name="Ana Pérez"),
    row("exact", name="John Doe"),
    row("near", name="Richard Rowe"),
    row("other", name="Mei Tan"),
]


def test_slice_is_recorded_on_a_chain_of_its_own_batch(room: Room) -> None:
    """No task makes the chain of another batch longer."""
    step = room.planned(people(1))
    room.activities.pin_lists(step)
    with pytest.raises(PolicyViolationError, match="audit chain"):
        room.activities.screen_slice(
            replace(slice_of(step, length=1), audit_chain=shard_chain("victim", "screen", 0))
        )
    assert room.activities.screen_slice(slice_of(step, length=1)).row_count == 1


def test_lists_are_pinned_once_and_archived(room: Room) -> None:
    """A batch keeps the lists it pinned first, and their exact bytes stay in the archive."""
    step = room.planned(people(1))
    first = room.activities.pin_lists(step)
    write_ofac(room.lists, {**LISTED, 3: "MUSTERMANN, Max"})
    assert room.activities.pin_lists(step) == first
    files = [
        room.intake.objects.get(f"lists/{OFAC}/{first.digests[OFAC]}/{n}") for n in ("sdn.csv", "alt.csv")
    ]
    assert hashlib.sha256(b"".join(files)).hexdigest() == first.digests[OFAC]
    assert len(room.intake.audit(step, "lists.pinned")) == 1


def _remove(target: Path) -> None:
    (target / "sdn.csv").unlink()


def _truncate(target: Path) -> None:
    content = (target / "sdn.csv").read_bytes()
    (target / "sdn.csv").write_bytes(content[: len(content) // 2])


def _malform(target: Path) -> None:
    (target / "provenance.json").write_text("{")


def _age(target: Path) -> None:
    write_ofac(target.parent, LISTED, published_on=datetime.now(tz=UTC).date() - timedelta(days=400))


def _date_ahead(target: Path) -> None:
    write_ofac(target.parent, LISTED, published_on=datetime.now(tz=UTC).date() + timedelta(days=9))


@pytest.mark.parametrize("spoil", [_remove, _truncate, _malform, _age, _date_ahead])
def test_list_that_may_not_be_believed_is_waited_for(room: Room, spoil: Any) -> None:
    """A list missing, cut short, malformed, stale or dated ahead is never read as clear."""
    step = room.planned(people(1))
    spoil(room.lists / OFAC)
    with pytest.raises(ServiceUnavailableError, match="list ofac-sdn"):
        room.activities.pin_lists(step)
    assert room.rows("SELECT * FROM batch_lists WHERE batch_no = :batch_no", step) == []
    write_ofac(room.lists, LISTED)
    assert OFAC in room.activities.pin_lists(step).digests


def test_list_that_shrank_too_far_is_waited_for(room: Room) -> None:
    """A new edition may not lack more entries than the policy's share."""
    write_ofac(room.lists, {number: f"PERSON, Number{number}" for number in range(1, 101)})
    room.pinned(people(1))
    write_ofac(room.lists, {number: f"PERSON, Number{number}" for number in range(1, 90)})
    step = room.planned(people(1))
    with pytest.raises(ServiceUnavailableError, match="shrank"):
        room.activities.pin_lists(step)
    write_ofac(room.lists, {number: f"PERSON, Number{number}" for number in range(1, 100)})
    assert room.activities.pin_lists(step).digests


def test_unchanged_bytes_stay_fresh_while_the_authority_restates_them(room: Room) -> None:
    """A list whose bytes did not change is fresh as long as its sidecar says so."""
    old = datetime.now(tz=UTC).date() - timedelta(days=29)
    write_ofac(room.lists, LISTED, published_on=old)
    room.pinned(people(1))
    run(
        room.databases.owner,
        "ALTER TABLE list_versions DISABLE TRIGGER USER",
    )
    run(room.databases.owner, "UPDATE list_versions SET published_on = '2001-01-01'")
    step = room.planned(people(1))
    assert room.activities.pin_lists(step).digests


def test_slice_gets_its_verdicts_with_sealed_findings(room: Room) -> None:
    """Exact and similar names are held with what explains them sealed; nothing is kept of the clear."""
    step = room.pinned(MIXED)
    result = room.activities.screen_slice(slice_of(step, length=4))
    found = room.verdicts(step)
    assert [verdict.verdict for verdict in found] == ["clear", "held", "held", "clear"]
    assert (result.row_count, result.counts) == (4, {"clear": 2, "held": 2, "refused": 0})
    assert result.root == merkle.root(bytes(verdict.leaf) for verdict in found).hex()
    assert found[0].sealed_detail is None
    assert b"Doe" not in found[1].sealed_detail
    detail = room.opened_detail(step, 1, found[1].sealed_detail)
    assert detail["compared"]["full_name"] == "John Doe"
    assert (
        detail["hits"][0] | {"listed_name": "DOE, John", "exact": True, "entry_id": "1"} == detail["hits"][0]
    )


def test_screening_uses_the_pinned_bytes_whatever_the_folder_says(room: Room) -> None:
    """A folder that changes after pinning changes no verdict."""
    step = room.pinned(MIXED)
    write_ofac(room.lists, {9: "MUSTERMANN, Max"})
    result = room.fresh().screen_slice(slice_of(step, length=4))
    assert result.counts["held"] == 2


def test_second_run_of_a_slice_finds_the_first(room: Room) -> None:
    """A retried slice returns what was recorded and writes nothing."""
    step = room.pinned(MIXED)
    first = room.activities.screen_slice(slice_of(step, length=4))
    before = room.verdicts(step)
    assert room.fresh().screen_slice(slice_of(step, length=4)) == first
    assert room.verdicts(step) == before
    outcomes = outcomes_of(room, step)
    assert [(entry["stage"], entry["root"], entry["row_count"]) for entry in outcomes] == [
        ("screen", first.root, 4)
    ]


def outcomes_of(room: Room, step: BatchStep) -> list[dict[str, Any]]:
    """The outcomes on the slice's audit chain."""
    found = run(
        room.databases.provisioning,
        "SELECT body FROM audit_entries WHERE chain = :chain ORDER BY seq",
        chain=shard_chain(step.batch_id, "screen", 0),
    )
    return [
        entry for entry in map(json.loads, (row.body for row in found)) if entry["kind"] == "slice.outcome"
    ]


def test_attempts_at_one_slice_at_once_write_it_once(room: Room) -> None:
    """Two attempts that overlap agree on one result."""
    step = room.pinned(people(50))
    start = threading.Barrier(3)

    def attempt() -> SliceResult:
        start.wait()
        return room.activities.screen_slice(slice_of(step, length=50))

    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(attempt) for _ in range(3)]]
    assert results[0] == results[1] == results[2]
    assert len(room.verdicts(step)) == 50
    assert len(outcomes_of(room, step)) == 1


def test_stale_fence_changes_nothing(room: Room) -> None:
    """No effect of screening happens under an old fence."""
    step = room.screened(MIXED)
    run(
        room.databases.provisioning,
        "UPDATE batches SET fence = fence + 1 WHERE batch_id = :id",
        id=step.batch_id,
    )
    now = BatchStep(batch_id=step.batch_id, fence=step.fence + 1)
    calls = (
        lambda: room.activities.pin_lists(step),
        lambda: room.activities.screen_slice(slice_of(step, length=4)),
        lambda: room.sealed(step),
        lambda: room.activities.apply_list_changes(changes_before(step, 1)),
        lambda: room.activities.undo_screening(step),
    )
    for call in calls:
        with pytest.raises(StaleFenceError):
            call()
    assert room.rows("SELECT * FROM evidence WHERE batch_no = :batch_no", now) == []
    assert room.rows("SELECT * FROM adjudications WHERE batch_no = :batch_no", now) == []


def test_row_swapped_in_the_store_is_found(room: Room) -> None:
    """A row that is not the one of its manifest leaf is not screened in its place."""
    step = room.pinned(MIXED)
    number = room.intake.number(step)
    run(room.databases.owner, "ALTER TABLE subjects DISABLE TRIGGER USER")
    run(
        room.databases.owner,
        "UPDATE subjects SET leaf = sha256('x') WHERE batch_no = :no AND ordinal = 1",
        no=number,
    )
    with pytest.raises(IntegrityError):
        room.activities.screen_slice(slice_of(step, length=4))
    assert room.verdicts(step) == []


def test_evidence_is_sealed_over_verdicts_lists_and_decisions(room: Room) -> None:
    """The evidence digest is that of the published document, with decisions made in time taken in."""
    step = room.screened(MIXED)
    room.settle(step, 1, "clear")
    sealed = room.sealed(step)
    content = room.intake.objects.get(sealed.documents["evidence"].uri)
    assert hashlib.sha256(content).hexdigest() == sealed.evidence_digest
    document = json.loads(content)
    assert document["counts"] == {"clear": 2, "cleared": 1, "held": 1, "refused": 0} == sealed.counts
    assert document["list_digests"] == room.activities.pin_lists(step).digests
    leaves = [bytes(verdict.leaf) for verdict in room.verdicts(step)]
    assert document["verdict_root"] == merkle.root(leaves).hex()
    assert room.intake.audit(step, "evidence.sealed")[0]["evidence_digest"] == sealed.evidence_digest


def test_sealed_evidence_does_not_change(room: Room) -> None:
    """A decision after sealing waits for the late tranche; the sealed evidence stays as it is."""
    step = room.screened(MIXED)
    first = room.sealed(step)
    room.settle(step, 1, "clear")
    room.settle(step, 2, "refuse")
    assert room.sealed(step) == first
    late = room.sealed(step, tranche=1)
    assert late.counts == {"cleared": 1, "refused": 1}
    assert late.verdict_root == first.verdict_root
    assert late.evidence_digest != first.evidence_digest
    assert room.sealed(step, tranche=1) == late
    assert len(room.intake.audit(step, "evidence.sealed")) == 2


def test_evidence_is_not_sealed_before_every_slice_has_verdicts(room: Room) -> None:
    """Evidence over a part of the batch is refused."""
    step = room.pinned(people(1030))
    room.activities.screen_slice(slice_of(step, length=1024))
    with pytest.raises(IntegrityError):
        room.sealed(step)
    room.activities.screen_slice(slice_of(step, offset=1024, length=6, index=1))
    assert room.sealed(step).counts["clear"] == 1030
    with pytest.raises(IntegrityError):
        room.sealed(room.screened(people(2)), tranche=1)


def test_unchanged_lists_withhold_nobody(room: Room) -> None:
    """Where no list changed a wave goes on under the pinned lists."""
    step = room.screened(MIXED)
    changes = room.activities.apply_list_changes(changes_before(step, 1))
    assert (changes.digests, changes.withheld) == (room.activities.pin_lists(step).digests, 0)
    assert room.intake.audit(step, "list.changed") == []


def test_new_entry_withholds_whom_it_hits(room: Room) -> None:
    """Before a wave whoever is not active yet is compared with what is new on the lists, once."""
    step = room.screened(MIXED)
    digest = write_ofac(room.lists, {**LISTED, 3: "TAN, Mei"})
    changes = room.activities.apply_list_changes(changes_before(step, 1))
    assert (changes.withheld, changes.digests) == (1, {OFAC: digest})
    withheld = room.rows("SELECT * FROM withholdings WHERE batch_no = :batch_no", step)
    assert [(row.ordinal, row.before_wave, row.list_digest.hex()) for row in withheld] == [(3, 1, digest)]
    detail = room.opened_detail(step, 3, withheld[0].sealed_detail)
    assert [hit["entry_id"] for hit in detail["hits"]] == ["3"]
    assert room.fresh().apply_list_changes(changes_before(step, 1)) == changes
    assert room.activities.apply_list_changes(changes_before(step, 2)).withheld == 0
    told = room.intake.audit(step, "list.changed")
    assert [(entry["wave"], entry["withheld"], entry["new_entries"]) for entry in told] == [(1, 1, {OFAC: 1})]


def test_list_that_comes_out_beside_another_attempt_is_not_passed_over(room: Room) -> None:
    """An attempt that finds its change applied looks at the lists anew and applies what is newer."""
    step, newer = room.screened(MIXED), {**LISTED, 3: "TAN, Mei"}
    write_ofac(room.lists, newer)
    told = all_behind(
        room.databases.provisioning,
        lambda connection: lock(connection, f"lists/{step.batch_id}"),
        [lambda: room.fresh().apply_list_changes(changes_before(step, 1)) for _ in range(2)],
        then=lambda: write_ofac(room.lists, {**newer, 4: "PEREZ, Ana"}),
    )
    assert sorted(changes.withheld for changes in told) == [1, 2]
    assert [entry["withheld"] for entry in room.intake.audit(step, "list.changed")] == [1, 1]


def test_list_change_leaves_the_active_and_the_refused_alone(room: Room) -> None:
    """Activation withholds before it happens: who is active, or will never be, is not compared again."""
    step = room.screened([*MIXED, row("another", name="Mei Tan")])
    number = room.intake.number(step)
    some_wallets(room.databases, number, count=5)
    run(room.databases.custody, "UPDATE wallets SET state = 'ready' WHERE batch_no = :no", no=number)
    run(
        room.databases.provisioning,
        "UPDATE wallets SET state = 'active', wave = 1, activated_at = clock_timestamp()"
        " WHERE batch_no = :no AND ordinal = 3",
        no=number,
    )
    room.settle(step, 1, "refuse")
    write_ofac(room.lists, {**LISTED, 3: "TAN, Mei", 4: "DOE, Johnny"})
    room.activities.apply_list_changes(changes_before(step, 2))
    withheld = room.rows("SELECT ordinal FROM withholdings WHERE batch_no = :batch_no", step)
    assert [row.ordinal for row in withheld] == [4]


def test_open_hold_that_a_new_entry_hits_is_withheld(room: Room) -> None:
    """A decision on old hits does not release somebody whom a new entry names."""
    step = room.screened(MIXED)
    write_ofac(room.lists, {**LISTED, 3: "DOE, Jon"})
    assert room.activities.apply_list_changes(changes_before(step, 1)).withheld == 1


def test_entry_that_left_a_list_clears_nobody(room: Room) -> None:
    """A removal changes the lists in force and no verdict."""
    write_ofac(
        room.lists, {number: f"PERSON, Number{number}" for number in range(1, 101)} | {101: "DOE, John"}
    )
    step = room.screened(MIXED)
    held = [verdict.verdict for verdict in room.verdicts(step)].count("held")
    write_ofac(room.lists, {number: f"PERSON, Number{number}" for number in range(1, 101)})
    assert room.activities.apply_list_changes(changes_before(step, 1)).withheld == 0
    assert [verdict.verdict for verdict in room.verdicts(step)].count("held") == held == 1
    assert room.intake.audit(step, "list.changed")[0]["new_entries"] == {OFAC: 0}


def test_wave_waits_while_a_list_may_not_be_believed(room: Room) -> None:
    """Before a wave, too, a list that is away is waited for."""
    step = room.screened(MIXED)
    _truncate(room.lists / OFAC)
    with pytest.raises(ServiceUnavailableError, match="list ofac-sdn"):
        room.activities.apply_list_changes(changes_before(step, 1))


def test_undoing_cancels_open_holds_only(room: Room) -> None:
    """Open holds are cancelled once; what people decided stays."""
    step = room.screened(MIXED)
    room.settle(step, 1, "clear")
    assert room.activities.undo_screening(step) == Undone(counts={"cancelled": 1})
    assert room.activities.undo_screening(step) == Undone(counts={"cancelled": 0})
    decisions = room.rows(
        "SELECT decision FROM adjudications WHERE batch_no = :batch_no ORDER BY ordinal", step
    )
    assert [row.decision for row in decisions] == ["clear", "cancelled"]
    assert len(room.intake.audit(step, "undo.screening")) == 1
