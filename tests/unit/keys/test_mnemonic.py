"""BIP-39 against the published vectors."""

from typing import Any

import pytest

from activities.keys.bip39_words import ENGLISH
from activities.keys.errors import KeyMaterialError
from activities.keys.extended_key import ExtendedKey
from activities.keys.mnemonic import (
    entropy_from_mnemonic,
    mnemonic_from_entropy,
    seed_from_entropy,
)
from tests.vectors import load_vectors, vectors_dir


def _load(name: str) -> Any:
    return load_vectors(name)


def test_our_word_list_is_the_published_one() -> None:
    """The 2,048 words are those of BIP-39, in order."""
    published = (vectors_dir() / "bip39/wordlists/english.txt").read_text("utf-8").split()
    assert list(ENGLISH) == published
    assert len(ENGLISH) == 2048


def test_trezor_vectors_hold_in_every_step() -> None:
    """Entropy, words, seed and master key of each official vector agree."""
    vectors = _load("bip39/trezor-vectors.json")["english"]
    assert len(vectors) == 24
    for entropy_hex, sentence, seed_hex, xprv in vectors:
        entropy = bytes.fromhex(entropy_hex)
        assert mnemonic_from_entropy(entropy).decode() == sentence
        assert entropy_from_mnemonic(sentence) == entropy
        seed = seed_from_entropy(entropy, passphrase="TREZOR")
        assert seed.hex() == seed_hex
        assert ExtendedKey.from_seed(seed).serialize() == xprv


def test_ethers_english_vectors_without_passphrase_hold() -> None:
    """Seeds and every published node below them agree with a second project's vectors."""
    cases = [c for c in _load("bip39/ethers-mnemonics.json") if c["locale"] == "en" and c["password"] == "0x"]
    assert len(cases) > 10
    for case in cases:
        seed = seed_from_entropy(bytes.fromhex(case["entropy"][2:]))
        assert seed.hex() == case["seed"][2:]
        assert bytes.fromhex(case["phrase"][2:]) == bytes(
            mnemonic_from_entropy(bytes.fromhex(case["entropy"][2:]))
        )


def test_published_bad_mnemonics_are_refused() -> None:
    """Each of the 5 published bad sentences is refused, and no error repeats one of its words."""
    vectors = _load("bip39/bip_utils-invalid-mnemonics.json")
    assert len(vectors) == 5
    refused = 0
    for case in vectors:
        if case.get("lang") == "Bip39Languages.ITALIAN":
            continue  # a valid English sentence, read there as Italian; here there is only English
        with pytest.raises(KeyMaterialError) as refusal:
            entropy_from_mnemonic(case["mnemonic"])
        assert not set(case["mnemonic"].split()) & set(str(refusal.value).split())
        refused += 1
    assert refused == 4


def test_the_bad_mnemonic_of_a_foreign_language_is_refused() -> None:
    """A sentence in another published language is no English mnemonic."""
    sentence = _load("bip39/trezor-vectors.json")["italian"][0][1]
    with pytest.raises(KeyMaterialError):
        entropy_from_mnemonic(sentence)


@pytest.mark.parametrize(
    "change", [str.upper, lambda s: s + " ", lambda s: " " + s, lambda s: s.replace(" ", "  ", 1)]
)
def test_a_sentence_in_another_spelling_is_refused(change: Any) -> None:
    """Capitals and stray blanks are refused, never guessed away."""
    with pytest.raises(KeyMaterialError):
        entropy_from_mnemonic(change("abandon " * 11 + "about"))


@pytest.mark.parametrize("size", [0, 15, 17, 31, 33, 64])
def test_an_entropy_of_another_size_is_refused(size: int) -> None:
    """Only the five sizes of BIP-39 become words."""
    with pytest.raises(KeyMaterialError):
        mnemonic_from_entropy(bytes(size))


def test_a_passphrase_that_needs_normalising_is_refused() -> None:
    """A passphrase outside ASCII is refused rather than hashed in one of its spellings."""
    with pytest.raises(KeyMaterialError):
        seed_from_entropy(bytes(32), passphrase="é")
