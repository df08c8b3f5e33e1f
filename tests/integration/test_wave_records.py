"""Waves by what is on record: which gate, evidence, wave and wallet is whose, and what waits for what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.clients.transit import Transit
from activities.contracts.activation import WaveStep
from activities.contracts.shapes import BatchStep
from activities.failures import ConflictError, IntegrityError, PolicyViolationError
from activities.store.locks import lock, lock_slice
from infra.devstack import Stack
from tests.integration.one_at_a_time import behind
from tests.integration.seeded import SeededBatch, claimed_batch, planned_batch, told
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run, some_wallets
from tests.integration.wave_room import COUNT, Room, slice_of, wave_of


@pytest.fixture
def room(databases: Databases, stack: Stack, tmp_path: Path) -> Room:
    """Activation without a webhook receiver."""
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    attest = Transit(address=stack.openbao.address, token_file=token)
    return Room(databases=databases, attest=attest, folder=tmp_path)


def _past_the_rules(room: Room, batch: SeededBatch, change: str) -> None:
    """Changes wallets as the store's owner, who can turn its rules off."""
    run(room.databases.owner, "ALTER TABLE wallets DISABLE TRIGGER USER")
    forgery = f"UPDATE wallets SET {change} AND batch_no = :no"  # noqa: S608 - a test's own text
    run(room.databases.owner, forgery, no=batch.batch_no)
    run(room.databases.owner, "ALTER TABLE wallets ENABLE TRIGGER USER")


def _activated(room: Room) -> tuple[SeededBatch, WaveStep]:
    batch = room.ready_batch()
    wave = room.opened(batch)
    room.activities.activate_slice(slice_of(wave))
    return batch, wave


def test_opening_waits_for_the_one_before(room: Room) -> None:
    """Two openings of a batch look at the waves one after the other."""
    batch = room.ready_batch()
    opened = behind(
        room.databases.provisioning,
        lambda connection: lock(connection, f"waves/{batch.batch_id}"),
        lambda: room.activities.open_wave(wave_of(batch)),
    )
    assert opened.counts == {"opened": 1}


def test_slice_waits_for_its_other_attempt(room: Room) -> None:
    """An attempt that comes while another is at work finds what that one did."""
    batch = room.ready_batch()
    step = slice_of(room.opened(batch))
    result = behind(
        room.databases.provisioning,
        lambda connection: lock_slice(connection, "wave/1", step),
        lambda: room.activities.activate_slice(step),
    )
    assert result.row_count == COUNT
    assert room.activities.activate_slice(step) == result
    for kind in ("slice.intent", "slice.outcome"):
        assert len(told(room.databases.provisioning, step.audit_chain, kind)) == 1


def test_gate_of_another_batch_opens_no_wave(room: Room) -> None:
    """An approval is its own batch's, over whatever digest; before there is evidence there is none."""
    other, batch = (room.ready_batch(approve_from_wave=1) for _ in range(2))
    with pytest.raises(PolicyViolationError, match="gate is not approved"):
        room.activities.open_wave(wave_of(batch))
    digest = room.seal(batch, tranche=0)
    room.gate(other, "wave/1", digest, "approved")
    with pytest.raises(PolicyViolationError, match="gate is not approved"):
        room.activities.open_wave(wave_of(batch))
    room.gate(batch, "wave/1", digest, None)
    with pytest.raises(PolicyViolationError, match="gate is not approved"):
        room.activities.open_wave(wave_of(batch))


def _before_its_late_wave(room: Room, *, approve_from_wave: int = 0) -> SeededBatch:
    batch = planned_batch(room.databases.provisioning, approve_from_wave=approve_from_wave)
    room.passed(batch, wave=1, length=COUNT)
    return batch


def test_late_wave_opens_through_a_gate_over_its_own_evidence(room: Room) -> None:
    """What was approved of the main tranche lets nobody through who was cleared later."""
    batch = _before_its_late_wave(room, approve_from_wave=1)
    main, late = room.seal(batch, tranche=0), room.seal(batch, tranche=1, cleared=2)
    step = replace(wave_of(batch), wave=2, tranche=1, length=2)
    room.gate(batch, "wave/2", main, "approved")
    with pytest.raises(PolicyViolationError, match="gate is not approved"):
        room.activities.open_wave(step)
    room.gate(batch, "wave/2", late, "approved")
    assert room.activities.open_wave(step).counts == {"opened": 1}


def test_late_wave_is_the_last(room: Room) -> None:
    """Those who were cleared late are activated in one wave, and nobody comes after them."""
    batch = _before_its_late_wave(room)
    with pytest.raises(PolicyViolationError, match="the plan has next"):
        room.activities.open_wave(replace(wave_of(batch), wave=2, tranche=1, length=0))
    room.seal(batch, tranche=1, cleared=0)
    step = replace(wave_of(batch), wave=2, tranche=1, length=0)
    assert room.activities.open_wave(step).counts == {"opened": 1}
    assert room.activities.check_wave(step).healthy
    with pytest.raises(PolicyViolationError, match="the plan has next"):
        room.activities.open_wave(replace(step, wave=3))


def test_batch_without_a_plan_opens_no_wave(room: Room) -> None:
    """Without a plan there is no next wave."""
    batch = claimed_batch(room.databases.provisioning)
    with pytest.raises(PolicyViolationError, match="no plan"):
        room.activities.open_wave(wave_of(batch))


TWO_LESS = ["2 of 10 wallets of the wave are not active"]
NEVER = "wave = NULL, activated_at = NULL"

UNHEALTHY: dict[str, tuple[str, list[str]]] = {
    "activated in another wave": ("wave = 7", TWO_LESS),
    "left ready": (f"state = 'ready', {NEVER}", TWO_LESS),
    "frozen meanwhile": ("state = 'frozen'", []),
    "revoked meanwhile": (f"state = 'revoked', {NEVER}", []),
    "of another tranche": (f"state = 'ready', {NEVER}, tranche = 1", []),
}
"""What becomes of two wallets of ten; the policy forgives one."""


@pytest.mark.parametrize("case", UNHEALTHY)
def test_wave_counts_the_wallets_it_should_have_activated(room: Room, case: str) -> None:
    """Expected is whoever is on the way or there; active is who became so in this very wave."""
    change, reasons = UNHEALTHY[case]
    batch, wave = _activated(room)
    _past_the_rules(room, batch, f"{change} WHERE ordinal < 2")
    assert room.activities.check_wave(wave).reasons == reasons
    (closed,) = told(room.databases.provisioning, batch.chain, "wave.closed")
    assert closed["active"] == COUNT - 2


def test_wallet_active_although_withheld_fails_its_wave(room: Room) -> None:
    """One is enough; a withheld subject of another batch, and one that is not active, are none."""
    (batch, wave), (_, others) = _activated(room), _activated(room)
    room.withhold(batch, 3)
    assert room.activities.check_wave(wave).reasons == ["1 wallets are active although they are withheld"]
    assert room.activities.check_wave(others).healthy


@pytest.mark.parametrize("other", [{"offset": 4}, {"offset": 6}, {"tranche": 1}, {"wave": 1}])
def test_slice_of_other_positions_or_another_wave_is_refused(room: Room, other: dict[str, Any]) -> None:
    """A wave activates its own range, neither one that is over nor what lies before or behind it."""
    batch = room.ready_batch(waves_percent=(50, 100))
    first = room.opened(batch, length=5, percent=50)
    room.activities.activate_slice(slice_of(first, length=5))
    room.activities.check_wave(first)
    second = room.opened(batch, wave=2, offset=5, length=5)
    step = slice_of(second, index=1, offset=5, length=5)
    with pytest.raises(PolicyViolationError, match=r"not open|outside of its wave"):
        room.activities.activate_slice(replace(step, **other))
    assert room.states(batch) == "aaaaarrrrr"
    assert room.activities.activate_slice(step).row_count == COUNT - 5


def test_wallets_that_nobody_derived_again_stay_as_they_are(room: Room) -> None:
    """Custody's signature is not enough: a wave activates what the second path has made ready."""
    batch = planned_batch(room.databases.provisioning)
    some_wallets(room.databases, batch.batch_no, count=COUNT)
    room.sign(batch, 0, list(range(COUNT)))
    wave = room.opened(batch)
    assert room.activities.activate_slice(slice_of(wave)).row_count == 0
    assert room.states(batch) == "d" * COUNT
    assert room.activities.check_wave(wave).reasons == ["10 of 10 wallets of the wave are not active"]


def _cleared(room: Room, batch: SeededBatch, *ordinals: int) -> None:
    for ordinal in ordinals:
        run(
            room.databases.provisioning,
            "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision, tranche)"
            " VALUES (:no, :ordinal, 'h', 'clear', 1)",
            no=batch.batch_no,
            ordinal=ordinal,
        )


def test_late_wave_leaves_the_main_tranche_alone(room: Room) -> None:
    """Between the ordinals of those cleared late lie others, whose time was another wave."""
    batch = _before_its_late_wave(room)
    some_wallets(room.databases, batch.batch_no, count=2)
    run(room.databases.custody, "UPDATE wallets SET state = 'ready' WHERE batch_no = :no", no=batch.batch_no)
    _past_the_rules(room, batch, "ordinal = 5, address_index = 5 WHERE ordinal = 1")
    _cleared(room, batch, 2, 9)
    room.late_wallets(batch, [2, 9])
    room.seal(batch, tranche=1, cleared=2)
    step = slice_of(room.opened(batch, wave=2, tranche=1, length=2), length=2)
    assert room.activities.activate_slice(step).row_count == 2
    assert room.states(batch) == "rara"


def test_wallet_put_between_signed_slices_stops_the_wave(room: Room) -> None:
    """An address that lies in no slice that custody signed is activated by no range that spans it."""
    batch = _before_its_late_wave(room)
    some_wallets(room.databases, batch.batch_no, count=0)
    _cleared(room, batch, 2, 9)
    room.late_wallets(batch, [2, 9], in_slices=2)
    room.late_wallets(batch, [5], in_slices=0)
    room.seal(batch, tranche=1, cleared=2)
    step = slice_of(room.opened(batch, wave=2, tranche=1, length=2), length=2)
    with pytest.raises(IntegrityError, match="an address is not one that custody signed"):
        room.activities.activate_slice(step)
    assert room.states(batch) == "rrr"


def test_one_wave_is_closed_at_a_time(room: Room) -> None:
    """A wave's end is its own, also beside a wave that nobody should have opened."""
    batch, wave = _activated(room)
    run(
        room.databases.provisioning,
        "INSERT INTO waves (batch_no, wave, tranche, first_position, length, percent)"
        " VALUES (:no, 2, 0, 0, 1, 100)",
        no=batch.batch_no,
    )
    assert room.activities.check_wave(wave).healthy
    found = "SELECT outcome FROM waves WHERE batch_no = :no ORDER BY wave"
    closed = run(room.databases.provisioning, found, no=batch.batch_no)
    assert [row.outcome for row in closed] == ["passed", None]


def test_withheld_subjects_are_not_expected(room: Room) -> None:
    """Whoever was withheld is no failure of the wave, however many they are."""
    batch = room.ready_batch()
    for ordinal in (3, 4, 5):
        room.withhold(batch, ordinal)
    wave = room.opened(batch)
    assert room.activities.activate_slice(slice_of(wave)).row_count == COUNT - 3
    assert room.activities.check_wave(wave).healthy


def test_wave_that_was_not_opened_is_not_closed(room: Room) -> None:
    """A wave ends as it began, or not at all."""
    with pytest.raises(ConflictError, match="opened otherwise or not at all"):
        room.activities.check_wave(wave_of(room.ready_batch()))


def test_undoing_is_one_batchs_own(room: Room) -> None:
    """Another batch's wallets stay active, and those that it froze before are not counted here."""
    (first, _), (second, _), (third, _) = (_activated(room) for _ in range(3))
    for batch in (first, second):
        step = BatchStep(batch_id=batch.batch_id, fence=batch.fence)
        assert room.activities.undo_activation(step).counts == {"frozen": COUNT, "waves": 1}
    assert room.states(third) == "a" * COUNT
