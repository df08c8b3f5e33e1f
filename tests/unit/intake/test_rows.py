import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.failures import InvalidRequestError
from activities.intake.columns import COLUMNS
from activities.intake.lines import LINE_BYTES_MAX
from activities.intake.rows import BadRow, Row
from tests.unit.intake.room import HEADER, ROW, Room, csv_row, csv_text, json_row, people
from tests.vectors import load_vectors

OTHER_COLUMNS = sorted(COLUMNS - {"subject_id"})


def test_good_rows_come_in_order_with_line_and_offset(room: Room) -> None:
    """Every good row carries its line and its columns that are not empty; the source stands behind it."""
    first, second = csv_text(csv_row()), csv_row(subject_id="s-2")
    assert room.read_with_offsets(first + second) == [
        (Row(2, ROW), len(first.encode())),
        (Row(3, {**ROW, "subject_id": "s-2"}), len((first + second).encode())),
    ]


def test_csv_and_json_lines_give_the_same_rows(room: Room) -> None:
    """The two formats differ in nothing but their writing; empty and absent columns are the same."""
    header = f"{HEADER},label"
    from_csv = room.read(csv_text(f"{csv_row()},blue", f"{csv_row(subject_id='s-2')},", header=header))
    lines = [json_row(label="blue"), json_row(subject_id="s-2", label=None)]
    from_json = room.read("\n".join(lines))
    values = [[row.values for row in rows if isinstance(row, Row)] for rows in (from_csv, from_json)]
    assert values[0] == values[1] == [{**ROW, "label": "blue"}, {**ROW, "subject_id": "s-2"}]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends_are_tolerated(room: Room, start: bytes, end: str) -> None:
    """Files as spreadsheets write them are read as if they had neither."""
    content = start + csv_text(*people(3)).replace("\n", end).encode()
    rows = room.read_with_offsets(content)
    assert [row.line for row, _ in rows] == [2, 3, 4]
    assert rows[-1] == (Row(4, {**ROW, "subject_id": "s-2"}), len(content))


def test_reading_goes_on_behind_an_offset(room: Room) -> None:
    """Rows behind an offset have the lines and offsets they have in the whole file."""
    for content in (csv_text(*people(20)), "\n".join(json_row(subject_id=f"s-{n}") for n in range(20))):
        whole = room.read_with_offsets(content)
        assert len(whole) == 20
        for index, (_, offset) in enumerate(whole):
            assert room.read_with_offsets(content, after=offset) == whole[index + 1 :]


def test_lines_are_counted_as_an_editor_counts_them(room: Room) -> None:
    """A quoted line break refuses its own row and moves no other row's number."""
    content = csv_text(csv_row(full_name="Ana\nPérez"), "", csv_row(country="XX"), csv_row())
    assert room.problems(content) == [
        "line 2, full_name: holds a control or invisible character",
        "line 5, country: not an ISO 3166-1 alpha-2 country code",
    ]
    assert [row.line for row in room.read(content) if isinstance(row, Row)] == [6]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("subject_id", "", "missing"),
        ("subject_id", "a b", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ - :"),
        ("subject_id", "é", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ - :"),
        ("subject_id", "x" * 65, "must be 1 to 64 of the characters A-Z a-z 0-9 . _ - :"),
        ("subject_kind", "", "missing"),
        ("subject_kind", "robot", "must be person or entity"),
        ("full_name", "", "missing"),
        ("full_name", "x" * 201, "longer than 200 characters"),
        ("full_name", "- . -", "has no letter"),
        ("full_name", "Ana\x00Pérez", "holds a control or invisible character"),
        ("full_name", "Ana\x85Pérez", "holds a control or invisible character"),
        ("full_name", "Ana\u202ezereP", "holds a control or invisible character"),
        ("full_name", "A\u200bna", "holds a control or invisible character"),
        ("full_name", "Ana\ufffe", "holds what is no Unicode character"),
        ("date_of_birth", "", "missing"),
        ("date_of_birth", "1980-02-30", "not a date of the calendar"),
        ("date_of_birth", "1981-02-29", "not a date of the calendar"),
        ("date_of_birth", "19800229", "not a date as YYYY-MM-DD"),
        ("date_of_birth", "29.02.1980", "not a date as YYYY-MM-DD"),
        ("date_of_birth", "1980-W09-5", "not a date as YYYY-MM-DD"),
        ("date_of_birth", "\u0661\u0669\u0668\u0660-02-01", "not a date as YYYY-MM-DD"),
        ("date_of_birth", "1899-12-31", "lies before 1900"),
        ("date_of_birth", "2026-03-02", "lies in the future"),
        ("country", "", "missing"),
        ("country", "de", "not an ISO 3166-1 alpha-2 country code"),
        ("country", "DEU", "not an ISO 3166-1 alpha-2 country code"),
        ("nationality", "ZZ", "not an ISO 3166-1 alpha-2 country code"),
        ("document_number", "x" * 65, "longer than 64 characters"),
        ("kyc_reference", "x" * 129, "longer than 128 characters"),
        ("label", "tab\there", "holds a control or invisible character"),
        ("xpub", "xpub 1", "must be 1 to 128 ASCII letters and digits"),
        ("address", "0x12\u20ac", "must be 1 to 128 ASCII letters and digits"),
    ],
)
def test_a_bad_value_is_named_by_line_column_and_reason(
    room: Room, column: str, value: str, reason: str
) -> None:
    """Each column's rule has a sentence of its own, in CSV and in JSON lines, and never the value."""
    header = HEADER if column in ROW else f"{HEADER},{column}"
    row = csv_row(**{column: value})
    assert room.problems(csv_text(row, header=header)) == [f"line 2, {column}: {reason}"]
    assert room.problems(json_row(**{column: value})) == [f"line 1, {column}: {reason}"]


@pytest.mark.parametrize("value", ["1900-01-01", "2026-03-01"])
def test_the_first_and_last_possible_birth_dates_are_taken(room: Room, value: str) -> None:
    """The bounds belong to the range."""
    assert room.problems(csv_text(csv_row(date_of_birth=value))) == []


@pytest.mark.parametrize("value", ["", "1799-04-01"])
def test_an_entity_may_be_old_or_have_no_date(room: Room, value: str) -> None:
    """Only persons must have a date of birth, and after 1900."""
    assert room.problems(csv_text(csv_row(subject_kind="entity", date_of_birth=value))) == []


@pytest.mark.parametrize(
    "name", ["\u0645\u062d\u200c\u0631\u0636", "李小龙", "O'Brien-Núñez", "3M", "क्\u200dष", "A\u00a0B"]
)
def test_names_of_many_scripts_are_taken(room: Room, name: str) -> None:
    """Joiners and no-break spaces belong to names and are no control characters."""
    assert room.problems(csv_text(csv_row(full_name=name))) == []


def test_every_problem_of_a_row_is_named(room: Room) -> None:
    """A row is not given back once per mistake."""
    row = csv_row(subject_id="", country="XX", date_of_birth="never")
    assert [problem.split(",")[0] for problem in room.problems(csv_text(row))] == ["line 2"] * 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("s-1,person", "has 2 fields, the header has 5"),
        (csv_row() + ",x", "has 6 fields, the header has 5"),
        ('s-1,person,"Ana"x,1980-01-01,DE', "not readable as CSV"),
        ("s-1,person,Ana\rPérez,1980-01-01,DE", "not readable as CSV"),
        ("x" * (LINE_BYTES_MAX + 1), f"longer than {LINE_BYTES_MAX} bytes"),
        ("x" * (LINE_BYTES_MAX * 3), f"longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_a_row_of_the_wrong_shape_stops_no_other_row(room: Room, row: str, reason: str) -> None:
    """The rows after a broken one are read as usual, with their right numbers."""
    content = csv_text(row, csv_row())
    assert room.problems(content) == [f"line 2, row: {reason}"]
    assert [found.line for found in room.read(content) if isinstance(found, Row)] == [3]


def test_a_quote_that_never_closes_costs_a_bounded_number_of_lines(room: Room) -> None:
    """A stray quote is reported where it opens, and reading goes on after a hundred lines."""
    content = csv_text('s-0,person,"Ana,1980-01-01,DE', *people(150))
    rows = room.read(content.replace('"s', "s").replace('","', ",").replace('DE"', "DE"))
    assert isinstance(rows[0], BadRow)
    assert str(rows[0].problems[0]).startswith("line 2, row: an opened quote is not closed")
    assert [row.line for row in rows[1:] if isinstance(row, Row)] == list(range(103, 153))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("[1]", "not a JSON object"),
        ('{"label": "' + "x" * LINE_BYTES_MAX + '"}', f"longer than {LINE_BYTES_MAX} bytes"),
        ('"text"', "not a JSON object"),
        ("{", "not readable as JSON"),
        ("[" * 20_000, "not readable as JSON"),
        ('{"a": ' + "9" * 6_000 + "}", "not readable as JSON"),
        ('{"subject_id": "a", "subject_id": "b"}', "names a column twice"),
        ('{"subject_id": "a", "shoe_size": "44"}', "has an unknown column"),
        ('{"subject_id": 7}', "has a value that is not text"),
        ('{"subject_id": {"a": "b"}}', "has a value that is not text"),
        ('{"label": NaN}', "has a value that is not text"),
    ],
)
def test_a_json_line_of_the_wrong_shape_is_named(room: Room, row: str, reason: str) -> None:
    """Each line must be one flat object of known columns and texts."""
    assert room.problems(f"{json_row()}\n{row}\n{json_row()}") == [f"line 2, row: {reason}"]


def test_a_lone_surrogate_in_json_is_no_text(room: Room) -> None:
    """An escape that no UTF-8 can carry is refused where it stands."""
    row = json.dumps({**ROW, "full_name": "Ana \ud800"})
    assert room.problems(row) == ["line 1, full_name: holds what is no Unicode character"]


def test_bytes_that_are_not_utf8_refuse_their_row_only(room: Room) -> None:
    """Latin-1 bytes are reported as what they are, and rows stay in step."""
    content = csv_text(*people(3)).encode().split(b"\n")
    content[2] = csv_row(full_name="Jos\u00e9").encode("latin-1")
    assert room.problems(b"\n".join(content)) == ["line 3, row: not UTF-8"]
    assert room.problems(b'{"full_name": "Jos\xe9"}') == ["line 1, row: not UTF-8"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (HEADER.replace(",country", ""), "country is missing"),
        (f"{HEADER},country", "country stands twice"),
        (f"{HEADER},shoe_size", "unknown name at place 6"),
        (HEADER.upper(), "unknown name at place 1, 2, 3, 4, 5"),
        (HEADER.replace(",", ";"), "unknown name at place 1"),
        ("", "country is missing"),
        ('"never closed', "country is missing"),
    ],
)
def test_a_wrong_header_is_refused_without_repeating_it(room: Room, header: str, problem: str) -> None:
    """Where the header is missing its place holds personal data, so only known names are said."""
    with pytest.raises(InvalidRequestError) as raised:
        room.read(csv_text(csv_row(), header=header))
    assert problem in str(raised.value)
    assert "shoe_size" not in str(raised.value)


def test_a_file_in_another_encoding_is_refused_by_its_header(room: Room) -> None:
    """UTF-16 is told as such, not as a wrong header."""
    with pytest.raises(InvalidRequestError, match="source: the header is not UTF-8"):
        room.read(csv_text(csv_row()).encode("utf-16"))


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_hostile_strings_never_show_in_problems(room: Room, column: str) -> None:
    """Five hundred naughty strings in every column give good rows or problems, and problems stay clean."""
    strings = [str(text) for text in load_vectors("hostile-input/blns.json")]  # type: ignore[attr-defined]  # a list
    lines = [json_row(**{"subject_id": f"s-{n}", column: text}) for n, text in enumerate(strings)]
    rows = room.read("\n".join(lines))
    problems = [str(problem) for row in rows if isinstance(row, BadRow) for problem in row.problems]
    assert len(rows) == len(strings)
    assert problems
    assert all(problem.isascii() and problem.isprintable() and len(problem) < 120 for problem in problems)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_make_the_reader_fail(room: Room, noise: bytes, as_json: bool) -> None:
    """Whatever bytes follow a good beginning, only rows and row problems come out."""
    start = f"{json_row()}\n" if as_json else csv_text(csv_row())
    rows = room.read(start.encode() + noise)
    assert rows[0] == Row(1 if as_json else 2, ROW)
    assert all(isinstance(row, Row | BadRow) for row in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.text(max_size=30), min_size=5, max_size=5))
def test_what_is_taken_is_taken_exactly_as_written(room: Room, values: list[str]) -> None:
    """A row is refused or comes out with the very values that were written."""
    written = dict(zip(ROW, (value.encode("utf-8", "replace").decode() for value in values), strict=True))
    for row in room.read(csv_text(csv_row(**written))):
        if isinstance(row, Row):
            assert row.values == {column: value for column, value in written.items() if value}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.sampled_from(OTHER_COLUMNS), st.text(max_size=300))
def test_problems_never_depend_on_the_value_shown(room: Room, column: str, value: str) -> None:
    """Every problem is one of the fixed sentences: what was written is no part of it."""
    marked = f"\x01{value}"
    row = json.dumps({**ROW, column: marked})
    problems = room.problems(row)
    assert problems
    assert all("\x01" not in problem for problem in problems)
