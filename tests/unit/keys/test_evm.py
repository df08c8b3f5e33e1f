"""EVM addresses, fast and slow, against published values and a second library."""

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.keys import secp256k1
from activities.keys.child_keys import child_points
from activities.keys.derivation_path import HARDENED
from activities.keys.errors import KeyMaterialError
from activities.keys.evm_address import address_of_point, parse_address
from activities.keys.evm_derivation import derive_addresses
from activities.keys.extended_key import ExtendedKey
from tests.unit.keys.second_library import (
    ABANDON_SEED,
    other_addresses,
    other_point,
    sum_of_points,
    tweak_of,
)
from tests.vectors import load_vectors


def _load(name: str) -> Any:
    return load_vectors(name)


def test_published_addresses_of_the_test_mnemonic_are_derived() -> None:
    """The first addresses of "abandon ... about" are the published ones."""
    vectors = [c for c in _load("bip44-coins/bip_utils-bip44.json") if c["coin"] == "Bip44Coins.ETHEREUM"]
    assert vectors[0]["addresses"][0] == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
    seed = bytes.fromhex(vectors[0]["seed"])
    assert derive_addresses(seed, 0, range(5)) == vectors[0]["addresses"]


def test_published_keys_have_their_addresses() -> None:
    """Each of the 259 published private keys has its published address."""
    cases = _load("eip55/ethers-accounts.json")
    assert len(cases) == 259
    for case in cases:
        secret = bytes.fromhex(case["privateKey"][2:])
        assert address_of_point(secp256k1.public_key(secret, compressed=False)[1:]) == case["address"]
    for case in _load("eip55/ethereum-keyaddrtest.json"):
        point = secp256k1.public_key(bytes.fromhex(case["key"]), compressed=False)
        assert address_of_point(point[1:]).lower() == "0x" + case["addr"]


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=16, max_size=64),
    st.integers(0, HARDENED - 1),
    st.lists(st.integers(0, HARDENED - 1), min_size=1, max_size=20),
)
def test_any_seed_gives_the_second_librarys_addresses(seed: bytes, account: int, indexes: list[int]) -> None:
    """Any seed, account and indexes, in any order, give what bip_utils derives."""
    assert derive_addresses(seed, account, indexes) == other_addresses(seed, account, indexes)


def test_seeds_with_leading_zeros_on_the_way_agree() -> None:
    """Master, account and change keys that begin with a zero byte give the second library's addresses."""
    found: set[int] = set()
    for number in range(4_000):
        seed = hashlib.sha512(number.to_bytes(4, "big")).digest()
        key = ExtendedKey.from_seed(seed)
        for level, step in enumerate((HARDENED + 44, HARDENED + 60, HARDENED, 0)):
            assert key.secret is not None
            if level not in found and key.secret[0] == 0:
                found.add(level)
                assert derive_addresses(seed, 0, range(3)) == other_addresses(seed, 0, [0, 1, 2])
            if found >= set(range(level + 1)):
                key = key.child(step)
            else:
                break
        if len(found) == 4:
            break
    assert found == {0, 1, 2, 3}


def test_children_with_leading_zeros_agree() -> None:
    """Children whose private key or tweak begins with a zero byte give the second library's addresses."""
    parent = ExtendedKey.from_seed(ABANDON_SEED)
    for step in (HARDENED + 44, HARDENED + 60, HARDENED, 0):
        parent = parent.child(step)
    assert parent.secret is not None
    start = int.from_bytes(parent.secret, "big")
    zero_tweak, zero_key = [], []
    for index in range(3_000):
        tweak = tweak_of(parent.point, parent.chain_code, index)
        child = (start + int.from_bytes(tweak, "big")) % secp256k1.ORDER
        if tweak[0] == 0:
            zero_tweak.append(index)
        if child >> 248 == 0:
            zero_key.append(index)
    indexes = zero_tweak + zero_key
    assert zero_tweak
    assert zero_key
    assert derive_addresses(ABANDON_SEED, 0, indexes) == other_addresses(ABANDON_SEED, 0, indexes)


@pytest.mark.parametrize("slot_class", [secp256k1.RawKeySlot, secp256k1.ObjectKeySlot])
def test_both_slots_agree_with_the_pure_curve(slot_class: type[Any]) -> None:
    """Raw binding and public objects give a pure-Python curve's points, in any order."""
    parent = ExtendedKey.from_seed(ABANDON_SEED)
    assert parent.secret is not None
    order = random.Random(7).sample(range(HARDENED), 5)  # noqa: S311 - picks test indexes, no key
    with slot_class(parent.secret) as slot:
        points = dict(child_points(slot, parent, order))
    for index in order:
        tweak = tweak_of(parent.point, parent.chain_code, index)
        assert points[index] == sum_of_points(parent.point, tweak)


@pytest.mark.parametrize("slot_class", [secp256k1.RawKeySlot, secp256k1.ObjectKeySlot])
def test_a_tweak_without_a_key_is_told(slot_class: type[Any]) -> None:
    """A tweak of n or more, and one that cancels the parent, load no key (BIP-32)."""
    parent = (5).to_bytes(32, "big")
    order = secp256k1.ORDER
    with slot_class(parent) as slot:
        assert not slot.load(order.to_bytes(32, "big"))
        assert not slot.load((2**256 - 1).to_bytes(32, "big"))
        assert not slot.load((order - 5).to_bytes(32, "big"))
        assert slot.load((order - 4).to_bytes(32, "big"))
        assert slot.point() == other_point((1).to_bytes(32, "big"))


class _NoKeySlot(secp256k1.ObjectKeySlot):
    """A slot in which no tweak gives a key: the case that arithmetic meets once in 2^127."""

    def load(self, tweak: bytes) -> bool:
        del tweak
        return False


def test_an_index_without_a_key_is_an_error() -> None:
    """An index that has no key is refused, never silently another one."""
    parent = ExtendedKey.from_seed(ABANDON_SEED)
    assert parent.secret is not None
    with _NoKeySlot(parent.secret) as slot, pytest.raises(KeyMaterialError):
        list(child_points(slot, parent, [0]))


@pytest.mark.parametrize("slot_class", [secp256k1.RawKeySlot, secp256k1.ObjectKeySlot])
def test_a_wiped_slot_neither_signs_nor_derives(slot_class: type[Any]) -> None:
    """After the block ends, the slot holds no key at all."""
    with slot_class((5).to_bytes(32, "big")) as slot:
        slot.load((1).to_bytes(32, "big"))
    for use in (slot.point, lambda: slot.sign(bytes(32))):
        with pytest.raises(KeyMaterialError):
            use()


@pytest.mark.parametrize("index", [-1, HARDENED, 2**32])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    """A hardened or negative index is refused on the fast path."""
    with pytest.raises(KeyMaterialError):
        derive_addresses(ABANDON_SEED, 0, [index])


@pytest.mark.parametrize(
    "secret", [b"", bytes(31), bytes(32), secp256k1.ORDER.to_bytes(32, "big"), b"\1" * 33]
)
def test_what_is_no_private_key_is_refused(secret: bytes) -> None:
    """Zero, n and wrong lengths are no private keys."""
    with pytest.raises(KeyMaterialError):
        secp256k1.public_key(secret)
    with pytest.raises(KeyMaterialError):
        secp256k1.open_slot(secret)


def test_published_checksummed_addresses_are_read() -> None:
    """Every published EIP-55 address reads back as itself; one case only gains its checksum."""
    groups = _load("eip55/eip55-addresses.json")
    for address in (a for group in groups.values() for a in group):
        assert parse_address(address).lower() == address.lower()
    for address in groups["normal"]:
        assert parse_address(address.lower()) == address
        assert parse_address("0x" + address[2:].upper()) == address


def test_addresses_with_a_foreign_checksum_are_refused() -> None:
    """A mixed-case RSK address that differs from Ethereum's is refused; one case carries no checksum."""
    groups = _load("eip55/eip1191-addresses.json")
    ethereum = set(groups["eth_mainnet"])
    published = {a for name, group in groups.items() if name.startswith("rsk") for a in group}
    foreign = [a for a in published - ethereum if a[2:] not in (a[2:].lower(), a[2:].upper())]
    assert len(foreign) > 10
    for address in foreign:
        with pytest.raises(KeyMaterialError):
            parse_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "9858EfFD232B4033E47d90003D41EC34EcaEda94",
        "0X9858EfFD232B4033E47d90003D41EC34EcaEda94",
        "0x9858EfFD232B4033E47d90003D41EC34EcaEda9",
        "0x9858EfFD232B4033E47d90003D41EC34EcaEda944",
        "0x9858efFD232B4033E47d90003D41EC34EcaEda94",
        "0x9858EfFD232B4033E47d90003D41EC34EcaEda94\n",
        "0x9858EfFD232B4033E47d90003D41EC34EcaEda9\u200b4",
        "0x9858EfFD232B4033E47d90003D41EC34Ec\u0430Eda94",
        "0x985\uff18EfFD232B4033E47d90003D41EC34EcaEda94",
    ],
)
def test_lookalikes_of_an_address_are_refused(text: str) -> None:
    """Wrong checksum, wrong length, zero-width characters and homoglyphs make no address."""
    with pytest.raises(KeyMaterialError):
        parse_address(text)


def test_points_off_the_curve_are_refused() -> None:
    """A point off the curve, a tweak that cancels it and garbage signatures give the one error."""
    with pytest.raises(KeyMaterialError):
        secp256k1.require_point(b"\x02" + bytes(31) + b"\x07")
    generator = secp256k1.public_key((1).to_bytes(32, "big"))
    with pytest.raises(KeyMaterialError):
        secp256k1.add_to_point(generator, (secp256k1.ORDER - 1).to_bytes(32, "big"))
    with pytest.raises(KeyMaterialError):
        secp256k1.recover_point(bytes(32), bytes(65))
