"""BIP-39 in English: entropy to words, words to entropy, and entropy to the seed of BIP-32.

The way from entropy to seed keeps the sentence in one buffer and overwrites it. No error repeats a word.
"""

import hashlib
import hmac
from typing import Final

from activities.keys.bip39_words import ENGLISH
from activities.keys.errors import KeyMaterialError

ENTROPY_SIZES: Final = (16, 20, 24, 28, 32)
"""Bytes of entropy that make 12, 15, 18, 21 and 24 words (BIP-39, "Generating the mnemonic")."""
SEED_BYTES: Final = 64

_ROUNDS: Final = 2048
_WORD_BITS: Final = 11
_NUMBERS: Final = {word: number for number, word in enumerate(ENGLISH)}


def mnemonic_from_entropy(entropy: bytes | bytearray) -> bytearray:
    """Gives the English sentence as ASCII in a buffer that the caller overwrites.

    Source: BIP-39, "Generating the mnemonic".
    """
    if len(entropy) not in ENTROPY_SIZES:
        raise KeyMaterialError("an entropy has none of the sizes of BIP-39")
    checksum_bits = len(entropy) // 4
    checksum = hashlib.sha256(entropy).digest()[0] >> (8 - checksum_bits)
    number = int.from_bytes(entropy, "big") << checksum_bits | checksum
    words = (len(entropy) * 8 + checksum_bits) // _WORD_BITS
    sentence = bytearray()
    for position in reversed(range(words)):
        sentence += ENGLISH[number >> (position * _WORD_BITS) & 0x7FF].encode("ascii")
        if position:
            sentence += b" "
    return sentence


def entropy_from_mnemonic(sentence: str) -> bytes:
    """Gives the entropy an English sentence writes; refuses wrong counts, words and checksums."""
    words = sentence.split(" ")
    bits = len(words) * _WORD_BITS
    checksum_bits = bits // 33
    size = (bits - checksum_bits) // 8
    if bits % 33 or size not in ENTROPY_SIZES:
        raise KeyMaterialError("a mnemonic has none of the lengths of BIP-39")
    number = 0
    for word in words:
        if word not in _NUMBERS:
            raise KeyMaterialError("a mnemonic holds a word outside the list")
        number = number << _WORD_BITS | _NUMBERS[word]
    entropy = (number >> checksum_bits).to_bytes(size, "big")
    rewritten = mnemonic_from_entropy(entropy)
    same = hmac.compare_digest(rewritten, sentence.encode("ascii"))
    rewritten[:] = bytes(len(rewritten))
    if not same:
        raise KeyMaterialError("a mnemonic has a wrong checksum")
    return entropy


def seed_from_entropy(entropy: bytes | bytearray, *, passphrase: str = "") -> bytes:
    """Gives the 64-byte seed of the entropy's English sentence.

    Args:
        entropy: 16 to 32 bytes, a multiple of 4.
        passphrase: ASCII only, because nothing here normalises text.

    Source: BIP-39, "From mnemonic to seed".
    """
    if not passphrase.isascii():
        raise KeyMaterialError("a passphrase is not ASCII")
    sentence = mnemonic_from_entropy(entropy)
    try:
        salt = b"mnemonic" + passphrase.encode("ascii")
        return hashlib.pbkdf2_hmac("sha512", sentence, salt, _ROUNDS, SEED_BYTES)
    finally:
        sentence[:] = bytes(len(sentence))
