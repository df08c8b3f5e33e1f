"""Takes a bundle apart and puts it together again, changed, with a table that agrees with the change."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activities.canonical import canonical
from activities.evidence.layout import BUNDLE
from activities.evidence.report import Status, VerificationReport

Members = dict[str, bytes]
Change = Callable[[Members], object]


def failed(report: VerificationReport) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in report.checks if check.status is Status.FAILED]


def members(path: Path) -> Members:
    """Every member's bytes, in order."""
    with zipfile.ZipFile(path) as bundle:
        return {entry.filename: bundle.read(entry) for entry in bundle.infolist()}


def rewritten(path: Path, target: Path, change: Change, *, table: bool = True) -> Path:
    """The bundle with a change made; its table follows the change unless told not to."""
    parts = members(path)
    change(parts)
    if table:
        parts[BUNDLE] = with_table(parts)
    return packed(parts, target)


def packed(parts: Members, target: Path) -> Path:
    """The members as a bundle's zip."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in parts.items():
            bundle.writestr(name, content)
    return target


def replaced(name: str, old: bytes, new: bytes) -> Change:
    """Replaces the first occurrence of some bytes, which must be there."""

    def change(parts: Members) -> None:
        assert old in parts[name], f"{old!r} is not in {name}"
        parts[name] = parts[name].replace(old, new, 1)

    return change


def edited(name: str, edit: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Edits the rows of a member of lines."""

    def change(parts: Members) -> None:
        rows = [json.loads(line) for line in parts[name].splitlines()]
        edit(rows)
        parts[name] = b"".join(canonical(row) + b"\n" for row in rows)

    return change


def document(name: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Edits a document."""

    def change(parts: Members) -> None:
        value = json.loads(parts[name])
        edit(value)
        parts[name] = canonical(value)

    return change


def with_table(parts: Members) -> bytes:
    """The table with every other member's digest and size as they are now."""
    facts = json.loads(parts[BUNDLE])
    facts["members"] = [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in parts.items()
        if name != BUNDLE
    ]
    return canonical(facts)
