"""What an auditor takes away of a batch: the public part of its bundle, and whose words stand where in it."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from activities.canonical import canonical, canonical_text
from activities.evidence.layout import BUNDLE, RESTRICTED
from tests.integration.tampering import members

HASHED: Final = re.compile(rb"[0-9a-f]{64}")
CONTROLS: Final = re.compile(rb"[\x00-\x09\x0b-\x1f]")

WORDS: Final = {"approvals.jsonl": ("statement", "signature"), "plan.json": ("request",)}
"""Where others' own words are kept to the letter because they are signed, or because they were refused."""


@dataclass(frozen=True, kw_only=True)
class PublicPart:
    """The public members of one bundle."""

    parts: dict[str, bytes]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The objects of a member, each of which is one strict line."""
        return [json.loads(line) for line in self.parts[name].splitlines()]

    def repeats(self, texts: Iterable[str], *, hashed: bool = True) -> list[str]:
        """Those texts that stand in it as they are, as JSON spells them, in lower case, or hashed."""
        everything = b"\n".join(self.parts.values())
        places = (everything, everything.lower())
        digests = set(HASHED.findall(everything)) if hashed else set()
        return [text for text in texts if _stands(text, places) or _digests(text) & digests]

    def without_words(self) -> "PublicPart":
        """The same with what others said to the letter left out."""
        parts = {name: part for name, part in self.parts.items() if name != "request.json"}
        for name, fields in WORDS.items():
            rows = [{k: v for k, v in row.items() if k not in fields} for row in self.rows(name)]
            parts[name] = b"\n".join(canonical(row) for row in rows)
        return PublicPart(parts=parts)


def public_part(bundle: Path) -> PublicPart:
    """Reads a bundle; no member has a control character, and all but the policy are JSON's one spelling."""
    parts = {name: part for name, part in members(bundle).items() if name != RESTRICTED}
    for name, part in parts.items():
        assert not CONTROLS.search(part), name
        if not name.endswith(".toml"):
            for line in part.decode().split("\n"):
                assert not line or canonical_text(json.loads(line)) == line, name
    assert BUNDLE in parts
    return PublicPart(parts=parts)


def _stands(text: str, places: tuple[bytes, ...]) -> bool:
    return any(spelt in place for spelt in _spellings(text) for place in places)


def _spellings(text: str) -> Iterator[bytes]:
    for one in (text, text.lower()):
        for spelt in (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1]):
            yield spelt.encode("utf-8", "surrogatepass")


def _digests(text: str) -> set[bytes]:
    raw = text.encode("utf-8", "surrogatepass")
    return {
        hashlib.sha256(before + raw + after).hexdigest().encode()
        for before in (b"", b"\x00")
        for after in (b"", b"\n")
    }
