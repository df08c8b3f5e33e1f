"""One round after the other: every form of every command, and three batches that end in three ways."""

import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.integration.batch.people import csv_of, people
from tests.soak.forms import Form, standing_forms
from tests.soak.life import Life
from tests.soak.runner import Runner

AT_ONCE: Final = 2
"""Commands that run beside each other."""


def one_round(runner: Runner, number: int) -> None:
    """Runs every standing form and lives three batches."""
    mark = f"{number:03}-{secrets.token_hex(2)}"
    lives: tuple[Callable[[], None], ...] = (
        Life(runner, f"done-{mark}", held=1).complete,
        Life(runner, f"rejected-{mark}").be_rejected,
        Life(runner, f"aborted-{mark}").be_aborted,
        lambda: run_forms(runner, standing_forms()),
    )
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for done in [pool.submit(live) for live in lives]:
            if (error := done.exception()) is not None:
                runner.surprises.append(f"round {number} broke off: {type(error).__name__}: {error}")


def run_forms(runner: Runner, forms: Iterable[Form]) -> None:
    """Runs forms beside each other."""
    (runner.folder / "people.csv").write_text(csv_of(people("soak", 3)))
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        list(pool.map(runner.run, forms))
