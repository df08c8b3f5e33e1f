"""Other releases of our code to run workers from: today's with edits, or one that stands in git."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from infra.devstack.state import REPOSITORY

ROOMS: Final = ("workflows", "activities", "workers", "infra")
VERSIONS: Final = "infra/migrations/versions"

Edits = Mapping[str, Mapping[str, str]]
"""By file: each text that stands there once, and what stands there instead."""


def edited(place: Path, edits: Edits) -> Path:
    """Gives a copy of today's code with edits."""
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, place / room)
    for name, replaced in edits.items():
        path = place / name
        text = path.read_text()
        for before, after in replaced.items():
            assert text.count(before) == 1, f"{name} has no single place {before!r}"
            text = text.replace(before, after)
        path.write_text(text)
    return place


def before_revision(place: Path, revision: str) -> Path:
    """Gives the code as it stood before a revision of the schema; skips where git does not know it."""
    (added,) = (REPOSITORY / VERSIONS).glob(f"{revision}_*.py")
    found = _git("log", "--diff-filter=A", "--format=%H", "--", f"{VERSIONS}/{added.name}")
    commits = found.decode().split()
    if not commits or not _git("rev-parse", "--verify", "--quiet", f"{commits[-1]}^"):
        pytest.skip(f"git does not know the release before schema {revision} here")
    archive = _git("archive", f"{commits[-1]}^", *ROOMS)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(place, filter="data")
    return place


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""
