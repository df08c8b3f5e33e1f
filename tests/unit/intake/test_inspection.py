import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.failures import InvalidRequestError
from activities.intake import inspection, problem_log
from tests.unit.intake.room import Room, csv_row, csv_text, json_row, people


def _refusal(room: Room, content: str | bytes, **changes: object) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        room.inspection(content, **changes).run()
    return raised.value


def _rejects(error: InvalidRequestError) -> list[str]:
    """The lines of the document that an error points to."""
    details = error.details[0]
    uri = details[-1].removeprefix("all are listed in file://")
    return Path(uri).read_text(encoding="utf-8").splitlines()


def test_a_good_file_is_counted(room: Room) -> None:
    """Nothing is refused and no document is made."""
    found = room.inspection(csv_text(*people(7))).run()
    assert (found.row_count, found.bad_row_count, found.rejects) == (7, 0, None)


def test_bad_rows_are_refused_with_every_problem_in_a_document(room: Room) -> None:
    """The error shows twenty problems and says how many more; the document has them all."""
    rows = [csv_row(subject_id=f"s-{number}", country="XX") for number in range(50)]
    error = _refusal(room, csv_text(*rows))
    reason = "not an ISO 3166-1 alpha-2 country code"
    assert error.message.startswith(f"source: has bad rows: line 2, country: {reason}; ")
    assert "line 21, country" in str(error)
    assert "line 22, country" not in str(error)
    assert "and 30 more" in str(error)
    expected = [f"{line},country,{reason}" for line in range(2, 52)]
    assert _rejects(error) == ["line,column,reason", *expected]


def test_skipped_rows_are_counted_and_listed(room: Room) -> None:
    """Where the request lets bad rows be left out, the good ones count and the others are listed."""
    content = csv_text(*people(5), csv_row(date_of_birth="1980-02-30", country="XX"))
    found = room.inspection(content, on_bad_rows="skip").run()
    assert (found.row_count, found.bad_row_count) == (6, 1)
    assert found.rejects is not None
    assert found.rejects.rows == 2
    assert "7,date_of_birth,not a date of the calendar" in room.objects.get(found.rejects.uri).decode()


def test_a_file_with_no_good_row_is_refused_even_when_skipping(room: Room) -> None:
    """Leaving out every row is not what anybody asked for."""
    error = _refusal(room, csv_text(csv_row(country="XX")), on_bad_rows="skip")
    assert "line 2, country" in str(error)


def test_repeated_ids_are_named_with_both_lines(room: Room) -> None:
    """The first row with an id is good; each later one is a problem that names it."""
    content = csv_text(*people(3), csv_row(subject_id="s-1"))
    error = _refusal(room, content)
    assert "line 5, subject_id: the same as in line 3" in str(error)
    found = room.inspection(content, on_bad_rows="skip").run()
    assert (found.row_count, found.bad_row_count) == (4, 1)


@pytest.mark.parametrize("content", [csv_text(), csv_text() + "\n\n\n", "\n"])
def test_a_file_without_rows_is_refused(room: Room, content: str) -> None:
    """A header alone, or nothing but line ends, is no batch."""
    assert _refusal(room, content).message.startswith("source: ")


def test_another_digest_is_refused_before_any_row_is_read(room: Room) -> None:
    """A file that is not the one meant gives one problem, not those of its rows."""
    error = _refusal(room, csv_text("rubbish"), source={"uri": "inbox://people.csv", "sha256": "0" * 64})
    assert error.message == "source.sha256: the file has another digest"


def test_reading_stops_at_the_first_row_over_the_limit(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that no policy could allow is refused without reading to the end."""
    monkeypatch.setattr(inspection, "BATCH_SUBJECTS_MAX", 3)
    assert _refusal(room, csv_text(*people(4))).message == "source: has more than 3 rows"
    assert room.inspection(csv_text(*people(3))).run().row_count == 3


def test_a_file_of_rubbish_stops_early(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of problems is bounded, and such a file is refused even when skipping."""
    monkeypatch.setattr(problem_log, "BAD_ROWS_MAX", 10)
    monkeypatch.setattr(inspection, "BAD_ROWS_MAX", 10)
    error = _refusal(room, csv_text(csv_row(), *["rubbish"] * 100), on_bad_rows="skip")
    assert "reading stopped after 10 bad rows" in str(error)
    assert len(_rejects(error)) == 11


def test_too_many_repetitions_are_refused_even_when_skipping(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When not every repetition can be listed, none is skipped silently."""
    monkeypatch.setattr("activities.intake.duplicates.REPEATED_IDS_MAX", 5)
    monkeypatch.setattr(inspection, "REPEATED_IDS_MAX", 5)
    error = _refusal(room, csv_text(*people(9), *people(9)), on_bad_rows="skip")
    assert "more than 5 ids are repeated: not all are listed" in str(error)


def test_no_value_of_a_row_is_in_error_or_document(room: Room) -> None:
    """What a row holds stays in the file."""
    marked = csv_row(
        subject_id="canary 1", full_name="canary\x012", date_of_birth="canary3", country="canary4"
    )
    error = _refusal(room, csv_text(marked, marked + ",canary5", '"canary6"x,,,,'))
    assert "canary" not in str(error)
    assert "canary" not in "".join(_rejects(error))


def test_the_error_stays_small_whatever_the_file(room: Room) -> None:
    """An error crosses Temporal: it stays far below the limit of a payload."""
    error = _refusal(room, "\n".join(json_row(subject_id="") for _ in range(5000)))
    assert len(str(error)) + len(str(error.details)) < 8 * 1024


def _peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "line", ['x,"a', '","', "x" * 5000, csv_row(country="XX"), "", '{"a":'], ids=lambda line: line[:12]
)
def test_memory_stays_flat_on_hostile_files(room: Room, line: str) -> None:
    """Ten times the rubbish needs no more memory: quotes that never close, endless lines, bad rows."""
    short, long = (csv_text(*people(1), *[line] * count) for count in (300, 3000))
    peaks = []
    for content in (short, long):
        inspected = room.inspection(content, on_bad_rows="skip")
        peaks.append(_peak_bytes(inspected.run))
    assert peaks[1] < peaks[0] + 1_000_000
