"""OpenSSH allowed-signers lines, each for exactly one person; what would be ambiguous is refused.

Certificates (`cert-authority`), patterns of principals and times without `Z` are not taken.
"""

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sshsig.allowed_signers import AllowedSigner

from activities.trust.persons import SignerKey
from activities.trust.reasons import SENTENCES, SignatureRefusedError
from activities.trust.signatures import key_fingerprint, require_usable_key

_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]*", re.ASCII)
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9@._*?-]+", re.ASCII)
_BLANKS: Final = " \t\r"
"""What may stand around a line; the last comes from files written elsewhere."""

_TIME_FORMATS: Final = {9: "%Y%m%dZ", 13: "%Y%m%d%H%MZ", 15: "%Y%m%d%H%M%SZ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerLine:
    """One line: its number, the person it names, and the key."""

    line: int
    principal: str
    key: SignerKey


class _LineProblemError(ValueError):
    """What is wrong with one line, in words without the line's content."""


def parse_allowed_signers(text: str) -> tuple[list[SignerLine], list[str]]:
    """The lines that are usable, and one problem for each that is not."""
    lines: list[SignerLine] = []
    problems: list[str] = []
    # OpenSSH knows no other end of a line; with more, a key could stand in what others read as a comment.
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip(_BLANKS)
        if not content or content.startswith("#"):
            continue
        try:
            lines.append(_signer_line(number, content))
        except _LineProblemError as problem:
            problems.append(f"allowed_signers line {number}: {problem}")
    return lines, problems


def _signer_line(number: int, content: str) -> SignerLine:
    if not content.isascii():
        raise _LineProblemError("holds letters outside ASCII")
    if not content.replace("\t", " ").isprintable():
        raise _LineProblemError("holds control characters")
    try:
        parsed = AllowedSigner.parse(content)
    except (ValueError, IndexError, NotImplementedError):
        raise _LineProblemError("is not in the allowed signers format") from None
    if not _PRINCIPAL.fullmatch(parsed.principals):
        raise _LineProblemError("must name exactly one person, without patterns")
    key = _signer_key(parsed.key_type, parsed.base64_key, parsed.options or {})
    return SignerLine(line=number, principal=parsed.principals, key=key)


def _signer_key(key_type: str, encoded: str, options: dict[str, str]) -> SignerKey:
    if "cert-authority" in options:
        raise _LineProblemError("cert-authority is not supported")
    try:
        blob = b64decode(encoded, validate=True)
        stated = require_usable_key(blob).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise _LineProblemError("the key is not base64") from None
    except SignatureRefusedError as refused:
        raise _LineProblemError(f"the key is refused: {SENTENCES[refused.reason]}") from None
    if stated != key_type:
        raise _LineProblemError("the key is of another type than the line says")
    return SignerKey(
        key_type=key_type,
        public_key=blob,
        fingerprint=key_fingerprint(blob),
        namespaces=_namespaces(options.get("namespaces")),
        valid_after=_time(options, "valid-after"),
        valid_before=_time(options, "valid-before"),
    )


def _namespaces(listed: str | None) -> tuple[str, ...]:
    if listed is None:
        return ()
    patterns = tuple(listed.split(","))
    if not all(_NAMESPACE.fullmatch(pattern) for pattern in patterns):
        raise _LineProblemError("namespaces may use letters, digits, @ . _ - and the patterns * and ?")
    return patterns


def _time(options: dict[str, str], name: str) -> datetime | None:
    stated = options.get(name)
    if stated is None:
        return None
    # Without Z the time would mean another instant on another machine, and verdicts would differ.
    form = _TIME_FORMATS.get(len(stated))
    try:
        return datetime.strptime(stated, form or "").replace(tzinfo=UTC)
    except ValueError:
        raise _LineProblemError(f"{name} must be YYYYMMDD[HHMM[SS]]Z") from None
