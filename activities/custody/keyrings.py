"""Keyrings in the store: one sealed seed a batch, and the accounts it took for ever."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, text, update

from activities.custody.authority import Authority
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed
from activities.failures import PolicyViolationError
from activities.keys.chains import CHAINS
from activities.store.tables import keyring_accounts, keyrings

BATCH_SCOPE: Final = "batch"
ACCOUNT: Final = 0
"""A keyring of scope `batch` has one batch, so its first account."""

PURPOSE: Final = "seed"

_REVOKED: Final = text("SELECT count(*) FROM wallets WHERE batch_no = :batch_no AND state = 'revoked'")
_REVOKE: Final = text(
    "UPDATE wallets SET state = 'revoked' WHERE batch_no = :batch_no AND state IN ('derived', 'ready')"
)
_USED: Final = text("SELECT EXISTS (SELECT FROM wallets WHERE batch_no = :batch_no AND state <> 'revoked')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """A stored seed with the scope it opens for."""

    keyring_no: int
    sealed: SealedSeed
    scope: SealScope


def find_keyring(connection: Connection, *, batch_no: int) -> Keyring | None:
    """Gives the batch's keyring, or None while it has none."""
    row: Row[Any] | None = connection.execute(
        select(keyrings).where(keyrings.c.batch_no == batch_no)
    ).one_or_none()
    if row is None:
        return None
    return Keyring(
        keyring_no=row.keyring_no,
        sealed=SealedSeed(
            ciphertext=bytes(row.ciphertext),
            nonce=bytes(row.nonce),
            wrapped_key=row.wrapped_key,
            provider=row.provider,
        ),
        scope=SealScope(tenant=row.tenant, keyring_id=row.keyring_id, purpose=PURPOSE),
    )


def require_keyring(connection: Connection, *, batch_no: int) -> Keyring:
    """Gives the batch's keyring.

    Raises: PolicyViolationError when none was opened.
    """
    keyring = find_keyring(connection, batch_no=batch_no)
    if keyring is None:
        raise PolicyViolationError("no keyring was opened for this batch")
    return keyring


def store_keyring(connection: Connection, authority: Authority, scope: SealScope, sealed: SealedSeed) -> None:
    """Stores a sealed seed and takes its accounts, one for each coin type of the batch's chains."""
    keyring_no = connection.execute(
        insert(keyrings)
        .values(
            keyring_id=scope.keyring_id,
            scope=BATCH_SCOPE,
            tenant=authority.tenant,
            batch_no=authority.batch_no,
            ciphertext=sealed.ciphertext,
            nonce=sealed.nonce,
            wrapped_key=sealed.wrapped_key,
            provider=sealed.provider,
        )
        .returning(keyrings.c.keyring_no)
    ).scalar_one()
    coins = sorted({CHAINS[chain].coin_type for chain in authority.chains})
    connection.execute(
        insert(keyring_accounts),
        [
            {
                "keyring_no": keyring_no,
                "coin_type": coin,
                "account": ACCOUNT,
                "batch_no": authority.batch_no,
            }
            for coin in coins
        ],
    )


def revoke(connection: Connection, batch_no: int) -> dict[str, int]:
    """Revokes every wallet that nobody was told of, and burns the accounts of which none is left in use."""
    revoked = connection.execute(_REVOKE, {"batch_no": batch_no}).rowcount
    if connection.execute(_USED, {"batch_no": batch_no}).scalar_one():
        return {"revoked": revoked, "burned_accounts": 0}
    burned = connection.execute(
        update(keyring_accounts)
        .where(keyring_accounts.c.batch_no == batch_no, keyring_accounts.c.burned_at.is_(None))
        .values(burned_at=func.clock_timestamp())
    ).rowcount
    return {"revoked": revoked, "burned_accounts": burned}


def revoked_count(connection: Connection, batch_no: int) -> int:
    """Counts the batch's revoked wallets, whichever call revoked them."""
    return int(connection.execute(_REVOKED, {"batch_no": batch_no}).scalar_one())
