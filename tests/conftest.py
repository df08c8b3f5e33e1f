"""What tests of every kind share: the real servers, started once for the session."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from infra.devstack import Stack
from tests.sharing_out import SharingOut

# PostgreSQL runs as another account when the tests run as root: pytest's own folders are closed to it.
STACKS = Path("/var/tmp")  # noqa: S108 - mkdtemp makes a folder of our own in it
PREFIX = "walletworks-test-"

TOLD = "told in the summary"
"""A property of a test whose text is shown, once, below all results: processes' own output is lost."""

_POINTS_ELSEWHERE = frozenset(
    ["DATABASE_URL", "WALLETWORKS_STATE", "WALLETWORKS_SETTINGS", "WALLETWORKS_AS", "WALLETWORKS_KEY"]
)
# A shell that `make env` points at a stack would make our servers use parts of that one.
for name in list(os.environ):
    if name.startswith(("TEMPORAL_", "VAULT_")) or name in _POINTS_ELSEWHERE:
        del os.environ[name]

settings.register_profile("the same every time", derandomize=True, database=None, deadline=None)
settings.load_profile("the same every time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses the servers."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests had to tell."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [each for report in reports for each in getattr(report, "user_properties", ())]
    for text in dict.fromkeys(text for name, text in properties if name == TOLD):
        terminalreporter.write_line(f"\n{text}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SharingOut:
    """Keeps in one process what shares a costly beginning."""
    return SharingOut(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Gives Temporal, PostgreSQL and OpenBao, running and migrated; ended with the session."""
    _sweep()
    running = Stack(new_state_dir())
    with running:
        yield running
    running.wipe()


@pytest.fixture(scope="session")
def settings_path(stack: Stack) -> Path:
    """Gives the settings file of the session's servers."""
    return stack.settings_path


def new_state_dir() -> Path:
    """Gives a new folder for a stack of this test session."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=STACKS))


def _sweep() -> None:
    """Ends and removes the stacks of sessions that were killed before they could do so themselves."""
    for folder in STACKS.glob(f"{PREFIX}*"):
        session = folder.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(FileNotFoundError):  # another session is sweeping too
            if folder.stat().st_uid == os.geteuid() and not Path(f"/proc/{session}").exists():
                Stack(folder).wipe()
