"""What the digests, roots and signatures of a batch are over: one definition for whoever makes or checks one.

Pure. Digests go in and out as hex; documents and messages come out as RFC 8785 canonical JSON.
Source: the design, section 2 (Digests) and section 9.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from activities import merkle
from activities.canonical import canonical, canonical_strings, sha256_hex

VERDICT_ALGORITHMS = ("walletworks-names/1",)
"""Every name-matching algorithm that verdicts may rest on, oldest first; added to, never changed."""


def plan_document(
    received: Mapping[str, Any], *, manifest_root: str, subject_count: int, policy_digest: str
) -> bytes:
    """The plan; its SHA-256 is the plan digest."""
    return canonical(
        {
            "request": dict(received),
            "manifest_root": manifest_root,
            "subject_count": subject_count,
            "policy_digest": policy_digest,
        }
    )


def evidence_document(
    *,
    plan_digest: str,
    list_digests: Mapping[str, str],
    verdict_root: str,
    adjudication_root: str,
    counts: Mapping[str, int],
) -> bytes:
    """The evidence over one tranche's verdicts; its SHA-256 is the evidence digest."""
    return canonical(
        {
            "plan_digest": plan_digest,
            "list_digests": dict(list_digests),
            "verdict_root": verdict_root,
            "adjudication_root": adjudication_root,
            "counts": dict(counts),
        }
    )


def verdict_leaf(*, ordinal: int, verdict: str, score: float, hold_digest: str, algorithm: str) -> bytes:
    """The leaf of one verdict (32 bytes); the score counts to two decimals."""
    return bytes.fromhex(
        sha256_hex(
            canonical_strings(
                {
                    "ordinal": ordinal,
                    "verdict": verdict,
                    "score": f"{score:.2f}",
                    "hold_digest": hold_digest,
                    "algorithm": algorithm,
                }
            )
        )
    )


def adjudication_root(settled: Iterable[tuple[int, str, str]]) -> str:
    """The root over settled holds: (ordinal, hold digest, decision) in the order of ordinals."""
    leaves = (
        bytes.fromhex(sha256_hex(canonical({"ordinal": ordinal, "hold_digest": hold, "decision": decision})))
        for ordinal, hold, decision in settled
    )
    return merkle.root(leaves).hex()


def withholding_root(withheld: Iterable[tuple[int, str, str]]) -> str:
    """The root over whom a list change hit: (ordinal, list id, list digest) in the order of ordinals."""
    leaves = (
        canonical_strings({"ordinal": ordinal, "list_id": list_id, "list_digest": list_digest})
        for ordinal, list_id, list_digest in withheld
    )
    return merkle.root(leaves).hex()


def wallet_leaf(*, ordinal: int, chain: str, path: str, address: str) -> bytes:
    """The leaf of one derived address, as custody signs it."""
    return canonical_strings({"ordinal": ordinal, "chain": chain, "path": path, "address": address})


def slice_message(
    *,
    deployment: str,
    batch_id: str,
    tranche: int,
    slice_index: int,
    first_position: int,
    length: int,
    row_count: int,
    root: str,
) -> bytes:
    """What custody signs over one slice of addresses."""
    return canonical(
        {
            "v": 1,
            "kind": "slice",
            "deployment": deployment,
            "batch_id": batch_id,
            "tranche": tranche,
            "slice_index": slice_index,
            "first_position": first_position,
            "length": length,
            "row_count": row_count,
            "root": root,
        }
    )


def head_message(*, deployment: str, batch_id: str, chain: str, seq: int, head: str) -> bytes:
    """What custody signs over the head of an audit chain."""
    return canonical(
        {
            "v": 1,
            "kind": "head",
            "deployment": deployment,
            "batch_id": batch_id,
            "chain": chain,
            "seq": seq,
            "head": head,
        }
    )
