"""Where the published test vectors lie, and how tests read them."""

import json
from pathlib import Path

import pytest


def vectors_dir() -> Path:
    """The folder of published vectors beside the repository; skips visibly when it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("the published vectors (../shared/vectors) are not on this machine")
    return folder


def load_vectors(name: str) -> object:
    """The parsed JSON of one vector file, named relative to the vectors' folder."""
    return json.loads((vectors_dir() / name).read_text(encoding="utf-8"))
