"""Which slices and wallets the signed addresses are read from, and what is no signature of custody's."""

import base64
from pathlib import Path

import pytest

from activities.activation.attested_wallets import Run, attested_addresses, ordinal_range
from activities.clients.transit import Transit
from activities.failures import IntegrityError
from infra.devstack import Stack
from tests.integration.seeded import DEPLOYMENT, SeededBatch
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run
from tests.integration.wave_room import COUNT, Room, slice_of


@pytest.fixture
def room(databases: Databases, stack: Stack, tmp_path: Path) -> Room:
    """Activation without a webhook receiver."""
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    attest = Transit(address=stack.openbao.address, token_file=token)
    return Room(databases=databases, attest=attest, folder=tmp_path)


def _run(batch: SeededBatch, **changes: int) -> Run:
    place = {"tranche": 0, "offset": 0, "length": COUNT} | changes
    return Run(batch_no=batch.batch_no, batch_id=batch.batch_id, **place)


def _slice(room: Room, batch: SeededBatch, *, stage: str, tranche: int, signature: str | None) -> None:
    """Records a slice over the whole batch, by the role whose stage it is."""
    database = room.databases.custody if stage in {"derive", "verify"} else room.databases.provisioning
    signed = {"signature": signature} if signature else {}
    columns = "".join(f", {name}" for name in signed)
    values = "".join(f", :{name}" for name in signed)
    run(
        database,
        "INSERT INTO slices (batch_no, stage, tranche, slice_index, first_position, length, row_count, root"  # noqa: S608 - names of our own
        f"{columns}) VALUES (:no, :stage, :tranche, 0, 0, :length, :length, 'r'{values})",
        no=batch.batch_no,
        stage=stage,
        tranche=tranche,
        length=COUNT,
        **signed,
    )


def _wallet(room: Room, batch: SeededBatch, *, chain: str, tranche: int) -> None:
    """Writes one wallet more on another chain, as custody does."""
    run(
        room.databases.custody,
        "INSERT INTO wallets"
        " (batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche)"
        " SELECT :no, 3, :chain, keyring_no, 0, 3, 'another', 'p', :tranche FROM keyrings"
        " WHERE batch_no = :no",
        no=batch.batch_no,
        chain=chain,
        tranche=tranche,
    )


def test_slices_and_wallets_of_others_are_left_alone(room: Room) -> None:
    """Other stages sign no addresses, and the late tranche's are in its own slices."""
    batch = room.ready_batch()
    _slice(room, batch, stage="screen", tranche=0, signature=None)
    _slice(room, batch, stage="derive", tranche=1, signature="AAAA")
    _wallet(room, batch, chain="bsc", tranche=1)
    result = room.activities.activate_slice(slice_of(room.opened(batch)))
    assert result.row_count == COUNT


def test_wallet_on_a_chain_nobody_knows_stops_the_wave(room: Room) -> None:
    """An address whose path cannot be said was signed by nobody."""
    batch = room.ready_batch()
    _wallet(room, batch, chain="nowhere", tranche=0)
    with pytest.raises(IntegrityError, match="not in the registry"):
        room.activities.activate_slice(slice_of(room.opened(batch)))


def test_late_slice_without_anybody_cleared_is_not_believed(room: Room) -> None:
    """A slice over ranks that nobody holds has no addresses to sign."""
    batch = room.ready_batch()
    _slice(room, batch, stage="derive", tranche=1, signature="AAAA")
    with room.databases.provisioning.transaction() as connection, pytest.raises(IntegrityError):
        attested_addresses(connection, _run(batch, tranche=1), deployment=DEPLOYMENT, attest_keys=[])


@pytest.mark.parametrize("spoilt", ["*", "=", "A"])
def test_signature_in_another_spelling_is_none(room: Room, spoilt: str) -> None:
    """A signature has one spelling; what decodes leniently to it is refused."""
    batch = room.ready_batch()
    with room.databases.owner.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE slices DISABLE TRIGGER USER")
        connection.exec_driver_sql(
            f"UPDATE slices SET signature = '{spoilt}' || signature"  # noqa: S608 - a test's own text
            f" WHERE batch_no = {batch.batch_no} AND stage = 'derive'"
        )
        connection.exec_driver_sql("ALTER TABLE slices ENABLE TRIGGER USER")
    keys = list(room.attest.public_keys("attest").values())
    assert all(len(base64.b64encode(key)) == 44 for key in keys)
    with room.databases.provisioning.transaction() as connection, pytest.raises(IntegrityError):
        attested_addresses(connection, _run(batch), deployment=DEPLOYMENT, attest_keys=keys)


@pytest.mark.parametrize("tranche", [0, 1])
def test_run_of_no_length_holds_nobody(room: Room, tranche: int) -> None:
    """Nothing and less than nothing is no range of ordinals."""
    batch = room.ready_batch()
    with room.databases.provisioning.transaction() as connection:
        for length in (0, -1):
            assert ordinal_range(connection, _run(batch, tranche=tranche, length=length)) is None
