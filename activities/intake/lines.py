"""The physical lines of a source, numbered and counted in bytes, with bounds on what one row may take.

Feeds a CSV or JSON reader. An overlong line is read past and reported; the line after it is read as usual.
"""

from typing import Final, Self

from activities.intake.source import OpenedSource

LINE_BYTES_MAX: Final = 32 * 1024
"""Bytes: several times the sum of all column limits in the widest encoding."""

RECORD_LINES_MAX: Final = 100
"""Physical lines that one quoted row may run over before its quote counts as never closed."""

_BOM: Final = b"\xef\xbb\xbf"
_PEEK: Final = 64


class LineTooLongError(Exception):
    """A physical line is longer than any good row can be."""


class RecordTooLongError(Exception):
    """A row runs over too many physical lines."""


class Lines:
    """An iterator over decoded lines; after an error it goes on with the line that follows."""

    def __init__(self, source: OpenedSource) -> None:
        self._source = source
        self._readline = source.readline
        self._record_end = RECORD_LINES_MAX
        self.number = 0
        self.record_line = 1
        self.undecodable = False
        if source.peek(_PEEK).startswith(_BOM):
            source.read(len(_BOM))

    def begins_with(self, mark: bytes) -> bool:
        """Whether the next characters, white space left out, are these."""
        return self._source.peek(_PEEK).lstrip().startswith(mark)

    def skip_to(self, offset: int) -> None:
        """Reads past everything before the offset, counting lines."""
        while self._source.offset < offset and (block := self._source.read(offset - self._source.offset)):
            self.number += block.count(b"\n")

    def begin_record(self) -> int:
        """Starts a row at the next line and gives that line's number."""
        self.undecodable = False
        self.record_line = self.number + 1
        self._record_end = self.number + RECORD_LINES_MAX
        return self.record_line

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        raw = self._readline(LINE_BYTES_MAX + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) > LINE_BYTES_MAX:
            self._pass_rest(raw)
            raise LineTooLongError
        if self.number > self._record_end:
            raise RecordTooLongError
        try:
            return raw.decode()
        except UnicodeDecodeError:
            # The reader still needs the line's quotes and commas to stay in step with the rows.
            self.undecodable = True
            return raw.decode("utf-8", "surrogateescape")

    def _pass_rest(self, raw: bytes) -> None:
        while raw and not raw.endswith(b"\n"):
            raw = self._readline(LINE_BYTES_MAX)
