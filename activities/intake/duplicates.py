"""Finds repeated subject ids in ten million rows with eight bytes for each.

The first look keeps a 64-bit hash per id; only ids whose hash came twice are compared in a second look,
so a chance collision accuses nobody.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from activities.intake.rows import Row

REPEATED_IDS_MAX: Final = 50_000
"""Ids named in one second look: bounds its memory at some 10 MB when a hostile file repeats every id."""

_BUCKETS: Final = 1024
"""Buckets hold some 10,000 hashes at ten million rows, so that checking one takes under a megabyte."""


class Repeated(NamedTuple):
    """A row whose subject id an earlier good row has."""

    line: int
    first_line: int


class SeenIds:
    """The first look: which hashes came more than once."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, subject_id: str) -> None:
        """Takes note of one row's id."""
        # Python's own string hash: 64 bits, keyed per process, so that nobody can aim for collisions.
        hashed = hash(subject_id)
        self._buckets[hashed % _BUCKETS].append(hashed)

    def suspects(self) -> set[int]:
        """Gives the hashes that came more than once, at most REPEATED_IDS_MAX of them."""
        found: set[int] = set()
        for bucket in self._buckets:
            found |= _more_than_once(bucket)
            if len(found) >= REPEATED_IDS_MAX:
                return set(sorted(found)[:REPEATED_IDS_MAX])
        return found


def repeated_rows(rows: Iterable[Row], suspects: set[int]) -> Iterator[Repeated]:
    """The second look: compares the suspects' ids themselves, in the file's order."""
    first_lines: dict[str, int] = {}
    for row in rows:
        subject_id = row.values["subject_id"]
        if hash(subject_id) in suspects:
            first_line = first_lines.setdefault(subject_id, row.line)
            if first_line != row.line:
                yield Repeated(row.line, first_line)


def _more_than_once(hashes: "array[int]") -> set[int]:
    if len(set(hashes)) == len(hashes):
        return set()
    ordered = sorted(hashes)
    return {one for one, other in pairwise(ordered) if one == other}
