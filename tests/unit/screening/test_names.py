"""Names made comparable, tokens compared, names scored."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.screening.matcher import RECOMMENDED_THRESHOLD, compare_names
from activities.screening.names import is_comparable, name_form
from activities.screening.scoring import RESPACED
from activities.screening.spelling import ALIGNED_MIN, remembering, token_similarity
from tests.vectors import load_vectors


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Juan Pérez", "PEREZ, Juan"),
        ("Łukasz Wójcik", "lukasz wojcik"),
        ("Владимир Путин", "Vladimir Putin"),
        ("O\u2019Brien", "O'BRIEN"),
        ("Muller\u200b Hans", "Muller Hans"),
        ("Jose\u0301", "Jos\u00e9"),
        ("\uff2a\uff4f\uff48\uff4e Smith", "John Smith"),  # noqa: RUF100 - full-width letters
        ("Straße", "STRASSE"),
        ("ANGLO-CARIBBEAN CO., LTD.", "Anglo Caribbean Co Ltd"),
    ],
)
def test_names_that_read_the_same_have_the_same_key(left: str, right: str) -> None:
    """Case, accents, alphabet, invisible characters, punctuation and order make no difference."""
    assert name_form(left, "person").key == name_form(right, "entity").key != ""


@pytest.mark.parametrize("name", ["", " ", "---", "\u200b\u200d", "....", "\t\n", "!?"])
def test_a_name_without_letter_or_digit_is_not_comparable(name: str) -> None:
    """It cannot be called clear, so the caller is told."""
    assert not is_comparable(name)


@pytest.mark.parametrize("name", ["محمد", "毛泽东", "ශ්‍රී", "김정은", "X", "7", "สมชาย"])
def test_a_name_in_any_script_is_comparable(name: str) -> None:
    """No script is skipped, not even one without a Latin spelling."""
    assert is_comparable(name)
    assert compare_names(name, name, "person").score == 1.0


def test_titles_particles_and_legal_forms_weigh_little() -> None:
    """What many names share tells little about whose a name is."""
    person = name_form("Dr. Juan de la Cruz", "person")
    assert person.weighty == ("juan", "cruz")
    company = name_form("Acme General Trading L.L.C.", "entity")
    assert company.weighty == ("acme",)
    assert name_form("Sheikh", "person").weighty == ("sheikh",)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("muhammad", "mohamed"),
        ("yusuf", "youssef"),
        ("aleksandr", "alexander"),
        ("schmidt", "schmid"),
        ("smirnoff", "smirnov"),
        ("hussein", "husein"),
        ("karim", "kareem"),
        ("gaddafi", "gadafi"),
        ("alexandra", "alexndra"),
        ("mhmd", "mohamed"),
        ("peter", "pedro"),
    ],
)
def test_spellings_of_one_name_are_alike(left: str, right: str) -> None:
    """Other romanisations, one letter wrong, another language."""
    assert 0.7 < token_similarity(left, right) < 1
    assert token_similarity(left, right) == token_similarity(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("mahmoud", "mohamed"),
        ("ali", "omar"),
        ("smith", "jones"),
        ("2019", "2018"),
        ("j", "k"),
        ("kim", "lee"),
    ],
)
def test_other_names_are_not_alike(left: str, right: str) -> None:
    """Different words and different numbers have nothing in common."""
    assert token_similarity(left, right) == 0


@given(st.text("abcdehikmouy", min_size=1, max_size=9), st.text("abcdehikmouy", min_size=1, max_size=9))
def test_likeness_stays_in_its_range_and_a_memory_changes_nothing(left: str, right: str) -> None:
    """0 or from the least that aligns up to 1, with and without a memory."""
    alike = token_similarity(left, right)
    assert alike == 0 or ALIGNED_MIN <= alike <= 1
    assert remembering()(left, right) == alike
    assert (alike == 1) == (left == right)


SAME = [
    ("Saddam Hussein al-Tikriti", "HUSSEIN AL-TIKRITI, Saddam", "person"),
    ("Usama bin Laden", "BIN LADIN, Usama", "person"),
    ("Vladimir Putin", "PUTIN, Vladimir Vladimirovich", "person"),
    ("Abdulrahman Khalid", "KHALID, Abd al-Rahman", "person"),
    ("J. R. Smithson", "SMITHSON, John Robert", "person"),
    ("Mohammed Jamal Khalifa", "KHALIFA, Muhammad Gamal", "person"),
    ("Kim Jong-un", "KIM, Jong Un", "person"),
    ("Muammar Gaddafi", "QADHAFI, Muammar", "person"),
    ("Rosneft Trading S.A.", "ROSNEFT TRADING SA", "entity"),
    ("Bank Melli", "BANK MELLI IRAN", "entity"),
    ("Aerocaribean Airlines", "AEROCARIBBEAN AIRLINES", "entity"),
    ("Open Joint Stock Company Avia", "AVIA OAO", "entity"),
]
OTHER = [
    ("John Smith", "John Gruber", "person"),
    ("Mohamed Ali Hassan", "Mohamed Ali Ibrahim", "person"),
    ("Maria Lopez", "Carlos Lopez", "person"),
    ("Ali", "Ali Hassan Mohamed", "person"),
    ("Ivan Petrov", "Petr Ivanov", "person"),
    ("Tarik Mahmoud", "Tarek Mohamed", "person"),
    ("Korea Shipping", "Korea Samjong Shipping", "entity"),
    ("Brigade 13", "Brigade 14", "entity"),
    ("Acme Trading LLC", "Nadir Trading LLC", "entity"),
    ("Global General Trading", "Global Money Exchange", "entity"),
]


@pytest.mark.parametrize(("query", "listed", "kind"), SAME)
def test_a_name_told_otherwise_is_a_match(query: str, listed: str, kind: str) -> None:
    """Order, spelling, initials, missing parts and legal forms do not hide a name."""
    assert compare_names(query, listed, kind).score >= RECOMMENDED_THRESHOLD  # type: ignore[arg-type]  # a literal


@pytest.mark.parametrize(("query", "listed", "kind"), OTHER)
def test_a_name_that_shares_a_part_is_no_match(query: str, listed: str, kind: str) -> None:
    """A common word, or a common given name, is not a person."""
    assert compare_names(query, listed, kind).score < RECOMMENDED_THRESHOLD  # type: ignore[arg-type]  # a literal


def test_a_name_with_other_spaces_is_nearly_the_same() -> None:
    """Where the spaces are says little."""
    assert compare_names("Alza wahiri", "Al Zawahiri", "person").score == RESPACED


def test_a_score_tells_what_it_rests_on() -> None:
    """Every word that was paired is named with its likeness and weight."""
    found = compare_names("Mohamed Salih", "SALEH, Muhammad", "person")
    assert [(pair.query, pair.listed) for pair in found.pairs] == [
        ("mohamed", "muhammad"),
        ("salih", "saleh"),
    ]
    assert all(0.7 < pair.similarity < 1 for pair in found.pairs)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_compared(query: str, listed: str) -> None:
    """Whatever the characters: a score from 0 to 1, and no error."""
    for kind in ("person", "entity"):
        assert 0 <= compare_names(query, listed, kind).score <= 1


def test_hostile_strings_can_be_compared_with_themselves() -> None:
    """The naughty strings neither break the comparison nor hide from it."""
    for text in cast("list[str]", load_vectors("hostile-input/blns.json")):
        form = name_form(text, "person")
        assert bool(form.key) == is_comparable(text)
        if form.key:
            assert compare_names(text, text, "person").score == 1.0
