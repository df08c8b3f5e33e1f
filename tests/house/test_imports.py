"""Which room may import what: the import contracts, and what they cannot say."""

import sys
import tomllib
from typing import Any

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.house.sources import ROOT, in_rooms, sources

DOORWAY = ("activities.contracts", "activities.failures")
"""All that workflows may import from activities."""

KEY_LIBRARIES = {"coincurve", "cryptography", "tiny_keccak", "cchecksum"}
"""What key arithmetic may import beside the standard library."""

NOT_NEAR_KEYS = {
    "asyncio", "datetime", "logging", "numpy", "os", "pathlib", "pickle", "random", "requests", "secrets",
    "shelve", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""Clocks, other sources of randomness, and every way to keep or send something."""

NO_DECISION = {
    "os", "pathlib", "random", "requests", "secrets", "socket", "subprocess", "threading", "time", "uuid",
}  # fmt: skip
"""What a workflow that must replay can do nothing right with."""


def _contracts() -> list[dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found


def test_the_import_contracts_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Direct and indirect imports keep every contract of pyproject.toml."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    told = capsys.readouterr().out
    assert status == EXIT_STATUS_SUCCESS, told
    assert f"{len(_contracts())} kept, 0 broken" in told


def test_there_is_a_contract_for_every_room() -> None:
    """Workflows, activities, the doorway and the keys are each held to something."""
    held = {module for contract in _contracts() for module in contract["source_modules"]}
    assert {"workflows", "activities", *DOORWAY, "activities.keys"} <= held


def test_workflows_enter_activities_by_the_doorway() -> None:
    """Also modules that no contract names are closed to workflows."""
    wrong = [
        f"{source.name}:{line} {module}"
        for source in in_rooms("workflows")
        for line, module in source.imported()
        if module.startswith("activities")
        and not module.startswith(("activities.contracts", "activities.failures"))
    ]
    assert wrong == []


def test_workflows_reach_no_clock_and_no_chance() -> None:
    """What does not replay is not imported."""
    wrong = [
        f"{source.name}:{line} {module}"
        for source in in_rooms("workflows")
        for line, module in source.imported()
        if module.partition(".")[0] in NO_DECISION
    ]
    assert wrong == []


def test_key_arithmetic_imports_nothing_but_arithmetic() -> None:
    """Standard library without clocks, chance, files and processes; vetted curve libraries; itself."""
    allowed = set(sys.stdlib_module_names) - NOT_NEAR_KEYS | KEY_LIBRARIES
    keys = [source for source in sources() if source.name.startswith("activities/keys/")]
    wrong = [
        f"{source.name}:{line} {module}"
        for source in keys
        for line, module in source.imported()
        if module.partition(".")[0] not in allowed and not module.startswith("activities.keys")
    ]
    assert wrong == []
    assert len(keys) > 5


def test_workers_are_imported_by_nobody_but_tests() -> None:
    """The joining room is the last one."""
    wrong = [
        f"{source.name}:{line} {module}"
        for source in in_rooms("workflows", "activities")
        for line, module in source.imported()
        if module.partition(".")[0] in {"workers", "infra", "tests"}
    ]
    assert wrong == []


def test_our_own_code_is_never_mocked() -> None:
    """No test imports a mocking library."""
    wrong = [
        f"{source.name}:{line} {module}"
        for source in in_rooms("tests")
        for line, module in source.imported()
        if module.startswith(("unittest", "mock", "pytest_mock"))
    ]
    assert wrong == []
