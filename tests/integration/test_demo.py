"""The demo and the tour, run as a newcomer runs them, in a state folder of their own."""

import csv
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.demo.script import CHAINS
from infra.devstack import Stack
from infra.devstack.state import REPOSITORY
from tests.conftest import new_state_dir
from tests.waiting import eventually

SUBJECTS = 60

PERSONAL = ("full_name", "document_number", "kyc_reference")


class Played(NamedTuple):
    """What a run left: its output, its subjects, and its table of wallets."""

    exit_code: int
    output: str
    subjects: list[dict[str, str]]
    wallets: list[dict[str, str]]


@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    """A new state folder, as on a fresh machine; its servers are ended."""
    folder = new_state_dir()
    yield folder
    Stack(folder).wipe()


@pytest.fixture(scope="module")
def demo(state_dir: Path) -> Played:
    """The demo on a fresh machine."""
    return _play("infra.demo", state_dir)


@pytest.mark.stack
def test_demo_on_a_fresh_machine_ends_with_a_verified_bundle(demo: Played) -> None:
    """The first command of a newcomer succeeds from setting up to the offline check."""
    assert demo.exit_code == 0, demo.output[-2000:]
    assert "\nVERIFIED\n" in demo.output


@pytest.mark.stack
def test_demo_leaves_a_whole_table_of_wallets(demo: Played) -> None:
    """Everybody but the one true hit has an active wallet on every chain."""
    owners = {row["subject_id"] for row in demo.wallets if row["state"] == "active"}
    assert len(owners) == SUBJECTS - 1
    assert len(demo.wallets) == len(owners) * len(CHAINS.split(","))


@pytest.mark.stack
def test_demo_shows_personal_data_of_held_subjects_only(demo: Played) -> None:
    """Names, documents and references appear where an adjudicator opened a hold, and nowhere else."""
    held = [line for line in demo.output.splitlines() if line.startswith(" full name")]
    shown = {row["full_name"] for row in demo.subjects if any(row["full_name"] in line for line in held)}
    others = [row for row in demo.subjects if row["full_name"] not in shown]
    assert len(others) == SUBJECTS - 3
    assert [row for row in others if any(row[name] in demo.output for name in PERSONAL)] == []


@pytest.mark.stack
def test_demo_prints_tables_that_fit_a_terminal(demo: Played) -> None:
    """No table is wider than 100 columns."""
    rows = [line for line in demo.output.splitlines() if line.startswith(" ") and not line.startswith("  ")]
    assert len(rows) > 50
    assert [row for row in rows if len(row.rstrip()) > 100] == []


@pytest.mark.stack
def test_tour_goes_on_with_what_the_newcomer_decided_in_another_terminal(
    demo: Played, state_dir: Path, tmp_path: Path
) -> None:
    """Enter runs the commands that look; a rejection typed elsewhere ends the batch, and the tour well."""
    assert demo.exit_code == 0
    output = tmp_path / "tour.txt"
    ours, theirs = pty.openpty()
    with output.open("w") as stream:
        tour = subprocess.Popen(_command("infra.demo.tour", state_dir), stdin=theirs, stdout=stream)
    os.write(ours, b"\n\n")
    eventually(lambda: "policy, in brief" in output.read_text(), 60, what="the look at the plan")
    variables = dict(re.findall(r"export (\w+)=(\S+)", output.read_text()))
    batch = re.findall(r"walletworks approve (\S+)", output.read_text())[0]
    program = Path(sys.executable).with_name("walletworks")
    subprocess.run([program, "reject", batch, "--yes"], env=os.environ | variables, check=True)
    assert tour.wait(timeout=60) == 0
    os.close(ours)
    os.close(theirs)
    assert "0 wallets active, outcome rejected" in output.read_text()
    assert "\nVERIFIED\n" in output.read_text()


def _play(module: str, state_dir: Path) -> Played:
    done = subprocess.run(
        _command(module, state_dir),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    results = state_dir / "demo"
    return Played(
        exit_code=done.returncode,
        output=done.stdout + done.stderr,
        subjects=_rows(next(results.glob("demo-????????-??????.csv"), None)),
        wallets=_rows(next(results.glob("demo-*-wallets.csv"), None)),
    )


def _command(module: str, state_dir: Path) -> list[str]:
    return [sys.executable, "-m", module, "--state", str(state_dir), "--count", str(SUBJECTS)]


def _rows(file: Path | None) -> list[dict[str, str]]:
    if file is None:
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
