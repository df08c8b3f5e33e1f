"""Reads runbooks: their head, their sections, and the commands in them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SECTIONS: Final = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Do not", "Verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """One runbook as its readers see it."""

    name: str
    title: str
    head: dict[str, str]
    sections: dict[str, str]

    def blocks(self, section: str) -> list[str]:
        """The shell commands of a section, block by block, without their indent."""
        found = re.findall(r"^( *)```sh\n(.*?)^ *```$", self.sections[section], re.MULTILINE | re.DOTALL)
        return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def runbooks() -> dict[str, Runbook]:
    """Every runbook by its file's name."""
    files = (ROOT / "runbooks").glob("*.md")
    return {file.stem: read(file) for file in files if file.stem != "README"}


def read(file: Path) -> Runbook:
    """Parses one file."""
    top, *parts = re.split(r"^## ", file.read_text(), flags=re.MULTILINE)
    return Runbook(
        name=file.stem,
        title=top.partition("\n")[0].removeprefix("# "),
        head=dict(re.findall(r"^- ([^:]+): (.+)$", top, re.MULTILINE)),
        sections={name: body for name, _, body in (part.partition("\n") for part in parts)},
    )
