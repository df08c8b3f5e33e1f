"""Custody on the real store and key service: one keyring, signed addresses, derived again, undone."""

import base64
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select, text

from activities import merkle
from activities.contracts.shapes import SLICE_SIZE, batch_chain
from activities.custody.activities import CustodyActivities
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed, TransitKeyService, opened
from activities.digests import head_message, slice_message, wallet_leaf
from activities.failures import IntegrityError, ServiceUnavailableError, StaleFenceError
from activities.keys.chains import CHAINS
from activities.keys.mnemonic import seed_from_entropy
from activities.keys.possession import PossessionContext, possession_holds
from activities.store import audit
from activities.store import tables as t
from infra.devstack import Stack
from tests.integration.custody.batches import HELD_LATE, POLICY, AskedBatch, eligible
from tests.integration.custody.room import DEPLOYMENT, KeygenSigner, Room, a_room
from tests.integration.seeded import told
from tests.integration.store_fixtures import Databases


@pytest.fixture(scope="module")
def room(databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A deployment whose officers sign with OpenSSH's own keys."""
    folder = tmp_path_factory.mktemp("custody")
    lee, kim = (KeygenSigner(name=name, folder=folder) for name in ("lee@acme.example", "kim@acme.example"))
    return a_room(databases, stack, folder, lee=lee, kim=kim)


@pytest.fixture
def batch(batch: AskedBatch) -> AskedBatch:
    """A batch with everything custody asks for."""
    batch.sign_gates()
    return batch


@pytest.fixture
def opened_batch(batch: AskedBatch, custody: CustodyActivities) -> AskedBatch:
    """The same with its keyring."""
    custody.open_keyring(batch.tranche_step())
    return batch


def _attest_keys(room: Room) -> list[Ed25519PublicKey]:
    keys = room.transit.public_keys("attest").values()
    return [Ed25519PublicKey.from_public_bytes(raw) for raw in keys]


def _kinds(batch: AskedBatch, chain: str) -> list[str]:
    with batch.room.databases.owner.transaction() as connection:
        bodies = connection.execute(
            text("SELECT body::jsonb ->> 'kind' FROM audit_entries WHERE chain = :chain ORDER BY seq"),
            {"chain": chain},
        )
        return list(bodies.scalars())


def test_a_proven_batch_gets_one_keyring_for_ever(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Opening twice gives the same keyring; the intent is on record before the seed."""
    first = custody.open_keyring(batch.tranche_step())
    assert custody.open_keyring(batch.tranche_step()) == first
    (stored,) = batch.keyrings()
    assert stored.keyring_id == first.keyring_id
    assert stored.wrapped_key.startswith("vault:")
    kinds = _kinds(batch, batch_chain(batch.batch_id))
    assert kinds == ["batch.claimed", "keyring.intent", "keyring.opened"]


def test_keyrings_opened_at_once_are_one(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Of attempts that run side by side one seals, and all answer with its keyring."""
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: custody.open_keyring(batch.tranche_step()), range(3)))
    assert len(set(answers)) == 1
    assert len(batch.keyrings()) == 1


def test_a_slice_holds_only_the_entitled(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Clear subjects and holds that people cleared get one address each; nobody else does."""
    result = custody.derive_slice(opened_batch.slice_step())
    stored = opened_batch.wallets()
    expected = [(o, chain) for o in eligible(opened_batch.count) for chain in ("bsc", "ethereum")]
    assert [(row.ordinal, row.chain) for row in stored] == expected
    assert {row.state for row in stored} == {"derived"}
    assert len({row.address for row in stored}) == len(eligible(opened_batch.count))
    assert (result.row_count, result.counts) == (len(stored), {"ready": len(stored)})


def test_every_wallet_proves_possession(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Each stored signature recovers to its address over the text that names batch, plan, chain and path."""
    custody.derive_slice(opened_batch.slice_step())
    context = PossessionContext(
        deployment=DEPLOYMENT, batch_id=opened_batch.batch_id, plan_digest=opened_batch.plan_digest
    )
    for row in opened_batch.wallets():
        chain = CHAINS[row.chain]
        path = str(chain.path(account=row.account, index=row.address_index))
        signature = bytes(row.possession)
        assert possession_holds(context, chain=chain, path=path, address=row.address, signature=signature)


def test_a_signature_covers_the_addresses(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """The attest key signed the root over ordinal, chain, path and address of what is stored."""
    step = opened_batch.slice_step()
    result = custody.derive_slice(step)
    leaves = [
        wallet_leaf(
            ordinal=row.ordinal,
            chain=row.chain,
            path=str(CHAINS[row.chain].path(account=row.account, index=row.address_index)),
            address=row.address,
        )
        for row in opened_batch.wallets()
    ]
    assert merkle.root(leaves).hex() == result.root
    with opened_batch.room.databases.owner.transaction() as connection:
        signature = connection.execute(
            select(t.slices.c.signature).where(
                t.slices.c.batch_no == opened_batch.batch_no, t.slices.c.stage == "derive"
            )
        ).scalar_one()
    message = slice_message(
        deployment=DEPLOYMENT,
        batch_id=step.batch_id,
        tranche=0,
        slice_index=0,
        first_position=0,
        length=opened_batch.count,
        row_count=result.row_count,
        root=result.root,
    )
    _require_signed(opened_batch.room, signature, message)


def _require_signed(room: Room, signature: str, message: bytes) -> None:
    (key,) = _attest_keys(room)
    key.verify(base64.b64decode(signature), message)


def test_a_slice_run_again_changes_nothing(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """The recorded result is given again and no address moves."""
    first = custody.derive_slice(opened_batch.slice_step())
    stored = opened_batch.wallets()
    assert custody.derive_slice(opened_batch.slice_step()) == first
    assert opened_batch.wallets() == stored
    kinds = _kinds(opened_batch, opened_batch.slice_step().audit_chain)
    assert kinds == ["slice.intent", "slice.outcome"]


def test_a_slice_run_side_by_side_happens_once(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Attempts at one slice that overlap all answer with the one that committed."""
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: custody.derive_slice(opened_batch.slice_step()), range(3)))
    assert all(result == results[0] for result in results)
    kinds = _kinds(opened_batch, opened_batch.slice_step().audit_chain)
    assert kinds.count("slice.outcome") == 1


def test_a_verified_range_becomes_ready(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """What the second path finds again may be activated; verifying once more answers from the record."""
    custody.derive_slice(opened_batch.slice_step())
    verified = custody.verify_range(opened_batch.slice_step())
    subjects = len(eligible(opened_batch.count))
    assert (verified.checked, verified.sampled) == (subjects, subjects)
    assert {row.state for row in opened_batch.wallets()} == {"ready"}
    assert custody.verify_range(opened_batch.slice_step()) == verified
    assert _kinds(opened_batch, opened_batch.slice_step().audit_chain).count("range.verified") == 1


def test_a_range_of_several_slices_is_verified_at_once(room: Room, custody: CustodyActivities) -> None:
    """Ordinals go on from slice to slice, and one process derives the whole range again."""
    batch = AskedBatch(room=room, count=SLICE_SIZE + 9, chains=("ethereum",))
    batch.prepare()
    custody.open_keyring(batch.tranche_step())
    for step in batch.steps():
        custody.derive_slice(step)
    assert custody.verify_range(step).checked == step.length
    assert {row.ordinal for row in batch.wallets() if row.state == "ready"} == set(
        range(SLICE_SIZE, batch.count)
    )
    verified = custody.verify_range(batch.slice_step(index=0, offset=0, length=batch.count))
    assert verified.checked == len(eligible(batch.count))
    assert [row.ordinal for row in batch.wallets()] == eligible(batch.count)
    assert {row.state for row in batch.wallets()} == {"ready"}


def test_a_hold_cleared_late_joins_late(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Under the late tranche's own evidence and approvals a position is the rank among the cleared."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.settle(HELD_LATE, "clear", by=[opened_batch.room.lee])
    opened_batch.seal_evidence(1)
    opened_batch.approve("issuance", opened_batch.evidence_digests[1], by=[opened_batch.room.lee])
    keyring = custody.open_keyring(opened_batch.tranche_step(1))
    assert [row.keyring_id for row in opened_batch.keyrings()] == [keyring.keyring_id]
    step = opened_batch.slice_step(tranche=1, length=1)
    assert custody.derive_slice(step).row_count == 2
    assert custody.verify_range(step).checked == 1
    late = [row for row in opened_batch.wallets() if row.tranche == 1]
    assert {(row.ordinal, row.address_index, row.state) for row in late} == {(HELD_LATE, HELD_LATE, "ready")}


def test_an_address_changed_in_the_store_stops_the_range(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """One stored address that is another's makes no wallet of the range ready."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.tamper(
        "wallets",
        "address = (SELECT address FROM wallets WHERE batch_no = :batch_no AND ordinal = 4 LIMIT 1)"
        " WHERE ordinal = 3",
    )
    with pytest.raises(IntegrityError, match="other addresses"):
        custody.verify_range(opened_batch.slice_step())
    assert {row.state for row in opened_batch.wallets()} == {"derived"}


def test_chains_of_a_family_with_two_addresses_stop_the_range(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """An address changed on one chain alone is found although the other chain's is right."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.tamper("wallets", "address = lower(address) WHERE ordinal = 3 AND chain = 'bsc'")
    with pytest.raises(IntegrityError, match="one family"):
        custody.verify_range(opened_batch.slice_step())


def test_a_head_is_attested_once(batch: AskedBatch, custody: CustodyActivities) -> None:
    """The same head gets the same attestation, signed by the attest key; a longer chain a new one."""
    first = custody.attest_head(batch.batch_step())
    assert custody.attest_head(batch.batch_step()) == first
    chain = batch_chain(batch.batch_id)
    message = head_message(
        deployment=DEPLOYMENT, batch_id=batch.batch_id, chain=chain, seq=first.seq, head=first.head
    )
    _require_signed(batch.room, first.signature, message)
    with batch.writing() as connection:
        audit.append(connection, chain, kind="gate.closed", facts={})
    assert custody.attest_head(batch.batch_step()).seq == first.seq + 1


def test_a_chain_rewritten_after_its_attestation_is_noticed(
    batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Custody signs no second head at a place where it signed another."""
    custody.attest_head(batch.batch_step())
    with batch.room.databases.owner.transaction() as connection:
        connection.execute(text("ALTER TABLE audit_heads DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE audit_heads SET head = sha256('other') WHERE chain = :chain"),
            {"chain": batch_chain(batch.batch_id)},
        )
        connection.execute(text("ALTER TABLE audit_heads ENABLE TRIGGER USER"))
    with pytest.raises(IntegrityError, match="attested audit head"):
        custody.attest_head(batch.batch_step())


_FORGET = """
    CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
    CREATE TRIGGER a_forget BEFORE INSERT ON attestations FOR EACH ROW EXECUTE FUNCTION forget();
"""


def test_an_attestation_that_was_not_kept_is_not_told(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A store that forgets what it was given is found at once: nobody builds on what is nowhere."""
    with batch.room.databases.owner.transaction() as connection:
        connection.exec_driver_sql(_FORGET)
    try:
        with pytest.raises(IntegrityError, match="is gone right after it was stored"):
            custody.attest_head(batch.batch_step())
    finally:
        with batch.room.databases.owner.transaction() as connection:
            connection.exec_driver_sql("DROP FUNCTION forget CASCADE")
    assert custody.attest_head(batch.batch_step()).signature


def test_leaving_before_activation_revokes_and_burns(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Every wallet is revoked and the account burned; nothing is derived under it again."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.raise_fence()
    undone = custody.undo_derivation(opened_batch.batch_step())
    assert undone.counts == {"revoked": len(opened_batch.wallets()), "burned_accounts": 1}
    assert {row.state for row in opened_batch.wallets()} == {"revoked"}
    again = custody.undo_derivation(opened_batch.batch_step())
    assert again.counts == {"revoked": len(opened_batch.wallets()), "burned_accounts": 0}
    (entry,) = told(opened_batch.room.databases.owner, batch_chain(opened_batch.batch_id), "undo.derivation")
    assert (entry["revoked"], entry["burned_accounts"]) == (len(opened_batch.wallets()), 1)


def test_a_burned_account_gets_no_more_wallets(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """A batch undone before it derived anything cannot derive afterwards, whatever fence is given."""
    opened_batch.raise_fence()
    custody.undo_derivation(opened_batch.batch_step())
    with pytest.raises(IntegrityError):
        custody.derive_slice(opened_batch.slice_step())
    assert opened_batch.wallets() == []


def test_leaving_after_activation_keeps_the_active(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """A wallet that is active keeps its state and its account; only the others are revoked."""
    custody.derive_slice(opened_batch.slice_step())
    custody.verify_range(opened_batch.slice_step())
    with opened_batch.writing() as connection:
        connection.execute(
            text(
                "UPDATE wallets SET state = 'active', wave = 1, activated_at = clock_timestamp()"
                " WHERE batch_no = :batch_no AND ordinal = 0"
            ),
            {"batch_no": opened_batch.batch_no},
        )
    opened_batch.raise_fence()
    undone = custody.undo_derivation(opened_batch.batch_step())
    assert undone.counts == {"revoked": len(opened_batch.wallets()) - 2, "burned_accounts": 0}
    assert {row.state for row in opened_batch.wallets() if row.ordinal == 0} == {"active"}


def test_a_step_of_an_older_fence_leaves_no_wallet(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Once the fence was raised, what was scheduled before opens, stores and verifies nothing."""
    stale = opened_batch.slice_step(), opened_batch.tranche_step()
    opened_batch.raise_fence()
    for attempt in (
        lambda: custody.derive_slice(stale[0]),
        lambda: custody.verify_range(stale[0]),
        lambda: custody.open_keyring(stale[1]),
    ):
        with pytest.raises(StaleFenceError):
            attempt()
    assert opened_batch.wallets() == []
    assert _kinds(opened_batch, stale[0].audit_chain) == []


@pytest.mark.usefixtures("sealed_key_service")
def test_a_sealed_key_service_is_waited_for(batch: AskedBatch, custody: CustodyActivities) -> None:
    """While the key service is sealed no keyring is stored, and the error is one that retries."""
    with pytest.raises(ServiceUnavailableError):
        custody.open_keyring(batch.tranche_step())
    assert batch.keyrings() == []


def test_no_error_carries_the_seed(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Whatever goes wrong around a seed, no text, cause, context or frame of the error holds any of it."""
    secrets = _secrets_of(opened_batch)
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.tamper("wallets", "address = lower(address) WHERE ordinal > 0")
    told = [_told(custody, opened_batch, "verify_range")]
    opened_batch.tamper("keyrings", "tenant = 'other' WHERE tenant = 'acme'")
    told.append(_told(custody, opened_batch, "verify_range"))
    opened_batch.tamper("slices", "stage = 'derived-before' WHERE stage = 'derive'")
    told.append(_told(custody, opened_batch, "derive_slice"))
    for trace in told:
        assert not [secret for secret in secrets if secret in trace]


def _secrets_of(batch: AskedBatch) -> list[str]:
    """Entropy and seed of the batch, in every form that a text could hold them."""
    (row,) = batch.keyrings()
    sealed = SealedSeed(
        ciphertext=bytes(row.ciphertext),
        nonce=bytes(row.nonce),
        wrapped_key=row.wrapped_key,
        provider=row.provider,
    )
    scope = SealScope(tenant=row.tenant, keyring_id=row.keyring_id, purpose="seed")
    with opened(TransitKeyService(transit=batch.room.transit), sealed, scope) as entropy:
        raw = [bytes(entropy), bytes(seed_from_entropy(entropy))]
    return [form for secret in raw for form in (secret.hex(), repr(secret), repr(bytearray(secret)))]


def _told(custody: CustodyActivities, batch: AskedBatch, method: str) -> str:
    """Everything an error tells: its chain with every frame's own values."""
    with pytest.raises(IntegrityError) as caught:
        getattr(custody, method)(batch.slice_step())
    error = caught.value
    assert error.__cause__ is None
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([*trace.format(), repr(error), repr(error.details)])


def test_one_mounted_policy_is_enough(room: Room, tmp_path: Path) -> None:
    """Custody needs the policy's own text and no other jurisdiction's."""
    (tmp_path / "SG.toml").write_text(POLICY)
    batch = AskedBatch(room=room)
    batch.prepare()
    assert room.custody(policies=tmp_path).open_keyring(batch.tranche_step()).keyring_id
