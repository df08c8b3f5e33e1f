"""Wallets of any mix of chains from one seed: each family's derivation is found by name in one table."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from activities.keys import evm_derivation
from activities.keys.chains import Chain, by_family
from activities.keys.possession import PossessionContext, ProvenAddress


class FamilyDerivation(Protocol):
    """Derives and proves the wallets of one family of chains."""

    def __call__(
        self,
        seed: bytes | bytearray,
        *,
        account: int,
        indexes: Iterable[int],
        chains: Sequence[Chain],
        context: PossessionContext,
    ) -> list[ProvenAddress]:
        """Gives each index on each chain with its address and proof of possession."""


DERIVATIONS: Final[Mapping[str, FamilyDerivation]] = MappingProxyType({"evm": evm_derivation.derive_and_sign})
"""The derivation of every family in the chain registry."""


def derive_wallets(
    seed: bytes | bytearray,
    *,
    account: int,
    indexes: Sequence[int],
    chain_ids: Iterable[str],
    context: PossessionContext,
) -> list[ProvenAddress]:
    """Gives the wallets of a slice: family by family, index by index, chain by chain.

    Raises: KeyMaterialError for an unknown chain, an index or account of 2^31 or more, and an index that
        has no key.
    """
    return [
        proven
        for family, chains in by_family(chain_ids).items()
        for proven in DERIVATIONS[family](
            seed, account=account, indexes=indexes, chains=chains, context=context
        )
    ]
