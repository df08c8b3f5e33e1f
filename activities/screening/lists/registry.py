"""The lists that can be read, by list id. A further list is one reader and one line in the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from activities.screening.lists import ofac, un
from activities.screening.lists.entries import ListUnreadableError, ScreeningList
from activities.screening.lists.files import read_files


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReader:
    """How one list is read: the files it needs, in digest order, and what makes a list of their bytes."""

    files: tuple[str, ...]
    parse: Callable[[str, Mapping[str, bytes]], ScreeningList]


READERS: Final[Mapping[str, ListReader]] = MappingProxyType(
    {
        "ofac-sdn": ListReader(files=ofac.FILES, parse=ofac.parse_ofac),
        "un-consolidated": ListReader(files=un.FILES, parse=un.parse_un),
    }
)


def list_files(list_id: str, folder: Path) -> dict[str, bytes]:
    """The bytes of a list's files under `<folder>/<list_id>/`, by file name, for the archive.

    Raises:
        ListUnreadableError: the list id is not known, or a file is missing, empty, too large or unreadable.
    """
    return read_files(list_id, folder / list_id, _reader(list_id).files)


def parse_list(list_id: str, files: Mapping[str, bytes]) -> ScreeningList:
    """The list in these bytes, as `list_files` or the archive gave them.

    Raises:
        ListUnreadableError: the list is not whole, not in its format, or not what its sidecar vouches for.
    """
    reader = _reader(list_id)
    if any(name not in files for name in reader.files):
        raise ListUnreadableError(list_id, "a file is missing")
    return reader.parse(list_id, files)


def load_list(list_id: str, folder: Path) -> ScreeningList:
    """The list under `<folder>/<list_id>/`.

    Raises:
        ListUnreadableError: as `list_files` and `parse_list`.
    """
    return parse_list(list_id, list_files(list_id, folder))


def _reader(list_id: str) -> ListReader:
    reader = READERS.get(list_id)
    if reader is None:
        raise ListUnreadableError("unknown", "there is no reader for this list id")
    return reader
