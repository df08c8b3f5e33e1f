"""Every hostile string in every column of a source: kept exactly, or refused without being repeated."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.canonical import canonical_strings
from activities.intake.columns import COLUMNS
from activities.intake.problem_log import ProblemLog
from activities.intake.rows import BadRow, Row
from activities.reading.activities import _cell
from activities.screening.matcher import compare_names
from activities.screening.names import is_comparable, name_form
from tests.hostile.strings import LONE, RUN_BY_SPREADSHEETS, UNSEEN, hostile_strings, telling
from tests.unit.intake.room import ROW, Room

NAMES = tuple(sorted(COLUMNS))
VISIBLE = str.maketrans(dict.fromkeys("\u200c\u200d"))
"""The joiners belong to names in Persian and Indic scripts, and stay."""


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """A folder with an inbox."""
    return Room(folder=tmp_path)


def _lines(column: str, strings: tuple[str, ...]) -> Iterator[dict[str, str]]:
    for number, text in enumerate(strings):
        yield {**dict.fromkeys(NAMES, ""), **ROW, "subject_id": f"s-{number}", column: text}


def _as_csv(rows: Iterator[dict[str, str]]) -> str:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, fieldnames=NAMES, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


def _require_kept_or_refused(found: list[Row | BadRow], column: str, strings: tuple[str, ...]) -> None:
    assert len(found) == len(strings)
    for row, text in zip(found, strings, strict=True):
        if isinstance(row, Row):
            assert row.values.get(column, "") == text
            assert not UNSEEN.search(text.translate(VISIBLE)), ascii(text)
            assert json.loads(canonical_strings(row.values)) == row.values
        else:
            told = " ".join(map(str, row.problems))
            assert told.isascii()
            assert told.isprintable()
            assert not (telling(text) and text in told), ascii(text)


@pytest.mark.parametrize("column", NAMES)
def test_every_string_in_every_column_of_csv(room: Room, column: str) -> None:
    """Quotes, line ends and NUL bytes inside of a cell leave the rows after it where they are."""
    strings = hostile_strings()
    _require_kept_or_refused(room.read(_as_csv(_lines(column, strings))), column, strings)


@pytest.mark.parametrize("column", NAMES)
def test_every_string_in_every_column_of_json_lines(room: Room, column: str) -> None:
    """The same strings by the other format, halves of characters as well, and by the name of a column."""
    strings = (*hostile_strings(), *LONE)
    given = "".join(json.dumps(row) + "\n" for row in _lines(column, strings))
    _require_kept_or_refused(room.read(given), column, strings)


def test_every_string_as_a_name_of_a_column(room: Room) -> None:
    """An unknown name is refused without being shown: where a header is missing, its place holds a person."""
    for text in (*hostile_strings(), *LONE):
        (found,) = room.read(json.dumps({**ROW, text: "x"}) + "\n")
        assert isinstance(found, BadRow) or text in COLUMNS
        if isinstance(found, BadRow):
            assert [str(problem) for problem in found.problems] == ["line 1, row: has an unknown column"]


def test_a_cell_of_the_wallet_table_never_begins_a_formula() -> None:
    """What begins with a sign is marked as text in the table that people open with a spreadsheet."""
    for text in (*hostile_strings(), "-1", "-A1", "--", "-1+2"):
        assert not _cell(text).startswith(RUN_BY_SPREADSHEETS), ascii(text)


def test_the_list_of_rejects_is_a_table_of_our_own_words(room: Room) -> None:
    """Each reject is one line of three cells, none of which a spreadsheet runs."""
    with ProblemLog() as log:
        for column in NAMES:
            for row in room.read(_as_csv(_lines(column, hostile_strings()))):
                if isinstance(row, BadRow):
                    log.add_row(row.problems)
        document = log.store(room.objects, "rejects/x.csv")
        text = room.objects.get(document.uri).decode()
    assert text.isascii()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == log.count + 1 == len(text.splitlines()) > 1_000
    for line, column, reason in rows[1:]:
        assert line.isdigit()
        assert column in {*COLUMNS, "row"}
        assert not reason.startswith(RUN_BY_SPREADSHEETS)


def test_every_name_that_is_taken_can_be_screened() -> None:
    """No spelling ends or holds the comparison, on either side of it."""
    for text in hostile_strings():
        form = name_form(text[:200], "person")
        assert bool(form.key) == is_comparable(text[:200]), ascii(text)
        assert 0 <= compare_names(text[:200], "Jane Doe", "person").score <= 1
        assert 0 <= compare_names("Jane Doe", text[:200], "entity").score <= 1
