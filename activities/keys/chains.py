"""The chains wallets are made for, as data: a new chain is one entry, its codec and its published vectors.

Chains of one family have the same address for the same index: it is derived once for all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from activities.keys.derivation_path import DerivationPath
from activities.keys.errors import KeyMaterialError


class Curve(StrEnum):
    """The curve a chain's keys lie on, and with it the way children are derived."""

    SECP256K1 = "secp256k1"


class AddressCodec(StrEnum):
    """How a public key becomes the text of an address."""

    EIP55 = "eip55"


class MessageFormat(StrEnum):
    """How a chain's wallets sign a text."""

    EIP191 = "eip191"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain: what its wallets' keys, paths, addresses and signed texts look like."""

    chain_id: str
    family: str
    curve: Curve
    coin_type: int
    """Registered coin type (SLIP-44), the second step of the path."""
    path_template: str
    path_depth: int
    address_codec: AddressCodec
    message_format: MessageFormat
    evm_chain_number: int | None = None
    """The number in EIP-155 signatures; None off the EVM."""

    def path(self, *, account: int, index: int) -> DerivationPath:
        """Gives the path of one custodial wallet."""
        text = self.path_template.format(coin=self.coin_type, account=account, index=index)
        return DerivationPath.parse(text, depth=self.path_depth)


def _evm(chain_id: str, evm_chain_number: int) -> Chain:
    return Chain(
        chain_id=chain_id,
        family="evm",
        curve=Curve.SECP256K1,
        coin_type=60,
        path_template="m/44'/{coin}'/{account}'/0/{index}",
        path_depth=5,
        address_codec=AddressCodec.EIP55,
        message_format=MessageFormat.EIP191,
        evm_chain_number=evm_chain_number,
    )


CHAINS: Final[Mapping[str, Chain]] = MappingProxyType(
    {chain.chain_id: chain for chain in (_evm("ethereum", 1), _evm("bsc", 56), _evm("polygon", 137))}
)
"""Every known chain by its id."""


def by_family(chain_ids: Iterable[str]) -> Mapping[str, tuple[Chain, ...]]:
    """Gives the chains of a request grouped by the family that shares an address, in request order."""
    groups: dict[str, tuple[Chain, ...]] = {}
    for chain_id in dict.fromkeys(chain_ids):
        chain = CHAINS.get(chain_id)
        if chain is None:
            raise KeyMaterialError("a chain is not in the registry")
        groups[chain.family] = (*groups.get(chain.family, ()), chain)
    return groups
