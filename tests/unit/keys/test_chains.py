"""The chain registry."""

import re

import pytest

from activities.keys.chains import CHAINS, by_family
from activities.keys.derivation import DERIVATIONS
from activities.keys.derivation_path import HARDENED
from activities.keys.errors import KeyMaterialError


def test_every_entry_is_whole() -> None:
    """Each chain's id is its key, its path has its depth and coin, and its family can be derived."""
    for chain_id, chain in CHAINS.items():
        assert chain_id == chain.chain_id
        assert re.fullmatch(r"[a-z][a-z0-9-]{1,31}", chain_id)
        path = chain.path(account=3, index=HARDENED - 1)
        assert path.steps[1:3] == (HARDENED + chain.coin_type, HARDENED + 3)
        assert chain.family in DERIVATIONS


def test_evm_chains_share_path_and_differ_in_number() -> None:
    """The three EVM chains have one path and their own published chain numbers (EIP-155)."""
    assert {c.evm_chain_number for c in CHAINS.values()} == {1, 56, 137}
    assert {str(c.path(account=0, index=5)) for c in CHAINS.values()} == {"m/44'/60'/0'/0/5"}


def test_chains_are_grouped_by_family_once_each() -> None:
    """A chain named twice is derived once, and the request's order is kept."""
    groups = by_family(["polygon", "ethereum", "polygon"])
    assert [chain.chain_id for chain in groups["evm"]] == ["polygon", "ethereum"]


def test_an_unknown_chain_is_refused() -> None:
    """A chain outside the registry is refused before anything is derived."""
    with pytest.raises(KeyMaterialError):
        by_family(["ethereum", "dogecoin"])


@pytest.mark.parametrize(("account", "index"), [(HARDENED, 0), (0, HARDENED), (-1, 0), (0, -1)])
def test_numbers_beyond_a_path_are_refused(account: int, index: int) -> None:
    """An account or index that no path can write is refused."""
    with pytest.raises(KeyMaterialError):
        CHAINS["ethereum"].path(account=account, index=index)
