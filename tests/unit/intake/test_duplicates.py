from collections.abc import Callable

import pytest

from activities.intake import duplicates
from activities.intake.duplicates import Repeated, SeenIds, repeated_rows
from activities.intake.rows import Row


def _rows(*subject_ids: str) -> list[Row]:
    return [Row(line, {"subject_id": subject_id}) for line, subject_id in enumerate(subject_ids, 2)]


def _suspects(rows: list[Row]) -> set[int]:
    seen = SeenIds()
    for row in rows:
        seen.add(row.values["subject_id"])
    return seen.suspects()


def test_every_repetition_is_named_with_the_first_line() -> None:
    """Each row whose id came before is named with its own line and the line of the first."""
    rows = _rows("a", "b", "a", "c", "b", "a")
    found = list(repeated_rows(rows, _suspects(rows)))
    assert found == [Repeated(4, 2), Repeated(6, 3), Repeated(7, 2)]


def test_ids_that_differ_in_case_or_spelling_are_different() -> None:
    """Ids are opaque: nothing but the same characters is the same id."""
    assert _suspects(_rows("a", "A", "a.", "a_", "0", "00")) == set()


def test_many_ids_without_a_repetition_give_no_suspect() -> None:
    """A hundred thousand different ids need no second look."""
    assert _suspects(_rows(*(f"s-{number}" for number in range(100_000)))) == set()


def test_a_chance_collision_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two different ids have the same hash, the second look clears both."""
    colliding: Callable[[str], int] = lambda _subject_id: 7  # noqa: E731 - a hash that always collides
    monkeypatch.setattr(duplicates, "hash", colliding, raising=False)
    rows = _rows("a", "b", "c", "b")
    assert _suspects(rows) == {7}
    assert list(repeated_rows(rows, {7})) == [Repeated(5, 3)]


def test_a_file_of_nothing_but_repetitions_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look takes only so many ids, and its size says that there were more."""
    monkeypatch.setattr(duplicates, "REPEATED_IDS_MAX", 100)
    rows = _rows(*(f"s-{number % 500}" for number in range(1000)))
    assert len(_suspects(rows)) == 100
