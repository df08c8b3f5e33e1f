"""One word, one meaning: the words we do not say, and the places that may not be named."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import Function, Source, in_rooms, texts

DO_NOT_SAY = {
    "chunk": "slice",
    "chunks": "slices",
    "customer": "subject",
    "customers": "subjects",
    "partition": "shard",
    "partitions": "shards",
    "phase": "wave or stage",
    "signoff": "approval",
    "username": "approver or subject_id",
    "users": "subjects",
}
"""Words in names, each with ours. What specifications fix is not among them."""

SPOKEN = re.compile(r"\b(chunks?|customers?|sign-offs?|partitions?)\b", re.IGNORECASE)
"""The same for what is said in docstrings."""

PYTHON = "python"

HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", f"{PYTHON}hosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("rubygems", "org"),
        ("proxy", "golang", "org"),
    )
)
"""Package registries: which one is used is a setting of the machine."""

MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home|Users)/[A-Za-z0-9]")
"""Folders of somebody's own machine."""


def test_names_use_our_words() -> None:
    """Functions, classes, parameters, fields and constants say slice, shard, wave and subject."""
    wrong = [
        f"{source.name}:{line} {name}: say {DO_NOT_SAY[word]}"
        for source in in_rooms()
        for line, name in _defined(source)
        for word in name.lower().strip("_").split("_")
        if word in DO_NOT_SAY
    ]
    assert wrong == []


def test_docstrings_use_our_words() -> None:
    """The same words in what is explained."""
    wrong = [
        f"{source.name}: {match.group()}"
        for source in in_rooms()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        for match in SPOKEN.finditer(ast.get_docstring(node) or "")
    ]
    assert wrong == []


def test_no_file_names_a_registry() -> None:
    """Tracked files work wherever packages come from."""
    wrong = [
        f"{name}: {host}"
        for name, text in texts().items()
        for host in HOSTS
        if re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", text)
    ]
    assert wrong == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    """Tracked files work wherever they are checked out."""
    wrong = [
        f"{name}: {match.group()}" for name, text in texts().items() for match in MACHINE_PATH.finditer(text)
    ]
    assert wrong == []


def test_people_in_examples_live_in_example_domains() -> None:
    """No address of ours could be somebody's."""
    address = re.compile(r"[\w.+-]+@((?:[a-z0-9-]+\.)+[a-z]{2,})\b")
    wrong = [
        f"{source.name}:{line} {match.group()}"
        for source in in_rooms("workflows", "activities", "workers", "infra", "tests")
        for line, text in enumerate(source.lines, start=1)
        for match in address.finditer(text)
        if not match.group(1).endswith((".example", "example.com", "example.org", "openssh.com"))
    ]
    assert wrong == []


def _defined(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | Function):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
