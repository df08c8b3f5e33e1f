"""The matcher on small lists: exact names, damping, ranking, explanations."""

from dataclasses import replace
from datetime import date

import pytest

from activities.screening.lists.entries import ListEntry, ScreeningList, on_day
from activities.screening.matcher import ALGORITHM, Matcher, ScreeningQuery

BORN = date(1963, 7, 28)
JANE = ListEntry(
    list_id="ofac-sdn",
    entry_id="7",
    kind="person",
    names=("DOMINGUEZ, Jane Araminta", "Calamity Jane"),
    weak_names=("Calamity Jane",),
    birth_dates=(on_day(BORN),),
    countries=("ie",),
)
QUERY = ScreeningQuery(kind="person", full_name="Jane Araminta Dominguez", date_of_birth=BORN)
MISSPELT = replace(QUERY, full_name="Jane Aramimta Dominguez")


def _matcher(*entries: ListEntry, threshold: float = 0.8) -> Matcher:
    listed = ScreeningList(
        list_id="ofac-sdn",
        source="OFAC",
        published_on=date(2026, 1, 1),
        entry_count=len(entries),
        digest="00",
        entries=entries,
    )
    return Matcher([listed], threshold)


def test_a_listed_person_is_hit_with_all_that_explains_it() -> None:
    """A hit names list, entry, name, score, threshold, algorithm and what speaks for it."""
    (hit,) = _matcher(JANE).screen(QUERY)
    assert (hit.list_id, hit.entry_id, hit.listed_name) == ("ofac-sdn", "7", "DOMINGUEZ, Jane Araminta")
    assert (hit.score, hit.name_score, hit.exact) == (1.0, 1.0, True)
    assert (hit.birth_date, hit.same_kind, hit.threshold) == ("agrees", True, 0.8)
    assert hit.algorithm == ALGORITHM == "walletworks-names/1"
    assert hit.pairs


@pytest.mark.parametrize("name", ["Calamity Jane", "JANE  calamity", "DOMINGUEZ, JANE ARAMINTA"])
@pytest.mark.parametrize("kind", ["person", "entity"])
@pytest.mark.parametrize("born", [None, BORN, date(1999, 9, 9)])
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
def test_an_exact_name_is_always_a_hit(name: str, kind: str, born: date | None, threshold: float) -> None:
    """Neither birth date, kind nor weakness of an alias hides it, whatever the threshold."""
    query = ScreeningQuery(kind=kind, full_name=name, date_of_birth=born)  # type: ignore[arg-type]  # a literal
    (hit,) = _matcher(JANE, threshold=threshold).screen(query)
    assert hit.exact
    assert hit.score >= threshold
    assert (hit.score == 1.0) == (born != date(1999, 9, 9) or threshold == 1.0)


def test_a_similar_name_is_hit_unless_the_birth_date_clearly_conflicts() -> None:
    """Agreeing or unknown dates keep a similar name; a date far off clears it."""
    matcher = _matcher(JANE)
    agreeing = matcher.screen(MISSPELT)[0].score
    unknown = matcher.screen(replace(MISSPELT, date_of_birth=None))[0].score
    assert 0.8 < unknown < agreeing < 1.0
    assert matcher.screen(replace(MISSPELT, date_of_birth=date(1985, 1, 9))) == ()


def test_a_similar_name_of_another_kind_scores_less() -> None:
    """A company may bear a person's name, but less often than the person."""
    company = replace(JANE, kind="entity", birth_dates=())
    query = replace(MISSPELT, date_of_birth=None)
    same = _matcher(JANE).screen(query)[0]
    other = _matcher(company, threshold=0.75).screen(query)[0]
    assert other.score < same.score
    assert not other.same_kind


def test_a_similar_weak_alias_scores_less() -> None:
    """What the authority itself calls weak carries less."""
    query = ScreeningQuery(kind="person", full_name="Calamitty Jane")
    strong = replace(JANE, weak_names=())
    assert _matcher(JANE, threshold=0.7).screen(query)[0].score < _matcher(strong).screen(query)[0].score


def test_a_shared_country_counts_a_little() -> None:
    """Every collected field takes part; this one only tips the scales."""
    matcher = _matcher(JANE)
    query = replace(MISSPELT, date_of_birth=None)
    abroad = matcher.screen(replace(query, countries=("SG",)))[0].score
    home = matcher.screen(replace(query, countries=("SG", "IE")))[0].score
    assert 0 < home - abroad < 0.02


def test_hits_come_best_first_and_one_per_entry() -> None:
    """An entry is told once, by its best name; ties go by entry id."""
    twin = replace(JANE, entry_id="3")
    cousin = replace(JANE, entry_id="1", names=("DOMINGUEZ, Jane",), weak_names=())
    hits = _matcher(JANE, twin, cousin).screen(QUERY)
    assert [hit.entry_id for hit in hits] == ["3", "7", "1"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("name", ["Lucinda Featherstone", "Jane", "Dominguez", "---", ""])
def test_other_names_are_no_hit(name: str) -> None:
    """A part of a name that many bear, or no name at all, names nobody."""
    assert _matcher(JANE).screen(replace(QUERY, full_name=name)) == ()


def test_an_empty_list_of_entries_hits_nobody() -> None:
    """A delta without changes is screened like any list."""
    assert _matcher().screen(QUERY) == ()


def test_the_same_question_has_the_same_answer() -> None:
    """Order of questions, memory and rebuilt matchers change nothing."""
    first = _matcher(JANE)
    answers = [first.screen(query) for query in (MISSPELT, QUERY, MISSPELT)]
    assert answers[0] == answers[2] == _matcher(JANE).screen(MISSPELT)


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    """A threshold of 0 would hit everybody, one above 1 nobody."""
    with pytest.raises(ValueError, match="threshold"):
        _matcher(JANE, threshold=threshold)


def test_nothing_personal_stands_in_a_repr() -> None:
    """What ends up in a log by accident tells no name and no birth date."""
    shown = repr(QUERY) + repr(_matcher(JANE).screen(QUERY))
    assert "dominguez" not in shown.lower()
    assert "1963" not in shown
