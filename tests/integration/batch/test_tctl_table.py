"""The README's table for those who know tctl: every command of it is named, and what is beside it works."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from infra.devstack.temporal import temporal_binary
from tests.integration.batch.doors import CommandLine
from tests.integration.batch.office import Json, Office

README: Final = Path(__file__).parents[3] / "README.md"

TCTL: Final = {
    "workflow": "start run signalwithstart signal query stack list listall scan listarchived count show"
    " showid observe observeid describe describeid cancel terminate delete reset reset-batch",
    "batch": "start list describe terminate",
    "activity": "complete fail",
    "taskqueue": "describe list-partition get-build-ids update-build-ids",
    "schedule": "create update list describe trigger toggle delete backfill",
    "namespace": "register update delete list describe",
    "search-attribute": "list create",
    "cluster": "health get-search-attributes",
    "admin": "cluster workflow shard history_host taskqueue membership dlq db decode",
    "dataconverter": "",
    "config": "",
}
"""What tctl 1.18 lists of itself, and the two groups that came and went."""

READS: Final = {
    *("workflow list", "workflow count", "workflow show", "workflow describe", "workflow query"),
    *("workflow result", "batch list", "schedule list", "schedule describe", "task-queue describe"),
    *("task-queue list-partition", "operator namespace list", "operator namespace describe"),
    *("operator search-attribute list", "operator cluster health", "operator cluster describe"),
    *("operator cluster list", "worker deployment list", "config list", "env list"),
}
"""Run as they stand where they name no batch; those that do are run elsewhere, on batches at work."""

SLOW_OR_ELSEWHERE: Final = {"--follow", "--archived", "--codec-endpoint"}


def rows() -> list[list[str]]:
    """The cells of the table."""
    section = README.read_text().partition("### From tctl to temporal")[2].partition("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return lines[2:]


def commands() -> list[str]:
    """Every `temporal ...` in the table, once, and those of the section after it."""
    text = README.read_text().partition("### From tctl to temporal")[2].partition("\n## ")[0]
    return sorted(set(re.findall(r"`(temporal [^`]+)`", text)))


def verb(words: list[str]) -> str:
    """The command without its flags."""
    end = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join(words[:end])


def test_every_command_of_tctl_stands_in_the_table() -> None:
    """Nobody who knew one finds nothing; and each row says what it does to a batch."""
    table = rows()
    assert all(len(cells) == 3 for cells in table)
    assert all(cells[2].strip() for cells in table)
    groups = [re.findall(r"[a-z_][a-z_ -]*[a-z]", cells[0].replace("`", "")) for cells in table]
    for group, names in TCTL.items():
        own = " ".join(
            word for cell in groups for word in cell if any(each.startswith(group) for each in cell)
        )
        assert group in own, group
        assert [name for name in names.split() if not re.search(rf"(^| ){name}( |$)", own)] == [], group


@pytest.mark.parametrize("command", commands())
async def test_command_of_the_table_is_one_that_temporal_takes(
    office: Office, fading: tuple[Json, Json], command: str
) -> None:
    """Those that only read are run; of the others the program itself says that it knows words and flags."""
    batch_id = fading[0]["batch_id"]
    words = [batch_id if word == "B" else word for word in shlex.split(command)[1:]]
    door, called = CommandLine(office=office), verb(words)
    if called in READS and not SLOW_OR_ELSEWHERE & set(words) and batch_id not in words:
        done = await door.run(*words)
        assert done.taken, done.text
        return
    done_by_help = await office.temporal(*words, "--help")
    assert done_by_help.returncode == 0, done_by_help.stderr
    assert re.search(rf"^  {temporal_binary().name} {called} \[flags\]$", done_by_help.stdout, re.MULTILINE)
