"""The README's commands, typed one after the other into one shell, as a newcomer would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.devstack import Stack
from tests.conftest import new_state_dir

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT, CONTINUED = "$ ", "> "

SHELL = """
set -euo pipefail
make() {{ command make --no-print-directory -C {repository} -o .venv/.locked BIN={programs} "$@"; }}
"""
"""`make` works on this checkout with the programs of this environment, which are installed already."""


def commands() -> list[str]:
    """Gives every command of every console block, with the lines it goes on over."""
    found: list[str] = []
    for block in BLOCK.findall((REPOSITORY / "README.md").read_text()):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append(line.removeprefix(PROMPT))
            elif line.startswith(CONTINUED):
                found[-1] += "\n" + line.removeprefix(CONTINUED)
    return found


@pytest.mark.timeout(400)
def test_the_readme_works_as_typed(tmp_path: Path) -> None:
    """Every command of the README does what it says, in the README's own order."""
    state = new_state_dir()
    script = SHELL.format(repository=REPOSITORY, programs=Path(sys.executable).parent)
    script += "\n".join(f"echo '{number}:' >&2\n{line}" for number, line in enumerate(commands()))
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=os.environ | {"WALLETWORKS_STATE": str(state)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        Stack(state).wipe()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "VERIFIED" in done.stdout
    assert done.stdout.count("C-1001,ethereum,0x") == 1
