"""Waves on the real store, over addresses that the real key service signed."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities import merkle
from activities.activation.waves import WaveCount, wave_problems
from activities.canonical import canonical
from activities.clients.transit import Transit
from activities.contracts.shapes import BatchStep, SliceResult, shard_chain
from activities.failures import (
    ConflictError,
    IntegrityError,
    PolicyViolationError,
    ServiceUnavailableError,
    StaleFenceError,
)
from infra.devstack import Stack
from tests.integration.seeded import SeededBatch, planned_batch, raise_fence, told
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run, some_wallets
from tests.integration.wave_room import COUNT, Room, slice_of, wave_of
from tests.signers import Signer

HALVES = (50, 100)


@pytest.fixture
def attest(stack: Stack) -> Transit:
    """The key service as custody reaches it."""
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    return Transit(address=stack.openbao.address, token_file=token)


@pytest.fixture
def room(databases: Databases, attest: Transit, tmp_path: Path) -> Room:
    """Activation without a webhook receiver."""
    return Room(databases=databases, attest=attest, folder=tmp_path)


def test_wave_activates_its_ready_wallets_and_no_others(room: Room) -> None:
    """A wave activates its range, across custody's slices; the rest stays ready."""
    batch = room.ready_batch(waves_percent=HALVES)
    wave = room.opened(batch, length=5, percent=50)
    result = room.activities.activate_slice(slice_of(wave, length=5))
    assert room.states(batch) == "aaaaarrrrr"
    leaves = [canonical({"ordinal": i, "chain": "ethereum", "address": f"address {i}"}) for i in range(5)]
    expected = SliceResult(row_count=5, root=merkle.root(leaves).hex(), counts={"active": 5})
    assert result == expected
    outcome = told(room.databases.provisioning, slice_of(wave).audit_chain, "slice.outcome")[0]
    assert (outcome["stage"], outcome["root"], outcome["row_count"]) == ("wave/1", expected.root, 5)


def test_second_run_of_a_slice_finds_the_first(room: Room) -> None:
    """A retried slice returns what was recorded and activates nothing."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    first = room.activities.activate_slice(slice_of(wave))
    moments = _activated_at(room, batch)
    assert room.activities.activate_slice(slice_of(wave)) == first
    assert _activated_at(room, batch) == moments
    assert len(told(room.databases.provisioning, slice_of(wave).audit_chain, "slice.outcome")) == 1


def _activated_at(room: Room, batch: SeededBatch) -> list[Any]:
    rows = run(
        room.databases.provisioning,
        "SELECT activated_at FROM wallets WHERE batch_no = :no ORDER BY ordinal",
        no=batch.batch_no,
    )
    return [row.activated_at for row in rows]


def test_attempts_at_one_slice_at_once_activate_once(room: Room) -> None:
    """Overlapping attempts agree on one result."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    start = threading.Barrier(4)

    def attempt() -> SliceResult:
        start.wait()
        return room.activities.activate_slice(slice_of(wave))

    with ThreadPoolExecutor(4) as pool:
        results = [future.result() for future in [pool.submit(attempt) for _ in range(4)]]
    assert {(result.row_count, result.root) for result in results} == {(COUNT, results[0].root)}
    assert len(told(room.databases.provisioning, slice_of(wave).audit_chain, "slice.outcome")) == 1


def test_withheld_subjects_are_left_out(room: Room) -> None:
    """Whoever a list change hit is not activated, and the wave is healthy without them."""
    batch = room.ready_batch()
    room.withhold(batch, 3)
    wave = room.opened(batch)
    assert room.activities.activate_slice(slice_of(wave)).row_count == COUNT - 1
    assert room.states(batch) == "aaaraaaaaa"
    assert room.activities.check_wave(wave).healthy


def test_address_that_custody_did_not_sign_is_not_activated(room: Room) -> None:
    """One changed address, and nothing of its slice becomes active."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    run(room.databases.owner, "ALTER TABLE wallets DISABLE TRIGGER USER")
    run(
        room.databases.owner,
        "UPDATE wallets SET address = 'changed' WHERE batch_no = :no AND ordinal = 6",
        no=batch.batch_no,
    )
    run(room.databases.owner, "ALTER TABLE wallets ENABLE TRIGGER USER")
    with pytest.raises(IntegrityError):
        room.activities.activate_slice(slice_of(wave))
    assert room.states(batch) == "r" * COUNT


def test_signature_of_an_untrusted_key_is_refused(room: Room) -> None:
    """Only the keys of the trust file sign addresses."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    room.trust([base64.b64encode(Signer(name="x").raw).decode()])
    with pytest.raises(IntegrityError):
        room.activities.activate_slice(slice_of(wave))
    (room.folder / "trust.toml").write_text("deployment =")
    with pytest.raises(ServiceUnavailableError, match="trust file"):
        room.activities.activate_slice(slice_of(wave))
    assert room.states(batch) == "r" * COUNT


def test_addresses_without_a_signed_slice_are_refused(room: Room) -> None:
    """A wallet outside of every signed slice is not activated."""
    batch = planned_batch(room.databases.provisioning)
    some_wallets(room.databases, batch.batch_no, count=COUNT)
    run(room.databases.custody, "UPDATE wallets SET state = 'ready' WHERE batch_no = :no", no=batch.batch_no)
    room.sign(batch, 0, [0, 1, 2, 3])
    wave = room.opened(batch)
    with pytest.raises(IntegrityError):
        room.activities.activate_slice(slice_of(wave))
    assert room.states(batch) == "r" * COUNT


@pytest.mark.parametrize("signed", [[], [0, 2], [1, 2]], ids=["none", "gap", "not-the-first"])
def test_positions_that_custody_signed_nothing_for_stop_the_wave(room: Room, signed: list[int]) -> None:
    """Where no signed slice stands nothing was derived, whatever was answered: such a wave is not empty."""
    batch = planned_batch(room.databases.provisioning, subject_count=12)
    some_wallets(room.databases, batch.batch_no, count=12)
    for index in signed:
        room.sign(batch, index, list(range(4 * index, 4 * index + 4)))
    wave = room.opened(batch, length=12)
    with pytest.raises(IntegrityError):
        room.activities.activate_slice(slice_of(wave, length=12))
    assert room.states(batch) == "d" * 12


def test_slice_needs_its_wave_open(room: Room) -> None:
    """Nothing is activated in a wave that is not open, ended, or does not hold the slice."""
    batch = room.ready_batch(waves_percent=HALVES)
    with pytest.raises(PolicyViolationError):
        room.activities.activate_slice(slice_of(wave_of(batch)))
    wave = room.opened(batch, length=5, percent=50)
    with pytest.raises(PolicyViolationError):
        room.activities.activate_slice(slice_of(wave, offset=4, length=2))
    room.activities.check_wave(wave)
    with pytest.raises(PolicyViolationError):
        room.activities.activate_slice(slice_of(wave, length=5))
    assert room.states(batch) == "r" * COUNT


def test_slice_is_recorded_on_a_chain_of_its_own_batch(room: Room) -> None:
    """No task makes the chain of another batch longer."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    other = shard_chain("victim", "wave-1", 0)
    with pytest.raises(PolicyViolationError, match="audit chain"):
        room.activities.activate_slice(replace(slice_of(wave), audit_chain=other))
    assert told(room.databases.provisioning, other, "slice.intent") == []
    assert room.states(batch) == "r" * COUNT


def test_wave_opens_once_over_one_range(room: Room) -> None:
    """A retried opening finds the wave; another range under its number is a conflict."""
    batch = room.ready_batch()
    wave = wave_of(batch)
    assert room.activities.open_wave(wave).counts == {"opened": 1}
    assert room.activities.open_wave(wave).counts == {"opened": 0}
    with pytest.raises(ConflictError):
        room.activities.open_wave(replace(wave, length=3))
    assert len(told(room.databases.provisioning, batch.chain, "wave.opened")) == 1


def test_waves_open_in_the_order_of_the_plan(room: Room) -> None:
    """Whoever schedules an opening by hand gets no other range, and none before the last wave has passed."""
    batch = room.ready_batch(waves_percent=HALVES)
    first = replace(wave_of(batch), length=5, percent=50)
    second = replace(first, wave=2, offset=5, percent=100)
    for wave in (
        second,
        wave_of(batch),
        replace(first, length=6),
        replace(first, offset=1),
        replace(first, percent=51),
        replace(first, tranche=1),
        replace(first, wave=0),
    ):
        with pytest.raises(PolicyViolationError):
            room.activities.open_wave(wave)
    room.activities.open_wave(first)
    with pytest.raises(PolicyViolationError, match="have not passed"):
        room.activities.open_wave(second)
    room.activities.activate_slice(slice_of(first, length=5))
    assert room.activities.check_wave(first).healthy
    assert room.activities.open_wave(second).counts == {"opened": 1}
    with pytest.raises(PolicyViolationError):
        room.activities.open_wave(replace(second, wave=3, offset=10, length=0))


def test_failed_wave_is_the_last(room: Room) -> None:
    """After a wave that did not pass its health gate no other opens."""
    batch = room.ready_batch(waves_percent=HALVES)
    first = room.opened(batch, length=5, percent=50)
    assert not room.activities.check_wave(first).healthy
    with pytest.raises(PolicyViolationError, match="have not passed"):
        room.activities.open_wave(replace(first, wave=2, offset=5, percent=100))


@pytest.mark.parametrize("outcome", [None, "rejected", "expired", "cancelled"])
def test_gated_wave_opens_through_its_own_gate(room: Room, outcome: str | None) -> None:
    """Nothing but an approval over the evidence in force opens a wave that the plan puts behind a gate."""
    batch = room.ready_batch(waves_percent=HALVES, approve_from_wave=2)
    first = room.opened(batch, length=5, percent=50)
    room.activities.activate_slice(slice_of(first, length=5))
    room.activities.check_wave(first)
    second = replace(first, wave=2, offset=5, percent=100)
    digest = room.seal(batch, tranche=0)
    room.gate(batch, "wave/1", digest, "approved")
    room.gate(batch, "wave/2", b"another digest", "approved")
    room.gate(batch, "wave/2", digest, outcome)
    with pytest.raises(PolicyViolationError, match="gate is not approved"):
        room.activities.open_wave(second)


def test_gated_wave_opens_once_approved(room: Room) -> None:
    """The gate of the wave's own number over its tranche's evidence is what it takes."""
    batch = room.ready_batch(approve_from_wave=1)
    room.gate(batch, "wave/1", room.seal(batch, tranche=0), "approved")
    assert room.activities.open_wave(wave_of(batch)).counts == {"opened": 1}


def test_stale_fence_changes_nothing(room: Room) -> None:
    """No effect of activation happens under an old fence."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    raise_fence(room.databases.provisioning, batch)
    calls = (
        lambda: room.activities.open_wave(replace(wave, wave=2)),
        lambda: room.activities.activate_slice(slice_of(wave)),
        lambda: room.activities.announce_wave(wave),
        lambda: room.activities.check_wave(wave),
        lambda: room.activities.undo_activation(BatchStep(batch_id=batch.batch_id, fence=batch.fence)),
    )
    for call in calls:
        with pytest.raises(StaleFenceError):
            call()
    assert room.states(batch) == "r" * COUNT
    assert told(room.databases.provisioning, batch.chain, "wave.closed") == []


def test_late_tranche_is_counted_by_rank(room: Room) -> None:
    """In the late tranche positions are ranks among the holds that people cleared."""
    batch, other = (planned_batch(room.databases.provisioning) for _ in range(2))
    run(
        room.databases.provisioning,
        "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision, tranche)"
        " VALUES (:no, 1, 'h', 'clear', 1)",
        no=other.batch_no,
    )
    for ordinal in (2, 5, 9):
        run(
            room.databases.provisioning,
            "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision, tranche)"
            " VALUES (:no, :ordinal, 'h', :decision, 1)",
            no=batch.batch_no,
            ordinal=ordinal,
            decision="refuse" if ordinal == 5 else "clear",
        )
    run(
        room.databases.provisioning,
        "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision, tranche)"
        " VALUES (:no, 0, 'h', 'clear', 0)",
        no=batch.batch_no,
    )
    some_wallets(room.databases, batch.batch_no, count=0)
    room.late_wallets(batch, [2, 9])
    room.passed(batch, wave=1, length=COUNT)
    room.seal(batch, tranche=1, cleared=2)
    wave = room.opened(batch, wave=2, tranche=1, length=2)
    assert room.activities.activate_slice(slice_of(wave, offset=1, length=1)).row_count == 1
    assert room.states(batch) == "ra"
    assert room.activities.activate_slice(slice_of(wave, index=1, offset=0, length=1)).row_count == 1
    assert room.activities.check_wave(wave).healthy


def test_wave_that_did_not_activate_enough_fails(room: Room) -> None:
    """The health gate compares what should be active with what is; the first outcome stands."""
    batch = room.ready_batch()
    wave = room.opened(batch)
    room.activities.activate_slice(slice_of(wave, length=8))
    health = room.activities.check_wave(wave)
    assert (health.healthy, health.reasons) == (False, ["2 of 10 wallets of the wave are not active"])
    assert room.activities.check_wave(wave) == health
    closed = told(room.databases.provisioning, batch.chain, "wave.closed")
    assert [(entry["outcome"], entry["active"], entry["expected"]) for entry in closed] == [("failed", 8, 10)]


@pytest.mark.parametrize(
    ("count", "share", "problems"),
    [
        (WaveCount(active=90, expected=100), 0.1, 0),
        (WaveCount(active=89, expected=100), 0.1, 1),
        (WaveCount(active=0, expected=0), 0.0, 0),
        (WaveCount(active=99, expected=100), 0.0, 1),
        (WaveCount(active=100, expected=100, withheld_active=1), 1.0, 1),
    ],
)
def test_health_gate_by_counts(count: WaveCount, share: float, problems: int) -> None:
    """A wave fails over its share of failures, or with a single withheld wallet active."""
    assert len(wave_problems(count, failed_share_max=share)) == problems


def test_undoing_freezes_and_keeps_the_wave(room: Room) -> None:
    """Going back freezes what is active, once, and tells; ready wallets are custody's to revoke."""
    batch = room.ready_batch(waves_percent=HALVES)
    wave = room.opened(batch, length=5, percent=50)
    room.activities.activate_slice(slice_of(wave, length=5))
    moments = _activated_at(room, batch)
    step = BatchStep(batch_id=batch.batch_id, fence=batch.fence)
    assert room.activities.undo_activation(step).counts == {"frozen": 5, "waves": 1}
    assert room.activities.undo_activation(step).counts == {"frozen": 5, "waves": 0}
    assert room.states(batch) == "fffffrrrrr"
    assert _activated_at(room, batch) == moments
    assert len(told(room.databases.provisioning, batch.chain, "undo.activation")) == 1
    assert room.announcement(batch, "frozen")["data"] == {"batch_id": batch.batch_id, "wallets": 5}
