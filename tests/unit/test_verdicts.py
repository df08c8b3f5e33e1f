"""The rules of verdicts, without lists or a database."""

from dataclasses import replace

import pytest

from activities.canonical import digest
from activities.digests import VERDICT_ALGORITHMS, verdict_leaf
from activities.screening.matcher import ALGORITHM, ScreeningHit
from activities.screening.verdicts import (
    HITS_SHOWN_MAX,
    ScreeningTerms,
    erased_verdict,
    is_kyc_reference,
    query_for,
    verdict_for,
)

TERMS = ScreeningTerms(
    batch_id="spring", list_digests={"ofac-sdn": "aa" * 32}, threshold=0.8, kyc_required=True
)
ROW = {
    "subject_id": "s-1",
    "subject_kind": "person",
    "full_name": "Jane Roe",
    "date_of_birth": "1990-04-05",
    "country": "SG",
    "kyc_reference": "KYC-000123",
}
HIT = ScreeningHit(
    list_id="ofac-sdn",
    entry_id="36",
    listed_name="ROE, Jane",
    score=0.93456,
    name_score=0.93456,
    exact=False,
    birth_date="unknown",
    same_kind=True,
    pairs=(),
    threshold=0.8,
)


def test_no_hit_is_clear_and_keeps_nothing() -> None:
    """A subject without a hit is clear, and nothing of it is kept with the verdict."""
    verdict = verdict_for(7, ROW, [], TERMS)
    assert (verdict.verdict, verdict.score, verdict.hold_digest, verdict.detail) == ("clear", 0.0, "", None)


def test_hit_holds_under_a_digest_of_what_was_hit() -> None:
    """A hit holds; people then decide on exactly these entries, lists and scores."""
    verdict = verdict_for(7, ROW, [HIT], TERMS)
    expected = digest(
        {
            "batch_id": "spring",
            "ordinal": 7,
            "hits": [{"list_id": "ofac-sdn", "list_digest": "aa" * 32, "entry_id": "36", "score": "0.9346"}],
        }
    )
    assert (verdict.verdict, verdict.score, verdict.hold_digest) == ("held", 0.93, expected)
    leaf = verdict_leaf(ordinal=7, verdict="held", score=0.93, hold_digest=expected, algorithm=ALGORITHM)
    assert verdict.leaf == leaf


@pytest.mark.parametrize(
    "changed",
    [
        replace(HIT, score=0.91),
        replace(HIT, entry_id="37"),
    ],
)
def test_another_hit_is_another_hold(changed: ScreeningHit) -> None:
    """A decision on one set of hits says nothing about another."""
    usual = verdict_for(7, ROW, [HIT], TERMS).hold_digest
    assert verdict_for(7, ROW, [changed], TERMS).hold_digest != usual
    assert verdict_for(8, ROW, [HIT], TERMS).hold_digest != usual
    other_list = replace(TERMS, list_digests={"ofac-sdn": "bb" * 32})
    assert verdict_for(7, ROW, [HIT], other_list).hold_digest != usual


def test_name_that_cannot_be_compared_is_held() -> None:
    """What no list can be asked about is for people to look at, never clear."""
    verdict = verdict_for(1, {**ROW, "full_name": "-- --"}, [], TERMS)
    assert verdict.verdict == "held"
    assert verdict.detail is not None
    assert verdict.detail["reason"] == "name_not_comparable"


@pytest.mark.parametrize("reference", [None, "", " ", "no reference", "KYC-\n1", "-", "KYC-" + "1" * 125])
def test_missing_or_malformed_kyc_reference_refuses(reference: str | None) -> None:
    """Where the policy asks for a KYC reference nobody is clear without a well-formed one."""
    verdict = verdict_for(1, {**ROW, "kyc_reference": reference}, [HIT], TERMS)
    assert (verdict.verdict, verdict.hold_digest) == ("refused", "")
    assert verdict.detail is not None
    assert (verdict.detail["reason"], len(verdict.detail["hits"])) == ("kyc_reference", 1)


def test_kyc_reference_is_not_asked_for_where_the_policy_does_not() -> None:
    """The policy alone decides whether a reference is needed."""
    lax = replace(TERMS, kyc_required=False)
    assert verdict_for(1, {**ROW, "kyc_reference": ""}, [], lax).verdict == "clear"


@pytest.mark.parametrize("reference", ["KYC-000123", "a", "vendor:case/2026-01_7"])
def test_well_formed_kyc_references(reference: str) -> None:
    """References of any vendor's shape are taken as long as they are one word."""
    assert is_kyc_reference(reference)


def test_detail_explains_the_verdict_without_what_was_not_compared() -> None:
    """The kept detail repeats what was compared, at which threshold, by which algorithm."""
    detail = verdict_for(7, {**ROW, "document_number": "P123"}, [HIT], TERMS).detail
    assert detail is not None
    assert detail["compared"] == {
        "subject_kind": "person",
        "full_name": "Jane Roe",
        "date_of_birth": "1990-04-05",
        "country": "SG",
    }
    assert (detail["threshold"], detail["algorithm"]) == ("0.8000", ALGORITHM)
    assert detail["hits"][0]["listed_name"] == "ROE, Jane"


def test_hits_of_a_common_name_are_bounded() -> None:
    """However many entries a name resembles, a verdict keeps the best of them."""
    hits = [replace(HIT, entry_id=str(number)) for number in range(200)]
    detail = verdict_for(7, ROW, hits, TERMS).detail
    assert detail is not None
    assert [hit["entry_id"] for hit in detail["hits"]] == [str(number) for number in range(HITS_SHOWN_MAX)]


def test_erased_subject_is_refused() -> None:
    """What was erased cannot be screened, so it cannot be clear."""
    assert (erased_verdict(3).verdict, erased_verdict(3).detail) == ("refused", None)


def test_query_carries_each_country_once() -> None:
    """Residence and nationality are asked with, each once; an entity needs no birth date."""
    query = query_for({**ROW, "nationality": "SG"})
    assert (query.kind, query.countries) == ("person", ("SG",))
    entity = query_for(
        {"subject_kind": "entity", "full_name": "Roe Ltd", "country": "SG", "nationality": "MY"}
    )
    assert (entity.kind, entity.date_of_birth, entity.countries) == ("entity", None, ("SG", "MY"))


def test_the_algorithm_is_one_that_custody_knows() -> None:
    """Custody makes the leaves of verdicts again: an algorithm it does not know would stop every batch."""
    assert VERDICT_ALGORITHMS[-1] == ALGORITHM
