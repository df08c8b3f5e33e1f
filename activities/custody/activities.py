"""The custody queue's activities: each proves its authority, then opens, derives, checks or signs.

No seed is in the clear here: that is behind the key room's door. Of a subject only its ordinal is known.
"""

from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert
from temporalio import activity

from activities import merkle
from activities.contracts.custody import AttestedHead, Custody, OpenedKeyring, VerifiedRange
from activities.contracts.shapes import (
    BatchStep,
    SliceResult,
    SliceStep,
    TrancheStep,
    Undone,
    batch_chain,
)
from activities.custody import key_room, keyrings
from activities.custody.attesting import Attester
from activities.custody.authority import Authority, require_authority
from activities.custody.entitled import entitled_ordinals, require_true_counts
from activities.custody.rederiving import (
    DERIVED,
    READY,
    derive_again,
    make_ready,
    stored_wallets,
    verified_range,
)
from activities.custody.refusals import recorded_refusals
from activities.custody.scope import SealScope
from activities.custody.sealing import KeyService
from activities.custody.second_path_run import KeyServiceAddress
from activities.digests import wallet_leaf
from activities.failures import IntegrityError, PolicyViolationError
from activities.keys.possession import PossessionContext, ProvenAddress
from activities.store import audit, slices
from activities.store.database import Database, copy_rows, hold_fence
from activities.store.locks import lock, lock_slice
from activities.store.tables import attestations, batches
from activities.trust.mounted import mounted_trust

FIRST_FENCE = 1
"""The fence a batch is claimed with; whoever undoes raises it first."""

_COLUMNS = (
    "batch_no",
    "ordinal",
    "chain",
    "keyring_no",
    "account",
    "address_index",
    "address",
    "possession",
    "tranche",
)
_TYPES = ("int8", "int4", "text", "int8", "int4", "int4", "text", "bytea", "int2")


class CustodyActivities(Custody):
    """What only the custody process does."""

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyService,
        key_service: KeyServiceAddress,
        attester: Attester,
        trust: Path,
        policies: Path,
    ) -> None:
        self._database = database
        self._keys = keys
        self._key_service = key_service
        self._attester = attester
        self._trust = trust
        self._policies = policies

    @activity.defn
    @recorded_refusals
    def open_keyring(self, step: TrancheStep) -> OpenedKeyring:
        """Makes, seals and reads back the batch's seed, once.

        Raises: PolicyViolationError when approvals or verdicts do not carry the evidence.
        Retry: the sealed keyring is found.
        """
        authority, keyring = self._intend_keyring(step)
        if keyring is not None:
            return OpenedKeyring(keyring_id=keyring.scope.keyring_id)
        scope = SealScope(tenant=authority.tenant, keyring_id=str(uuid4()), purpose=keyrings.PURPOSE)
        sealed = key_room.make_seed(self._keys, scope)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock(connection, f"keyring/{step.batch_id}")
            found = keyrings.find_keyring(connection, batch_no=batch_no)
            if found is not None:
                return OpenedKeyring(keyring_id=found.scope.keyring_id)
            keyrings.store_keyring(connection, authority, scope, sealed)
            facts = {"keyring_id": scope.keyring_id, "provider": sealed.provider}
            audit.append(connection, batch_chain(step.batch_id), kind="keyring.opened", facts=facts)
        return OpenedKeyring(keyring_id=scope.keyring_id)

    @activity.defn
    @recorded_refusals
    def derive_slice(self, step: SliceStep) -> SliceResult:
        """Stores the slice's addresses with possession signatures and signs the slice's root.

        Raises: PolicyViolationError when approvals, verdicts or cleared holds do not carry the slice.
        Retry: the recorded result of a committed slice is returned.
        """
        with self._database.transaction() as connection:
            authority = self._authority(connection, step.batch_id, step.tranche)
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            recorded = slices.recorded(connection, batch_no=authority.batch_no, stage=DERIVED, step=step)
            if recorded is not None:
                return recorded
            chain = slices.require_own_chain(step)
            ordinals = entitled_ordinals(connection, authority, step)
            keyring = keyrings.require_keyring(connection, batch_no=authority.batch_no)
            intent = {"stage": DERIVED, "slice_index": step.slice_index, "tranche": step.tranche}
            audit.append(connection, chain, kind="slice.intent", facts=intent)
        derived = key_room.derive_slice(
            self._keys,
            keyring.sealed,
            keyring.scope,
            account=keyrings.ACCOUNT,
            indexes=ordinals,
            chain_ids=authority.chains,
            possession=self._possession(authority),
        )
        return self._store_slice(step, authority, keyring, derived)

    @activity.defn
    @recorded_refusals
    def verify_range(self, step: SliceStep) -> VerifiedRange:
        """Derives the range again in a fresh process by the second path; agreeing wallets become ready.

        Raises: IntegrityError on any difference, which pages a person.
        """
        with self._database.transaction() as connection:
            authority = self._authority(connection, step.batch_id, step.tranche)
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            recorded = verified_range(connection, batch_no=authority.batch_no, step=step)
            if recorded is not None:
                return recorded
            chain = slices.require_own_chain(step)
            keyring = keyrings.require_keyring(connection, batch_no=authority.batch_no)
            stored = stored_wallets(connection, batch_no=authority.batch_no, step=step)
        verified = derive_again(self._key_service, keyring, stored)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_slice(connection, READY, step)
            recorded = verified_range(connection, batch_no=batch_no, step=step)
            if recorded is not None:
                return recorded
            result = make_ready(connection, stored, batch_no=batch_no, step=step, verified=verified)
            facts = {
                "slice_index": step.slice_index,
                "tranche": step.tranche,
                "first_position": step.offset,
                "length": step.length,
                "row_count": result.row_count,
                "root": result.root,
                **result.counts,
            }
            audit.append(connection, chain, kind="range.verified", facts=facts)
        return verified

    @activity.defn
    @recorded_refusals
    def attest_head(self, step: BatchStep) -> AttestedHead:
        """Signs the head of the batch's audit chain.

        Raises: PolicyViolationError for an unknown batch, IntegrityError when an attested head has changed.
        Retry: the same head gets the same attestation.
        """
        chain = batch_chain(step.batch_id)
        with self._database.transaction() as connection:
            batch_no = connection.execute(
                select(batches.c.batch_no).where(batches.c.batch_id == step.batch_id)
            ).scalar_one_or_none()
            if batch_no is None:
                raise PolicyViolationError("no batch of this id is on record")
            head = audit.head(connection, chain)
            known = _attestation(connection, batch_no, chain, head)
        if known is not None:
            return known
        signed = self._attester.sign_head(batch_id=step.batch_id, chain=chain, head=head)
        with self._database.transaction() as connection:
            connection.execute(
                insert(attestations)
                .values(
                    batch_no=batch_no,
                    chain=chain,
                    seq=head.seq,
                    head=head.hash,
                    message=signed.message,
                    signature=signed.signature,
                )
                .on_conflict_do_nothing()
            )
            known = _attestation(connection, batch_no, chain, head)
        if known is None:
            raise IntegrityError("an attestation is gone right after it was stored", step.batch_id)
        return known

    @activity.defn
    @recorded_refusals
    def undo_derivation(self, step: BatchStep) -> Undone:
        """Revokes wallets that are not active, and burns the batch's accounts when none is active.

        Raises: PolicyViolationError unless the fence was raised, which is how leaving early begins.
        """
        if step.fence <= FIRST_FENCE:
            raise PolicyViolationError("custody undoes nothing before the batch's fence was raised")
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            counts = keyrings.revoke(connection, batch_no)
            if any(counts.values()):
                audit.append(connection, batch_chain(step.batch_id), kind="undo.derivation", facts=counts)
            revoked = keyrings.revoked_count(connection, batch_no)
        return Undone(counts={**counts, "revoked": revoked})

    def _authority(self, connection: Connection, batch_id: str, tranche: int) -> Authority:
        return require_authority(
            connection,
            batch_id=batch_id,
            tranche=tranche,
            trust=mounted_trust(self._trust),
            policies=self._policies,
        )

    def _intend_keyring(self, step: TrancheStep) -> tuple[Authority, keyrings.Keyring | None]:
        """The intent is on record before there is entropy, so that a crash leaves evidence."""
        with self._database.transaction() as connection:
            authority = self._authority(connection, step.batch_id, step.tranche)
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            require_true_counts(connection, authority, tranche=step.tranche)
            keyring = keyrings.find_keyring(connection, batch_no=authority.batch_no)
            if keyring is None:
                facts = {"plan_digest": authority.plan_digest, "tranche": step.tranche}
                audit.append(connection, batch_chain(step.batch_id), kind="keyring.intent", facts=facts)
        return authority, keyring

    def _possession(self, authority: Authority) -> PossessionContext:
        return PossessionContext(
            deployment=self._attester.deployment,
            batch_id=authority.batch_id,
            plan_digest=authority.plan_digest,
        )

    def _store_slice(
        self,
        step: SliceStep,
        authority: Authority,
        keyring: keyrings.Keyring,
        derived: list[ProvenAddress],
    ) -> SliceResult:
        derived = sorted(derived, key=lambda wallet: (wallet.index, wallet.chain_id))
        root = merkle.root(
            wallet_leaf(ordinal=w.index, chain=w.chain_id, path=w.path, address=w.address) for w in derived
        ).hex()
        signature = self._attester.sign_slice(step, row_count=len(derived), root=root)
        result = SliceResult(row_count=len(derived), root=root, counts={"ready": len(derived)})
        rows = (
            (
                authority.batch_no,
                wallet.index,
                wallet.chain_id,
                keyring.keyring_no,
                keyrings.ACCOUNT,
                wallet.index,
                wallet.address,
                wallet.possession,
                step.tranche,
            )
            for wallet in derived
        )
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_slice(connection, DERIVED, step)
            recorded = slices.recorded(connection, batch_no=batch_no, stage=DERIVED, step=step)
            if recorded is not None:
                return recorded
            copy_rows(connection, table="wallets", columns=_COLUMNS, types=_TYPES, rows=rows)
            slices.record(
                connection, batch_no=batch_no, stage=DERIVED, step=step, result=result, signature=signature
            )
            facts = {
                "stage": DERIVED,
                "slice_index": step.slice_index,
                "tranche": step.tranche,
                "row_count": result.row_count,
                "root": root,
                "counts": result.counts,
            }
            audit.append(connection, step.audit_chain, kind="slice.outcome", facts=facts)
        return result


def _attestation(
    connection: Connection, batch_no: int, chain: str, head: audit.AuditHead
) -> AttestedHead | None:
    """What was signed for a head, or None while nothing was.

    Raises: IntegrityError when the chain had another entry at this place.
    """
    row = connection.execute(
        select(attestations.c.head, attestations.c.signature).where(
            attestations.c.batch_no == batch_no,
            attestations.c.chain == chain,
            attestations.c.seq == head.seq,
        )
    ).one_or_none()
    if row is None:
        return None
    if bytes(row.head) != head.hash:
        raise IntegrityError("an attested audit head has changed", head.seq)
    return AttestedHead(seq=head.seq, head=head.hash.hex(), signature=row.signature)
