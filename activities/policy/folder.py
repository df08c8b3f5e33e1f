"""Reads policies from their folder: one file per jurisdiction, `<JURISDICTION>.toml`.

A change of a file does not touch batches planned before it; custody, which believes only what it holds
itself, finds the text they were planned by in the folder `superseded`, under any name.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from activities.failures import InvalidRequestError
from activities.policy.shape import Policy, load_policy, policy_digest

POLICY_BYTES_MAX: Final = 64 * 1024
"""Bytes; a policy with every field is under 2 KiB."""

SUPERSEDED: Final = "superseded"
"""The folder, beside the policies in force, of those that batches are still finished by."""

_CODE: Final = re.compile(r"[A-Za-z]{2,16}", re.ASCII)


class StoredPolicy(NamedTuple):
    """A policy with its exact text and that text's digest (hex)."""

    policy: Policy
    text: str
    digest: str


def known_jurisdictions(folder: Path) -> tuple[str, ...]:
    """The codes that have a policy file, sorted; exactly as they must be written."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml") if _CODE.fullmatch(path.stem)))


def read_policy(folder: Path, jurisdiction: str) -> StoredPolicy:
    """The policy of a jurisdiction; `default` is taken only when it is asked for by name.

    Raises:
        InvalidRequestError: no such jurisdiction, or its file is not usable.
    """
    known = known_jurisdictions(folder)
    if jurisdiction not in known:
        raise InvalidRequestError(
            "The request is not valid", [f"jurisdiction: must be one of {', '.join(known)}"]
        )
    text = _read(folder / f"{jurisdiction}.toml")
    policy = load_policy(text)
    if policy.jurisdiction != jurisdiction:
        raise InvalidRequestError(
            "The policy is not valid", [f"jurisdiction: the file {jurisdiction}.toml must name its own"]
        )
    return StoredPolicy(policy, text, policy_digest(text))


def mounted_digests(folder: Path) -> frozenset[str]:
    """The digests of the policies in force and of the superseded ones: what custody has mounted.

    Raises: InvalidRequestError when one of them is not usable.
    """
    in_force = (read_policy(folder, code).digest for code in known_jurisdictions(folder))
    before = (policy_digest(_read(path)) for path in (folder / SUPERSEDED).glob("*.toml"))
    return frozenset((*in_force, *before))


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequestError(f"The policy {path.stem} cannot be read") from None
    if len(raw) > POLICY_BYTES_MAX:
        raise InvalidRequestError(f"The policy {path.stem} is longer than {POLICY_BYTES_MAX:,} bytes")
    return text
