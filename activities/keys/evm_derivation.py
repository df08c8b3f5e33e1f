"""Addresses of the EVM family from a seed: m/44'/60'/account'/0/index, one address for all its chains."""

from collections.abc import Iterable, Sequence

from activities.keys.chains import CHAINS, Chain
from activities.keys.child_keys import child_points
from activities.keys.derivation_path import DerivationPath
from activities.keys.evm_address import address_of_point
from activities.keys.extended_key import ExtendedKey
from activities.keys.possession import (
    PossessionContext,
    ProvenAddress,
    possession_message,
    sign_eip191,
)


def derive_addresses(seed: bytes | bytearray, account: int, indexes: Iterable[int]) -> list[str]:
    """Gives the checksummed address of each index, in the order asked for.

    Args:
        seed: the 64-byte BIP-39 seed.
        account: the account's number, hardened here.
        indexes: the wallets' numbers, in any order.
    """
    parent = ExtendedKey.from_seed(seed).descend(_parent_path(account))
    with parent.slot() as slot:
        return [address_of_point(point) for _, point in child_points(slot, parent, indexes)]


def derive_and_sign(
    seed: bytes | bytearray,
    *,
    account: int,
    indexes: Iterable[int],
    chains: Sequence[Chain],
    context: PossessionContext,
) -> list[ProvenAddress]:
    """Gives each index on each chain with its address and a signature over its possession text.

    Args:
        seed: the 64-byte BIP-39 seed.
        account: the account's number, hardened here.
        indexes: the wallets' numbers, in any order.
        chains: chains of the EVM family; each key is derived once for all of them.
        context: what the signed texts name beside the wallet.
    """
    parent_path = _parent_path(account)
    parent = ExtendedKey.from_seed(seed).descend(parent_path)
    stem = f"{parent_path}/"
    proven: list[ProvenAddress] = []
    with parent.slot() as slot:
        for index, point in child_points(slot, parent, indexes):
            path, address = f"{stem}{index}", address_of_point(point)
            for chain in chains:
                message = possession_message(context, chain_id=chain.chain_id, path=path, address=address)
                signature = sign_eip191(slot, message)
                proven.append(ProvenAddress(index, chain.chain_id, path, address, signature))
    return proven


def _parent_path(account: int) -> DerivationPath:
    """Gives the path right above the index level, the same for every chain of the family."""
    any_wallet = CHAINS["ethereum"].path(account=account, index=0)
    return DerivationPath(steps=any_wallet.steps[:-1])
