"""Reads policies from their folder: one file per jurisdiction, `<JURISDICTION>.toml`."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from activities.failures import InvalidRequestError
from activities.policy.shape import Policy, load_policy, policy_digest

POLICY_BYTES_MAX: Final = 64 * 1024
"""Bytes; a policy with every field is under 2 KiB."""

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
    try:
        raw = (folder / f"{jurisdiction}.toml").read_bytes()
        text = raw[:POLICY_BYTES_MAX].decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequestError(f"The policy {jurisdiction} cannot be read") from None
    policy = load_policy(text)
    if len(raw) > POLICY_BYTES_MAX or policy.jurisdiction != jurisdiction:
        raise InvalidRequestError(
            "The policy is not valid",
            [f"jurisdiction: the file {jurisdiction}.toml must name its own, briefly"],
        )
    return StoredPolicy(policy, text, policy_digest(text))


def policy_digests(folder: Path) -> dict[str, str]:
    """The digest of every policy file in the folder, by jurisdiction: what custody has mounted."""
    return {code: read_policy(folder, code).digest for code in known_jurisdictions(folder)}
