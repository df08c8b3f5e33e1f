"""The tracked files of the repository, read and parsed once for all house tests."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("workflows", "activities", "workers", "infra")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, its text and its tree."""

    name: str
    text: str

    @property
    def room(self) -> str:
        """The top-level package."""
        return self.name.partition("/")[0]

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text, self.name)

    @cached_property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.splitlines()

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imported(self) -> Iterator[tuple[int, str]]:
        """Every imported module, by line; `from a import b` counts as `a` and as `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            if isinstance(node, ast.ImportFrom) and node.module:
                yield node.lineno, node.module
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def tracked() -> tuple[str, ...]:
    """The names of all tracked files that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("house rules are about tracked files, and this is no checkout")
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@cache
def texts() -> dict[str, str]:
    """Every tracked text file."""
    found = {}
    for name in tracked():
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw[:8192]:
            found[name] = raw.decode("utf-8")
    return found


@cache
def sources() -> tuple[Source, ...]:
    """Every tracked Python file."""
    return tuple(Source(name, text) for name, text in texts().items() if name.endswith(".py"))


def in_rooms(*rooms: str) -> Iterator[Source]:
    """The Python files of some rooms, or of all four."""
    return (source for source in sources() if source.room in (rooms or ROOMS))


def is_public(name: str) -> bool:
    """Whether a name is for others."""
    return not name.startswith("_")


def places(pattern: str, text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every match."""
    for match in re.finditer(pattern, text):
        yield text.count("\n", 0, match.start()) + 1, match.group()
