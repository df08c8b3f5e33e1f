"""The sidecar that says where a list's files came from, when they were published, and what they must be."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.canonical import sha256_hex
from activities.screening.lists.entries import ListUnreadableError
from activities.screening.lists.files import PROVENANCE

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Provenance(BaseModel):
    """The sidecar's content; `sha256` is by file name.

    `end_mark_missing` owns up to a copy whose storage dropped the authority's end mark: then only the
    digests and the entry count vouch for the files being whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: Annotated[str, Field(min_length=1, max_length=500)]
    published_on: date
    sha256: dict[str, Digest]
    entry_count: Annotated[int, Field(ge=1)]
    end_mark_missing: bool = False


def read_provenance(list_id: str, files: Mapping[str, bytes], names: tuple[str, ...]) -> Provenance | None:
    """The sidecar among the files, checked against the bytes of the named ones; None where there is none.

    Raises:
        ListUnreadableError: the sidecar is malformed, or a file is not the one it vouches for.
    """
    if PROVENANCE not in files:
        return None
    try:
        provenance = Provenance.model_validate(json.loads(files[PROVENANCE]))
    except (ValueError, ValidationError, RecursionError):
        raise ListUnreadableError(list_id, "its provenance sidecar is malformed") from None
    for name in names:
        if provenance.sha256.get(name) != sha256_hex(files[name]):
            raise ListUnreadableError(list_id, "a file is not the one its provenance vouches for")
    return provenance


def check_entry_count(list_id: str, provenance: Provenance | None, entry_count: int) -> None:
    """Refuses a list whose number of entries is not the one its sidecar states, or that has none.

    Raises:
        ListUnreadableError: the count is 0 or differs.
    """
    if entry_count == 0:
        raise ListUnreadableError(list_id, "it has no entries")
    if provenance is not None and provenance.entry_count != entry_count:
        raise ListUnreadableError(list_id, "its entry count is not the one its provenance states")
