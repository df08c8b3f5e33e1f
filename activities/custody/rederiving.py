"""Stored wallets, derived again by the second path: a difference stops the batch and pages a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from activities import merkle
from activities.activation.attested_wallets import Run, ordinal_range
from activities.contracts.custody import VerifiedRange
from activities.contracts.shapes import SliceResult, SliceStep
from activities.custody.keyrings import ACCOUNT, Keyring
from activities.custody.second_path_run import KeyServiceAddress, SecondPathJob, run_second_path
from activities.digests import wallet_leaf
from activities.failures import IntegrityError, PolicyViolationError
from activities.keys.chains import CHAINS
from activities.store import slices
from activities.store.tables import slices as slice_rows
from activities.store.tables import wallets

DERIVED: Final = "derive"
"""The stage of slices whose addresses are stored and signed."""

READY: Final = "verify"
"""The stage of ranges that the second path has derived again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWallets:
    """The wallets of a range of ordinals, by ordinal and chain, with the root over them."""

    first: int
    last: int
    rows: Sequence[Any]

    @property
    def root(self) -> str:
        """The root (hex) over ordinal, chain, path and address."""
        return merkle.root(
            wallet_leaf(
                ordinal=row.ordinal,
                chain=row.chain,
                path=str(CHAINS[row.chain].path(account=row.account, index=row.address_index)),
                address=row.address,
            )
            for row in self.rows
        ).hex()


def verified_range(connection: Connection, *, batch_no: int, step: SliceStep) -> VerifiedRange | None:
    """Gives what the second path found when this range was verified, or None.

    Raises: PolicyViolationError when another range was verified under its index.
    """
    row = connection.execute(
        select(slice_rows.c.first_position, slice_rows.c.length, slice_rows.c.counts).where(
            slice_rows.c.batch_no == batch_no,
            slice_rows.c.stage == READY,
            slice_rows.c.tranche == step.tranche,
            slice_rows.c.slice_index == step.slice_index,
        )
    ).one_or_none()
    if row is None:
        return None
    if (row.first_position, row.length) != (step.offset, step.length):
        raise PolicyViolationError("another range was verified under this index", step.slice_index)
    return VerifiedRange(**row.counts)


def stored_wallets(connection: Connection, *, batch_no: int, step: SliceStep) -> StoredWallets:
    """Gives the tranche's wallets of a range of positions, all of whose slices are derived.

    Raises: PolicyViolationError while a slice is missing, IntegrityError when a wallet of one is.
    """
    derived = connection.execute(
        select(
            func.coalesce(func.sum(slice_rows.c.length), 0).label("positions"),
            func.coalesce(func.sum(slice_rows.c.row_count), 0).label("wallets"),
        ).where(
            slice_rows.c.batch_no == batch_no,
            slice_rows.c.stage == DERIVED,
            slice_rows.c.tranche == step.tranche,
            slice_rows.c.first_position >= step.offset,
            slice_rows.c.first_position + slice_rows.c.length <= step.offset + step.length,
        )
    ).one()
    if step.length < 1 or derived.positions != step.length:
        raise PolicyViolationError("a range is verified once all of its slices are derived", step.slice_index)
    stored = _wallets_of(connection, batch_no, step)
    if len(stored.rows) != derived.wallets:
        raise IntegrityError("a range holds another number of wallets than was derived", step.slice_index)
    return stored


def make_ready(
    connection: Connection, stored: StoredWallets, *, batch_no: int, step: SliceStep, verified: VerifiedRange
) -> SliceResult:
    """Records that a range was verified, and makes its wallets ready; gives what was recorded."""
    connection.execute(
        update(wallets)
        .where(wallets.c.batch_no == batch_no, wallets.c.tranche == step.tranche)
        .where(wallets.c.ordinal.between(stored.first, stored.last))
        .where(wallets.c.state == "derived")
        .values(state="ready")
    )
    counts = {"checked": verified.checked, "sampled": verified.sampled}
    result = SliceResult(row_count=len(stored.rows), root=stored.root, counts=counts)
    slices.record(connection, batch_no=batch_no, stage=READY, step=step, result=result)
    return result


def _wallets_of(connection: Connection, batch_no: int, step: SliceStep) -> StoredWallets:
    run = Run(
        batch_no=batch_no,
        batch_id=step.batch_id,
        tranche=step.tranche,
        offset=step.offset,
        length=step.length,
    )
    ordinals = ordinal_range(connection, run)
    if ordinals is None:
        return StoredWallets(first=0, last=-1, rows=())
    rows = connection.execute(
        select(
            wallets.c.ordinal,
            wallets.c.chain,
            wallets.c.keyring_no,
            wallets.c.account,
            wallets.c.address_index,
            wallets.c.address,
        ).where(
            wallets.c.batch_no == batch_no,
            wallets.c.tranche == step.tranche,
            wallets.c.ordinal.between(ordinals.first, ordinals.last),
        )
    ).all()
    ordered = sorted(rows, key=lambda row: (row.ordinal, row.chain))
    return StoredWallets(first=ordinals.first, last=ordinals.last, rows=ordered)


def derive_again(key_service: KeyServiceAddress, keyring: Keyring, stored: StoredWallets) -> VerifiedRange:
    """Gives how many addresses were derived again, each family's once for all of its chains.

    Raises: IntegrityError when a stored address is not the one the second path finds, or stands under
        another keyring or account.
    """
    own = (keyring.keyring_no, ACCOUNT)
    if any((row.keyring_no, row.account) != own for row in stored.rows):
        raise IntegrityError("a wallet stands under another keyring", keyring.scope.keyring_id)
    checked = sampled = 0
    for family, expected in _by_family(stored).items():
        report = run_second_path(
            SecondPathJob(
                key_service=key_service,
                sealed=keyring.sealed,
                scope=keyring.scope,
                family=family,
                account=ACCOUNT,
                count=len(expected),
                expected=expected.items(),
            )
        )
        if report.mismatch_count:
            raise IntegrityError(
                "the second path derives other addresses", keyring.scope.keyring_id, report.mismatch_count
            )
        checked, sampled = checked + report.checked, sampled + report.sampled
    return VerifiedRange(checked=checked, sampled=sampled)


def _by_family(stored: StoredWallets) -> dict[str, dict[int, str]]:
    """Index and address by family; the chains of a family share the address.

    Raises: IntegrityError when they do not.
    """
    families: dict[str, dict[int, str]] = {}
    for row in stored.rows:
        expected = families.setdefault(CHAINS[row.chain].family, {})
        if expected.setdefault(row.address_index, row.address) != row.address:
            raise IntegrityError("chains of one family have different addresses", row.ordinal)
    return families
