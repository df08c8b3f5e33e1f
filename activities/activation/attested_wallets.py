"""The addresses custody signed: which wallets a run of positions holds, and that the signature is theirs.

Believes no address of the database before its slice's root is made again and custody's signature holds.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Row, select

from activities import merkle
from activities.contracts.shapes import MAIN_TRANCHE
from activities.digests import slice_message, wallet_leaf
from activities.failures import IntegrityError
from activities.keys.chains import CHAINS
from activities.store.tables import adjudications, slices, wallets

DERIVED: Final = "derive"
"""The stage whose slices custody signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The positions [offset, offset + length) of one tranche of one batch."""

    batch_no: int
    batch_id: str
    tranche: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalRange:
    """Ordinals from `first` to `last`, both included; the tranche's wallets among them are the run's."""

    first: int
    last: int


def ordinal_range(connection: Connection, run: Run) -> OrdinalRange | None:
    """Gives the ordinals of a run; None when it holds nobody.

    In the late tranche a position is the rank among the cleared holds.
    """
    if run.length < 1:
        return None
    if run.tranche == MAIN_TRANCHE:
        return OrdinalRange(first=run.offset, last=run.offset + run.length - 1)
    ranked = connection.execute(
        select(adjudications.c.ordinal)
        .where(
            adjudications.c.batch_no == run.batch_no,
            adjudications.c.tranche == run.tranche,
            adjudications.c.decision == "clear",
        )
        .order_by(adjudications.c.ordinal)
        .offset(run.offset)
        .limit(run.length)
    )
    ordinals = ranked.scalars().all()
    return OrdinalRange(first=ordinals[0], last=ordinals[-1]) if ordinals else None


def attested_addresses(
    connection: Connection, run: Run, *, deployment: str, attest_keys: Sequence[bytes]
) -> dict[tuple[int, str], str]:
    """Gives the addresses, by ordinal and chain, of every signed slice that overlaps the run.

    Raises: IntegrityError when a slice's addresses are not the ones custody signed, or no signed slice holds
        some position of the run: a custody that only says it derived has derived nothing.
    """
    found = connection.execute(
        select(slices)
        .where(
            slices.c.batch_no == run.batch_no,
            slices.c.stage == DERIVED,
            slices.c.tranche == run.tranche,
            slices.c.first_position < run.offset + run.length,
            slices.c.first_position + slices.c.length > run.offset,
        )
        .order_by(slices.c.first_position)
    ).all()
    _require_whole(run, [(part.first_position, part.length) for part in found])
    addresses: dict[tuple[int, str], str] = {}
    for signed in found:
        addresses |= _signed_slice(connection, run, signed, deployment, attest_keys)
    return addresses


def _require_whole(run: Run, parts: Iterable[tuple[int, int]]) -> None:
    """Requires that the parts, by first position, leave no gap in the run."""
    reached = run.offset
    for first, length in parts:
        if first <= reached:
            reached = max(reached, first + length)
    if reached < run.offset + run.length:
        raise IntegrityError("custody signed no slice for some positions", reached)


def _signed_slice(
    connection: Connection, run: Run, signed: Row[Any], deployment: str, attest_keys: Sequence[bytes]
) -> dict[tuple[int, str], str]:
    part = Run(
        batch_no=run.batch_no,
        batch_id=run.batch_id,
        tranche=run.tranche,
        offset=signed.first_position,
        length=signed.length,
    )
    rows = _wallet_rows(connection, part)
    root = merkle.root(_leaf(row) for row in rows)
    message = slice_message(
        deployment=deployment,
        batch_id=run.batch_id,
        tranche=run.tranche,
        slice_index=signed.slice_index,
        first_position=signed.first_position,
        length=signed.length,
        row_count=len(rows),
        root=root.hex(),
    )
    if not _holds(signed.signature, message, attest_keys):
        raise IntegrityError("the addresses of a slice are not the ones custody signed", signed.slice_index)
    return {(row.ordinal, row.chain): row.address for row in rows}


def _wallet_rows(connection: Connection, part: Run) -> list[Row[Any]]:
    """In the order the root is over; sorted here, because a database's collation may order text otherwise."""
    ordinals = ordinal_range(connection, part)
    if ordinals is None:
        return []
    rows = connection.execute(
        select(
            wallets.c.ordinal,
            wallets.c.chain,
            wallets.c.account,
            wallets.c.address_index,
            wallets.c.address,
        ).where(
            wallets.c.batch_no == part.batch_no,
            wallets.c.tranche == part.tranche,
            wallets.c.ordinal.between(ordinals.first, ordinals.last),
        )
    )
    found: Sequence[Any] = rows.all()
    return sorted(found, key=lambda row: (row.ordinal, row.chain))


def _leaf(row: Row[Any]) -> bytes:
    chain = CHAINS.get(row.chain)
    if chain is None:
        raise IntegrityError("a wallet is on a chain that is not in the registry", row.ordinal)
    path = chain.path_template.format(coin=chain.coin_type, account=row.account, index=row.address_index)
    return wallet_leaf(ordinal=row.ordinal, chain=row.chain, path=path, address=row.address)


def _holds(signature: str | None, message: bytes, attest_keys: Iterable[bytes]) -> bool:
    try:
        raw = base64.b64decode(signature or "", validate=True)
    except binascii.Error:
        return False
    return any(_verifies(key, raw, message) for key in attest_keys)


def _verifies(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
