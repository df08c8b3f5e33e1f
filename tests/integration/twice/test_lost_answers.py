"""The write happened and the caller is told that it timed out: the world changes once all the same."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.devstack.workers import ROLES
from tests.integration.batch.office import Office
from tests.integration.breaking import breaking
from tests.integration.test_announcements import SECRET
from tests.integration.twice.lives import LIVES, Life, write_hasty_policy
from tests.integration.twice.odd_process import Line, OddProcess
from tests.integration.twice.odd_worker import LOSSY, SILENCED, SLOTS
from tests.integration.twice.receiver import Receiver
from tests.integration.twice.witness import Change, Witness
from tests.integration.worker_program import settings_with
from tests.serving import serving
from workers.roster import Tools, activities_of, open_database, open_transit, role_named
from workers.settings import load_settings


@dataclass(frozen=True, kw_only=True)
class Lived:
    """What became of every life, by its name: row changes by the witness, and calls at the receiver."""

    effects: dict[str, Counter[Change]]
    readings: dict[str, int]
    calls: dict[str, list[str]]
    lines: list[Line]
    seeds: dict[str, int]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Whom announcements are sent to."""
    with serving(Receiver()) as listens:
        yield listens


@pytest.fixture(scope="module")
def settings(office: Office, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of workers with a receiver."""
    folder = tmp_path_factory.mktemp("lost-answers")
    secret = folder / "webhook_secret"
    secret.write_text(SECRET)
    write_hasty_policy(office)
    changes: dict[str, Mapping[str, Any]] = {
        "webhooks": {"url": receiver.url, "secret_file": str(secret)},
        **{role: {"activity_slots": SLOTS} for role in ROLES},
    }
    return settings_with(office.stack, folder, changes)


@pytest.fixture(scope="module")
async def every_life(
    office: Office, witness: Witness, receiver: Receiver, settings: Path
) -> tuple[Lived, Lived]:
    """Every life as it should be, and again, beside it, with every first answer of every activity lost."""
    with ExitStack() as ends:
        faults = ends.enter_context(breaking(office.stack))
        every = [OddProcess(role, "losing", settings=settings, folder=settings.parent) for role in ROLES]
        for process in every:
            ends.callback(process.end)
        for process in every:
            await asyncio.to_thread(process.until_polling)
        batches = {word: _batches(office, word) for word in ("calm", LOSSY)}
        lives = (
            LIVES[name](Life(office=office, faults=faults, batch_id=batch_id))
            for own in batches.values()
            for name, batch_id in own.items()
        )
        await asyncio.gather(*lives)
        lines = [line for process in every for line in process.told(lambda line: "activity" in line)]
    calm, lossy = (_lived(own, witness, receiver, lines) for own in batches.values())
    return calm, lossy


@pytest.fixture
def undisturbed(every_life: tuple[Lived, Lived]) -> Lived:
    """The lives as they should be."""
    return every_life[0]


@pytest.fixture
def disturbed(every_life: tuple[Lived, Lived]) -> Lived:
    """The lives whose answers were lost."""
    return every_life[1]


def _batches(office: Office, word: str) -> dict[str, str]:
    return {name: office.new_id(f"{word}-{name}") for name in LIVES}


def _lived(batches: Mapping[str, str], witness: Witness, receiver: Receiver, lines: list[Line]) -> Lived:
    reading = Change("audit_entries", "INSERT", "record.read")
    seed = Change("keyrings", "INSERT", "")
    return Lived(
        effects={name: witness.effects(batch) for name, batch in batches.items()},
        readings={name: witness.changes(batch)[reading] for name, batch in batches.items()},
        calls={name: [event for event, _ in receiver.calls_about(b)] for name, b in batches.items()},
        lines=lines,
        seeds={name: witness.changes(batch)[seed] for name, batch in batches.items()},
    )


def _activities(office: Office) -> set[str]:
    """The names of all activities of both roles, from the roster itself."""
    settings = load_settings(office.stack.settings_path)
    names: set[str] = set()
    for name in ROLES:
        role = role_named(name)
        section = role.section(settings)
        database, transit = open_database(section), open_transit(settings, section)
        tools = Tools(settings=settings, client=office.client, database=database, transit=transit)
        names.update(method.__name__ for method in activities_of(role.build(tools)))
        database.close()
    return names


@pytest.mark.parametrize("life", LIVES)
def test_every_row_changes_as_often_as_without_the_loss(
    undisturbed: Lived, disturbed: Lived, life: str
) -> None:
    """Table by table, and by what became of the rows, PostgreSQL counts the same number of changes."""
    assert undisturbed.effects[life]
    assert disturbed.effects[life] == undisturbed.effects[life]
    assert disturbed.seeds[life] == undisturbed.seeds[life] <= 1


def test_every_announcement_arrives_once(undisturbed: Lived, disturbed: Lived) -> None:
    """An answer lost after the arrival was recorded sends nothing again."""
    for life in LIVES:
        assert len(disturbed.calls[life]) == len(set(disturbed.calls[life]))
        assert len(disturbed.calls[life]) == len(undisturbed.calls[life])
    assert sum(map(len, undisturbed.calls.values())) > 5


def test_every_reading_is_on_record(undisturbed: Lived, disturbed: Lived) -> None:
    """A reading that was made twice was given out twice, and says so."""
    assert undisturbed.readings["through"] >= 4
    assert disturbed.readings["through"] == 2 * undisturbed.readings["through"]


def test_every_activity_lost_an_answer_and_was_run_again(office: Office, disturbed: Lived) -> None:
    """Nothing of the roster is left out; of the sample one answer each was given up by the engine itself."""
    lost = {line["activity"] for line in disturbed.lines if "lost" in line}
    silent = {line["activity"] for line in disturbed.lines if line.get("lost") == "silent"}
    again = {line["activity"] for line in disturbed.lines if line.get("answered", 0) > 1}
    assert lost == again == _activities(office)
    assert silent == SILENCED.keys()


def test_the_witness_sees_every_table(witness: Witness, undisturbed: Lived) -> None:
    """A table that no life changes would be watched in vain."""
    seen = {change.relation for effects in undisturbed.effects.values() for change in effects}
    assert witness.relations - seen == {"withholdings"}
