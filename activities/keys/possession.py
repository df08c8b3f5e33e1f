"""Proof that a wallet's key is held: a text that names the wallet, signed the way the chain's wallets sign.

Custody builds the text itself; nothing here signs a digest or a text that somebody hands in.
"""

import re
from dataclasses import dataclass

from tiny_keccak import keccak256

from activities.keys.chains import Chain
from activities.keys.errors import KeyMaterialError
from activities.keys.evm_address import address_of_point
from activities.keys.secp256k1 import ORDER, SIGNATURE_BYTES, KeySlot, recover_point

_TITLE = "walletworks-possession-v1"
_NAME = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?", re.ASCII)
"""One line of printable ASCII without blanks at its ends: nobody can add a line to the text."""
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EIP191_PREFIX = b"\x19Ethereum Signed Message:\n"
_RECOVERY_OFFSET = 27
"""Added to the recovery id in Ethereum's signatures (Yellow Paper, appendix F)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PossessionContext:
    """What a proof of possession binds a wallet to."""

    deployment: str
    batch_id: str
    plan_digest: str
    """SHA-256 in lower-case hexadecimal."""

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.deployment) and _NAME.fullmatch(self.batch_id)):
            raise KeyMaterialError("a possession text names no printable deployment and batch")
        if _DIGEST.fullmatch(self.plan_digest) is None:
            raise KeyMaterialError("a possession text names no SHA-256 plan digest")


@dataclass(frozen=True, slots=True)
class ProvenAddress:
    """One wallet's address with the proof that its key is held; positional, because made by the million."""

    index: int
    chain_id: str
    path: str
    address: str
    possession: bytes


def possession_message(context: PossessionContext, *, chain_id: str, path: str, address: str) -> str:
    """Gives the text whose signature proves that the key of one wallet is held."""
    return (
        f"{_TITLE}\ndeployment: {context.deployment}\nbatch: {context.batch_id}"
        f"\nplan: {context.plan_digest}\nchain: {chain_id}\npath: {path}\naddress: {address}"
    )


def sign_eip191(slot: KeySlot, message: str) -> bytes:
    """Gives the 65-byte personal signature (r, s, v of 27 or 28) of the slot's loaded key.

    Source: EIP-191, version 0x45.
    """
    signature = slot.sign(eip191_digest(message))
    return signature[:-1] + bytes([signature[-1] + _RECOVERY_OFFSET])


def eip191_digest(message: str) -> bytes:
    """Gives the 32 bytes that a personal signature of a text signs."""
    text = message.encode()
    digest: bytes = keccak256(_EIP191_PREFIX + str(len(text)).encode("ascii") + text)
    return digest


def recover_eip191(message: str, signature: bytes) -> str:
    """Gives the checksummed address whose key signed a text.

    Raises: KeyMaterialError for a signature of another size, with v other than 27 or 28, or with a high s
        (EIP-2: the mirror image of another signature).
    """
    if len(signature) != SIGNATURE_BYTES or signature[-1] - _RECOVERY_OFFSET not in (0, 1):
        raise KeyMaterialError("a personal signature is not r, s and 27 or 28")
    if int.from_bytes(signature[32:64], "big") > ORDER // 2:
        raise KeyMaterialError("a personal signature has a high s")
    compact = signature[:-1] + bytes([signature[-1] - _RECOVERY_OFFSET])
    return address_of_point(recover_point(eip191_digest(message), compact))


def possession_holds(
    context: PossessionContext, *, chain: Chain, path: str, address: str, signature: bytes
) -> bool:
    """Tells whether a signature proves possession of exactly this wallet; never raises for a bad one."""
    message = possession_message(context, chain_id=chain.chain_id, path=path, address=address)
    try:
        return recover_eip191(message, signature) == address
    except KeyMaterialError:
        return False
