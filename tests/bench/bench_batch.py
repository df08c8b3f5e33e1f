"""Whole batches on a stack of their own: seconds of each stage, what they cost the engine, peak memory.

Run: python -m tests.bench.bench_batch [subjects]. People's waiting is not counted, their signing is real.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from temporalio.client import Client

from infra.demo.cast import COMPLIANCE, REQUESTER, TENANT
from infra.demo.people import write_people
from infra.demo.play import Play, newest_gate
from infra.demo.progress import Status
from infra.demo.script import SIGNERS
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack.process import children
from tests.bench.histories import Events, Span, cost_of, fetch_runs, first_answer, stage_seconds
from tests.bench.measures import Bar, Measure, print_measures
from tests.conftest import new_state_dir

SUBJECTS: Final = 10_000
QUICK_SUBJECTS: Final = 1_000
"""The size the first answer is timed at."""

RATE_BAR: Final = Bar(bound=5_000)
EVENTS_BAR: Final = Bar(bound=4_095, at_most=True)
ACTIONS_BAR: Final = Bar(bound=0.01, at_most=True)
MEMORY_BAR: Final = Bar(bound=1_024, at_most=True)
ANSWER_BAR: Final = Bar(bound=2, at_most=True)
FULL_SIZE: Final = 100_000
"""The design's bars for whole batches are set at this size and more."""

_SAMPLE_SECONDS: Final = 0.2


def measure(subjects: int) -> list[Measure]:
    """Gives the figures of one batch of this size, and the first answer of a small one."""
    stack = Stack(new_state_dir())
    try:
        stack.start()
        play = Play(stack=stack, stage=set_stage(stack), seconds={})
        stack.start_workers()
        _provision(play, "quick", QUICK_SUBJECTS)
        quick = _first_answer(stack, "quick")
        before = _processor_seconds(stack)
        with _second_path_watched(stack) as second_path:
            status = _provision(play, "bench", subjects)
        spent = {name: after - before[name] for name, after in _processor_seconds(stack).items()}
        return [
            *_figures(stack, "bench", status),
            quick,
            *_processes(stack, spent),
            _process("second path's process", max(second_path, default=0)),
        ]
    finally:
        stack.wipe()


def _provision(play: Play, batch: str, subjects: int) -> Status:
    """Submits a batch and signs whatever it asks for; everybody who is held is refused."""
    people = play.stage.folder / f"{batch}.csv"
    write_people(people, subjects, seed=1)
    command = ["submit", people.name, "--tenant", TENANT, "--chains", "ethereum", "--jurisdiction", "SG"]
    play.ask(REQUESTER, *command, "--batch-id", batch, "--waves", "1,10,50,100")
    status = play.await_turn(batch)
    while gate := newest_gate(status):
        if status["counts"]["in_review"]:
            for hold in play.ask(COMPLIANCE, "holds", batch):
                digest = hold["hold_digest"]
                play.ask(COMPLIANCE, "adjudicate", batch, "--hold", digest, "--decision", "refuse")
        for role in gate["still_needed"]:
            play.ask(SIGNERS[role], "approve", batch, "--gate", gate["gate"], "--yes")
        status = play.await_turn(batch)
    return status


def _runs(stack: Stack, batch: str) -> list[Events]:
    async def fetch() -> list[Events]:
        client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
        return await fetch_runs(client, batch)

    return asyncio.run(fetch())


def _own(runs: list[Events], batch: str) -> list[Events]:
    return [
        events
        for events in runs
        if events[0].workflow_execution_started_event_attributes.workflow_id == batch
    ]


def _first_answer(stack: Stack, batch: str) -> Measure:
    return Measure(
        table="first answer",
        name=f"plan of {QUICK_SUBJECTS:,} subjects after the start",
        value=first_answer(_own(_runs(stack, batch), batch)),
        unit="s",
        bar=ANSWER_BAR,
    )


def _figures(stack: Stack, batch: str, status: Status) -> list[Measure]:
    runs, wallets = _runs(stack, batch), int(status["counts"]["active"])
    seconds = stage_seconds(_own(runs, batch), _waits(stack, batch))
    note = "" if wallets >= FULL_SIZE * 0.99 else f"the bar is for {FULL_SIZE:,} and more"
    table = f"a batch of {wallets:,} wallets"
    total = sum(seconds.values())
    found = [
        Measure(table=table, name=stage, value=took, unit="s", note=f"{wallets / took:,.0f} wallets/s")
        for stage, took in seconds.items()
    ]
    cost, engine = cost_of(runs), "what it cost the engine"
    return [
        *found,
        Measure(table=table, name="all", value=total, unit="s"),
        Measure(table=table, name="all", value=wallets / total, unit="wallets/s", bar=RATE_BAR, note=note),
        Measure(
            table=engine,
            name="events in the largest run",
            value=cost.events_in_largest_run,
            unit="events",
            bar=EVENTS_BAR,
        ),
        Measure(table=engine, name="events", value=cost.events / wallets, unit="per wallet"),
        Measure(table=engine, name="runs", value=cost.runs, unit="runs"),
        Measure(
            table=engine,
            name="Actions",
            value=cost.actions / wallets,
            unit="per wallet",
            bar=ACTIONS_BAR,
            note=note or f"{cost.heartbeats} heartbeats among them",
        ),
    ]


def _waits(stack: Stack, batch: str) -> list[Span]:
    """The spans in which a gate waited for people; an abort can be signed all the time and delays nothing."""
    with psycopg.connect(stack.database_url("owner")) as connection:
        rows = connection.execute(
            "SELECT g.opened_at, g.closed_at FROM gates g JOIN batches b USING (batch_no)"
            " WHERE b.batch_id = %s AND g.gate <> 'rollback' AND g.closed_at IS NOT NULL",
            (batch,),
        )
        return [(opened, closed) for opened, closed in rows]


def _pids(stack: Stack) -> dict[str, int]:
    workers = {worker.name: worker.process.pid for worker in stack.workers}
    servers = {part.name: part.process.pid for part in stack.parts}
    return {name: pid for name, pid in (workers | servers).items() if pid}


def _processes(stack: Stack, spent: dict[str, float]) -> list[Measure]:
    """Peak memory of the stack's processes; the bar is for our workers."""
    return [
        _process(
            name,
            _peak_mib(pid),
            bar=MEMORY_BAR if name.endswith("-worker") else None,
            note=f"{spent[name]:.1f} s of one core",
        )
        for name, pid in _pids(stack).items()
    ]


def _process(name: str, peak: float, *, bar: Bar | None = None, note: str = "") -> Measure:
    return Measure(table="peak memory", name=name, value=peak, unit="MiB", bar=bar, note=note)


def _peak_mib(pid: int) -> float:
    """The kernel's own high-water mark; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)


def _processor_seconds(stack: Stack) -> dict[str, float]:
    """Seconds of one core that each process and its children have used so far."""
    return {name: _used(pid) + sum(map(_used, children(pid))) for name, pid in _pids(stack).items()}


def _used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) / 100


@contextmanager
def _second_path_watched(stack: Stack) -> Iterator[list[float]]:
    """Collects the peaks of custody's short-lived children, which nobody can ask afterwards."""
    peaks: list[float] = []
    done = threading.Event()
    custody = _pids(stack)["custody-worker"]

    def look() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            peaks.extend(map(_peak_mib, children(custody)))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    print_measures(measure(int(sys.argv[1]) if len(sys.argv) > 1 else SUBJECTS))
