"""Proofs of possession: signed by the wallet's key, over a text that names exactly that wallet."""

from dataclasses import replace
from typing import Any

import pytest

from activities.keys.chains import CHAINS
from activities.keys.derivation import derive_wallets
from activities.keys.errors import KeyMaterialError
from activities.keys.extended_key import ExtendedKey
from activities.keys.mnemonic import entropy_from_mnemonic, seed_from_entropy
from activities.keys.possession import (
    PossessionContext,
    eip191_digest,
    possession_holds,
    possession_message,
    recover_eip191,
    sign_eip191,
)
from activities.keys.secp256k1 import ORDER, ObjectKeySlot, RawKeySlot
from tests.unit.keys.second_library import (
    ABANDON_SEED,
    other_addresses,
    other_secret,
    other_signature,
)
from tests.vectors import load_vectors

CONTEXT = PossessionContext(deployment="acme-prod", batch_id="spring-airdrop", plan_digest="ab" * 32)


def _load(name: str) -> Any:
    return load_vectors(name)


def _parent_and_tweak(secret: bytes) -> tuple[bytes, bytes]:
    """A parent key and a tweak whose sum is the wanted key."""
    parent = (int.from_bytes(secret, "big") - 1) % ORDER
    return parent.to_bytes(32, "big"), (1).to_bytes(32, "big")


@pytest.mark.parametrize("slot_class", [RawKeySlot, ObjectKeySlot])
def test_published_personal_signatures_are_made(slot_class: type[Any]) -> None:
    """A hardware wallet's published signatures come out byte for byte (both are RFC 6979)."""
    vectors = _load("evm-tx/trezor/signmessage.json")
    assert vectors["setup"]["passphrase"] == ""
    seed = seed_from_entropy(entropy_from_mnemonic(vectors["setup"]["mnemonic"]))
    tried = 0
    for case in vectors["tests"]:
        path = case["parameters"]["path"]
        if not path.startswith("m/44'/60'/0'/0/"):
            continue
        secret = other_secret(seed, 0, int(path.rsplit("/", 1)[1]))
        parent, tweak = _parent_and_tweak(secret)
        with slot_class(parent) as slot:
            assert slot.load(tweak)
            signature = sign_eip191(slot, case["parameters"]["msg"])
        assert signature.hex() == case["result"]["sig"]
        assert recover_eip191(case["parameters"]["msg"], signature) == case["result"]["address"]
        tried += 1
    assert tried >= 3


def test_published_personal_signatures_are_recovered() -> None:
    """Each published valid signature names its address; each published bad one does not."""
    for case in _load("evm-tx/trezor/verifymessage.json")["tests"]:
        given = case["parameters"]
        assert recover_eip191(given["msg"], bytes.fromhex(given["sig"])) == given["address"]


def test_wallets_of_a_slice_prove_possession() -> None:
    """Every wallet of every chain carries a signature that holds for it and for nothing else."""
    indexes = [0, 3, 1024]
    wallets = derive_wallets(
        ABANDON_SEED, account=2, indexes=indexes, chain_ids=["ethereum", "bsc", "polygon"], context=CONTEXT
    )
    assert [(w.index, w.chain_id) for w in wallets] == [
        (i, c) for i in indexes for c in ("ethereum", "bsc", "polygon")
    ]
    expected = dict(zip(indexes, other_addresses(ABANDON_SEED, 2, indexes), strict=True))
    for wallet in wallets:
        assert wallet.address == expected[wallet.index]
        assert wallet.path == f"m/44'/60'/2'/0/{wallet.index}"
        chain = CHAINS[wallet.chain_id]
        facts: dict[str, Any] = {
            "path": wallet.path,
            "address": wallet.address,
            "signature": wallet.possession,
        }
        assert possession_holds(CONTEXT, chain=chain, **facts)
        other_chain = CHAINS["bsc" if wallet.chain_id != "bsc" else "ethereum"]
        assert not possession_holds(CONTEXT, chain=other_chain, **facts)
        for foreign in (
            replace(CONTEXT, deployment="acme-test"),
            replace(CONTEXT, batch_id="autumn-airdrop"),
            replace(CONTEXT, plan_digest="cd" * 32),
        ):
            assert not possession_holds(foreign, chain=chain, **facts)
        assert not possession_holds(CONTEXT, chain=chain, **{**facts, "path": "m/44'/60'/2'/0/9"})


def test_signatures_agree_with_the_pure_curve() -> None:
    """R and s are those of RFC 6979 with a low s, made by a pure-Python curve."""
    wallets = derive_wallets(
        ABANDON_SEED, account=0, indexes=[0, 1, 2], chain_ids=["ethereum"], context=CONTEXT
    )
    for wallet in wallets:
        message = possession_message(CONTEXT, chain_id="ethereum", path=wallet.path, address=wallet.address)
        secret = other_secret(ABANDON_SEED, 0, wallet.index)
        r, s = other_signature(secret, eip191_digest(message))
        assert wallet.possession[:64] == r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert wallet.possession[64] in (27, 28)


def test_the_text_is_the_published_form() -> None:
    """The signed text has these lines in this order, because verifiers elsewhere rebuild it."""
    text = possession_message(CONTEXT, chain_id="bsc", path="m/44'/60'/0'/0/7", address="0xA")
    assert text == (
        "walletworks-possession-v1\ndeployment: acme-prod\nbatch: spring-airdrop\n"
        f"plan: {'ab' * 32}\nchain: bsc\npath: m/44'/60'/0'/0/7\naddress: 0xA"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": "acme\nbatch: other"},
        {"deployment": ""},
        {"batch_id": "b\r"},
        {"batch_id": " b"},
        {"batch_id": "b\u200b"},
        {"batch_id": "x" * 300},
        {"plan_digest": "AB" * 32},
        {"plan_digest": "ab" * 31},
        {"plan_digest": "ab" * 32 + "\n"},
    ],
)
def test_a_name_that_could_add_a_line_is_refused(change: dict[str, str]) -> None:
    """Line breaks, blanks at the ends, invisible characters and wrong digests make no text."""
    with pytest.raises(KeyMaterialError):
        replace(CONTEXT, **change)


def test_tampered_signatures_do_not_hold() -> None:
    """A flipped bit, another size, another v, and the high-s mirror image are refused."""
    (wallet,) = derive_wallets(ABANDON_SEED, account=0, indexes=[5], chain_ids=["ethereum"], context=CONTEXT)
    good = wallet.possession
    high_s = (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    bad = [
        b"",
        good[:-1],
        good + b"\0",
        bytes(65),
        good[:64] + bytes([good[64] - 27]),
        good[:64] + bytes([55 - good[64]]),
        good[:32] + high_s + bytes([55 - good[64]]),
        *(good[:byte] + bytes([good[byte] ^ 1]) + good[byte + 1 :] for byte in range(65)),
    ]
    for signature in bad:
        assert not possession_holds(
            CONTEXT, chain=CHAINS["ethereum"], path=wallet.path, address=wallet.address, signature=signature
        )


@pytest.mark.parametrize("slot_class", [RawKeySlot, ObjectKeySlot])
def test_a_digest_of_another_size_is_not_signed(slot_class: type[Any]) -> None:
    """Only 32 bytes are signed, so that nothing is read past the end of a short digest."""
    key = ExtendedKey.from_seed(ABANDON_SEED)
    assert key.secret is not None
    with slot_class(key.secret) as slot:
        slot.load((1).to_bytes(32, "big"))
        with pytest.raises(KeyMaterialError):
            slot.sign(bytes(31))
