"""BIP-32 against its own vectors."""

from typing import Any

import pytest

from activities.keys import base58
from activities.keys.derivation_path import HARDENED, DerivationPath
from activities.keys.errors import KeyMaterialError
from activities.keys.extended_key import ExtendedKey, _sum_of_scalars
from activities.keys.secp256k1 import ORDER
from tests.vectors import load_vectors


def _vectors() -> Any:
    return load_vectors("bip32/bip32-vectors.json")


def _chains() -> list[tuple[str, DerivationPath, str, str]]:
    return [
        (
            vector["seed_hex"],
            DerivationPath.parse(chain["path"], depth=chain["path"].count("/")),
            chain["xpub"],
            chain["xprv"],
        )
        for vector in _vectors()["vectors"]
        for chain in vector["chains"]
    ]


def test_every_chain_of_bip32_is_derived() -> None:
    """Private and public text of all 17 chains agree, vectors 3 and 4 (leading zeros) included."""
    chains = _chains()
    assert len(chains) == 17
    for seed_hex, path, xpub, xprv in chains:
        key = ExtendedKey.from_seed(bytes.fromhex(seed_hex)).descend(path)
        assert key.serialize() == xprv
        assert key.public().serialize() == xpub


def test_public_derivation_agrees_with_private() -> None:
    """A soft child of the public key is the public key of the private child."""
    tried = 0
    for seed_hex, path, xpub, _ in _chains():
        if not path.steps or path.steps[-1] >= HARDENED:
            continue
        above = DerivationPath(steps=path.steps[:-1])
        parent = ExtendedKey.from_seed(bytes.fromhex(seed_hex)).descend(above).public()
        assert parent.child(path.steps[-1]).serialize() == xpub
        tried += 1
    assert tried == 6


def test_published_texts_read_back_the_same() -> None:
    """Parsing and writing are each other's inverse on every published key."""
    for _, _, xpub, xprv in _chains():
        assert ExtendedKey.parse(xpub).serialize() == xpub
        assert ExtendedKey.parse(xprv).serialize() == xprv
        assert ExtendedKey.parse(xprv).public().serialize() == xpub


def test_published_bad_keys_are_refused() -> None:
    """Each of the 16 invalid extended keys of test vector 5 is refused, and not repeated in the error."""
    bad = _vectors()["invalid_extended_keys"]
    assert len(bad) == 16
    for case in bad:
        with pytest.raises(KeyMaterialError) as refusal:
            ExtendedKey.parse(case["key"])
        assert case["key"] not in str(refusal.value)


def test_a_hardened_child_of_a_public_key_is_refused() -> None:
    """Without the private key there is no hardened child and no slot to sign with."""
    key = ExtendedKey.from_seed(bytes(range(16))).public()
    with pytest.raises(KeyMaterialError):
        key.child(HARDENED)
    with pytest.raises(KeyMaterialError):
        key.slot()


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    """Only 16 to 64 bytes make a master key."""
    with pytest.raises(KeyMaterialError):
        ExtendedKey.from_seed(bytes(size))


@pytest.mark.parametrize("number", [-1, 2 * HARDENED])
def test_a_child_number_out_of_range_is_refused(number: int) -> None:
    """A number that does not fit four bytes is no child number."""
    with pytest.raises(KeyMaterialError):
        ExtendedKey.from_seed(bytes(range(16))).child(number)


def test_a_key_at_the_deepest_level_has_no_child() -> None:
    """Depth is one byte: below level 255 nothing is derived."""
    key = ExtendedKey.from_seed(bytes(range(16)))
    for _ in range(255):
        key = key.child(0)
    with pytest.raises(KeyMaterialError):
        key.child(0)


def test_the_representation_shows_no_key() -> None:
    """Neither private key, chain code nor point is in the text a log or traceback would show."""
    key = ExtendedKey.from_seed(bytes(range(16)))
    assert key.secret is not None
    for hidden in (key.secret, key.chain_code, key.point):
        assert repr(hidden) not in repr(key)
        assert hidden.hex() not in repr(key)


@pytest.mark.parametrize("text", ["", "0", "l", "1111", "z" * 300, "3mJr7AoUXx2Wqe"])
def test_a_text_that_is_no_base58check_is_refused(text: str) -> None:
    """Foreign letters, wrong checksums, short and overlong texts are refused."""
    with pytest.raises(KeyMaterialError):
        base58.decode_check(text)


@pytest.mark.parametrize("payload", [b"\0", b"\0\0\1", b"\xff" * 20, b"a"])
def test_a_payload_survives_base58check(payload: bytes) -> None:
    """Leading zero bytes are kept."""
    assert base58.decode_check(base58.encode_check(payload)) == payload


def test_a_key_of_another_length_is_refused() -> None:
    """A correct checksum over 77 or 79 bytes makes no extended key."""
    for size in (77, 79):
        with pytest.raises(KeyMaterialError):
            ExtendedKey.parse(base58.encode_check(bytes(size)))


def test_a_sum_that_cancels_a_key_is_refused() -> None:
    """A tweak that brings a private key to zero gives no child (BIP-32: the next index is taken)."""
    five, cancelling = (5).to_bytes(32, "big"), (ORDER - 5).to_bytes(32, "big")
    with pytest.raises(KeyMaterialError):
        _sum_of_scalars(five, cancelling)
