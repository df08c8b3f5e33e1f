"""Reads subjects from CSV with a header or JSON lines, as a stream with a byte cursor.

A bad row becomes problems with line, column and reason, never a value, and never stops the reading; only a
file that has no usable beginning does. Memory does not grow with the file, whatever its bytes are.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from activities.failures import InvalidRequestError
from activities.intake.columns import COLUMNS, REQUIRED_COLUMNS, ColumnRules
from activities.intake.lines import (
    LINE_BYTES_MAX,
    RECORD_LINES_MAX,
    Lines,
    LineTooLongError,
    RecordTooLongError,
)
from activities.intake.source import OpenedSource

WHOLE_ROW: Final = "row"
"""Stands as column in problems that no single column has."""

_LINE_TOO_LONG: Final = f"longer than {LINE_BYTES_MAX} bytes"
_RECORD_TOO_LONG: Final = f"an opened quote is not closed; the next {RECORD_LINES_MAX} lines are not read"
_NOT_UTF8: Final = "not UTF-8"


class RowProblem(NamedTuple):
    """Where and why a row is refused; `line` counts physical lines from 1. A tuple: there may be millions."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.reason}"


class Row(NamedTuple):
    """A good row: its columns that are not empty. A tuple: there are millions."""

    line: int
    values: dict[str, str]


class BadRow(NamedTuple):
    """A row with at least one problem."""

    line: int
    problems: Sequence[RowProblem]


def read_rows(source: OpenedSource, *, today: date, after: int = 0) -> Iterator[Row | BadRow]:
    """Gives the rows in order, empty lines left out; after each, the source's offset is the byte behind it.

    Args:
        source: opened at its first byte.
        today: the last possible date of birth.
        after: offset behind the last row that is already known; reading goes on there.

    Raises:
        InvalidRequestError: the header is missing, unreadable or not the published one.
    """
    lines = Lines(source)
    rules = ColumnRules(today=today)
    if lines.begins_with(b"{"):
        lines.skip_to(after)
        return _json_rows(lines, rules)
    columns = _header(lines)
    lines.skip_to(after)
    return _csv_rows(lines, rules, columns)


def _header(lines: Lines) -> list[str]:
    try:
        header = next(csv.reader(lines, strict=True), [])
    except (csv.Error, LineTooLongError, RecordTooLongError):
        header = []
    if lines.undecodable:
        raise InvalidRequestError("source: the header is not UTF-8")
    problems = _header_problems(header)
    if problems:
        raise InvalidRequestError("source: the header is not the published one", problems)
    return header


def _header_problems(header: list[str]) -> list[str]:
    """Known names only: where a header is missing, its place holds personal data."""
    unknown = [str(place) for place, name in enumerate(header, 1) if name not in COLUMNS]
    repeated = sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    problems = [f"{name} is missing" for name in REQUIRED_COLUMNS if name not in header]
    problems += [f"{name} stands twice" for name in repeated]
    if unknown:
        problems.append(f"unknown name at place {', '.join(unknown[:20])}")
    return problems


def _csv_rows(lines: Lines, rules: ColumnRules, columns: list[str]) -> Iterator[Row | BadRow]:
    records = csv.reader(lines, strict=True)
    width = len(columns)
    while True:
        line = lines.begin_record()
        try:
            record = next(records)
        except StopIteration:
            return
        except (csv.Error, LineTooLongError, RecordTooLongError) as error:
            yield _bad(line, _unreadable(error))
            continue
        if lines.undecodable:
            yield _bad(line, _NOT_UTF8)
        elif len(record) == width:
            yield _checked(lines, rules, {c: v for c, v in zip(columns, record, strict=True) if v})
        elif record:
            yield _bad(line, f"has {len(record)} fields, the header has {width}")


def _json_rows(lines: Lines, rules: ColumnRules) -> Iterator[Row | BadRow]:
    while True:
        line = lines.begin_record()
        try:
            text = next(lines)
        except StopIteration:
            return
        except LineTooLongError as error:
            yield _bad(line, _unreadable(error))
            continue
        if lines.undecodable:
            yield _bad(line, _NOT_UTF8)
        elif not text.isspace():
            found = _json_values(text)
            yield _bad(line, found) if isinstance(found, str) else _checked(lines, rules, found)


def _checked(lines: Lines, rules: ColumnRules, values: dict[str, str]) -> Row | BadRow:
    problems = rules.problems(values)
    if not problems:
        return Row(lines.record_line, values)
    line = lines.record_line
    return BadRow(line, [RowProblem(line, column, reason) for column, reason in problems])


def _bad(line: int, reason: str) -> BadRow:
    return BadRow(line, [RowProblem(line, WHOLE_ROW, reason)])


def _unreadable(error: Exception) -> str:
    if isinstance(error, LineTooLongError):
        return _LINE_TOO_LONG
    if isinstance(error, RecordTooLongError):
        return _RECORD_TOO_LONG
    return "not readable as CSV"


class _RepeatedNameError(ValueError):
    """A JSON object names a column twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _RepeatedNameError
    return made


_JSON: Final = json.JSONDecoder(object_pairs_hook=_object)


def _json_values(text: str) -> dict[str, str] | str:
    """The columns of one JSON line that are not empty, or why it is no row."""
    try:
        found = _JSON.decode(text)
    except _RepeatedNameError:
        return "names a column twice"
    except (ValueError, RecursionError):
        return "not readable as JSON"
    if not isinstance(found, dict):
        return "not a JSON object"
    if not found.keys() <= COLUMNS:
        return "has an unknown column"
    given = {column: value for column, value in found.items() if value not in ("", None)}
    return given if all(map(_is_text, given.values())) else "has a value that is not text"


def _is_text(value: object) -> bool:
    return isinstance(value, str)
