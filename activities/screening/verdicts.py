"""What a subject's KYC reference and hits make of it: clear, held or refused. Pure.

A hit or a name that cannot be compared holds; only a missing or malformed KYC reference refuses by rule.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from activities.canonical import digest
from activities.digests import verdict_leaf
from activities.screening.matcher import ALGORITHM, ScreeningHit, ScreeningQuery
from activities.screening.names import is_comparable

CLEAR: Final = "clear"
HELD: Final = "held"
REFUSED: Final = "refused"
VERDICTS: Final = (CLEAR, HELD, REFUSED)

HITS_SHOWN_MAX: Final = 50
"""Hits a verdict keeps, best first: the most alike alone decide, and a common name can have hundreds."""

_KYC_REFERENCE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?", re.ASCII)
_KYC_REASON: Final = "kyc_reference"
_HITS_REASON: Final = "hits"
_NAME_REASON: Final = "name_not_comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verdict as it is stored: `hold_digest` is hex or empty, `detail` is personal data or none."""

    ordinal: int
    verdict: str
    score: float
    hold_digest: str
    leaf: bytes
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningTerms:
    """What a batch is screened by: its id, the digests (hex) of its lists, and the KYC rule."""

    batch_id: str
    list_digests: Mapping[str, str]
    threshold: float
    kyc_required: bool


def query_for(row: Mapping[str, Any]) -> ScreeningQuery:
    """The question that a subject's row puts to the lists."""
    born = row.get("date_of_birth")
    countries = (row.get("country"), row.get("nationality"))
    return ScreeningQuery(
        kind="entity" if row.get("subject_kind") == "entity" else "person",
        full_name=str(row["full_name"]),
        date_of_birth=date.fromisoformat(born) if born else None,
        countries=tuple(dict.fromkeys(country for country in countries if country)),
    )


def is_kyc_reference(reference: str) -> bool:
    """Whether a text can be a reference to a KYC file: one word of letters, digits and `. _ : / -`."""
    return _KYC_REFERENCE.fullmatch(reference) is not None


def verdict_for(
    ordinal: int, row: Mapping[str, Any], hits: Sequence[ScreeningHit], terms: ScreeningTerms
) -> Verdict:
    """The verdict on one subject, from its row and every hit on the lists."""
    verdict, reason = _decide(row, hits, terms)
    score = round(hits[0].score, 2) if hits else 0.0
    kept = hits[:HITS_SHOWN_MAX]
    hold = hold_digest(ordinal, kept, terms) if verdict == HELD else ""
    leaf = verdict_leaf(ordinal=ordinal, verdict=verdict, score=score, hold_digest=hold, algorithm=ALGORITHM)
    detail = None if verdict == CLEAR else detail_of(row, kept, terms, reason=reason)
    return Verdict(ordinal=ordinal, verdict=verdict, score=score, hold_digest=hold, leaf=leaf, detail=detail)


def erased_verdict(ordinal: int) -> Verdict:
    """The verdict on a subject whose data was erased: nothing is left to compare, so it is refused."""
    leaf = verdict_leaf(ordinal=ordinal, verdict=REFUSED, score=0, hold_digest="", algorithm=ALGORITHM)
    return Verdict(ordinal=ordinal, verdict=REFUSED, score=0, hold_digest="", leaf=leaf)


def hold_digest(ordinal: int, hits: Sequence[ScreeningHit], terms: ScreeningTerms) -> str:
    """What people decide on when they settle the hold: which entries of which lists, at which scores."""
    return digest(
        {
            "batch_id": terms.batch_id,
            "ordinal": ordinal,
            "hits": [
                {
                    "list_id": hit.list_id,
                    "list_digest": terms.list_digests[hit.list_id],
                    "entry_id": hit.entry_id,
                    "score": f"{hit.score:.4f}",
                }
                for hit in hits
            ],
        }
    )


def detail_of(
    row: Mapping[str, Any], hits: Sequence[ScreeningHit], terms: ScreeningTerms, *, reason: str = _HITS_REASON
) -> dict[str, Any]:
    """What explains and repeats a verdict years later; it is personal data. Scores are texts."""
    compared = ("subject_kind", "full_name", "date_of_birth", "country", "nationality")
    return {
        "reason": reason,
        "algorithm": ALGORITHM,
        "threshold": f"{terms.threshold:.4f}",
        "list_digests": dict(terms.list_digests),
        "compared": {column: str(row[column]) for column in compared if row.get(column)},
        "hits": [
            {
                "list_id": hit.list_id,
                "entry_id": hit.entry_id,
                "listed_name": hit.listed_name,
                "score": f"{hit.score:.4f}",
                "name_score": f"{hit.name_score:.4f}",
                "exact": hit.exact,
                "birth_date": hit.birth_date,
                "same_kind": hit.same_kind,
            }
            for hit in hits
        ],
    }


def _decide(row: Mapping[str, Any], hits: Sequence[ScreeningHit], terms: ScreeningTerms) -> tuple[str, str]:
    if terms.kyc_required and not is_kyc_reference(str(row.get("kyc_reference") or "")):
        return REFUSED, _KYC_REASON
    if hits:
        return HELD, _HITS_REASON
    return (CLEAR, "") if is_comparable(str(row["full_name"])) else (HELD, _NAME_REASON)
