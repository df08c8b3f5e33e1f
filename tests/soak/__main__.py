"""`python -m tests.soak`: every command in every form, round after round; then whether anything grew.

Exits 1 when an exit code was ever another one, a workflow failed, or something grew.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from temporalio.client import Client

from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.bench.measures import Measure, print_measures
from tests.conftest import STACKS
from tests.soak.rounds import one_round
from tests.soak.runner import Runner
from tests.soak.upkeep import Upkeep
from tests.told_to_end import put_away_when_told_to_end

ROUNDS = 50

_console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)


def main(arguments: list[str] | None = None) -> int:
    """Gives 0 when every code was right every time and nothing grew, else 1."""
    put_away_when_told_to_end()
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often (default {ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    options = parser.parse_args(arguments)
    stack = Stack(Path(tempfile.mkdtemp(prefix="walletworks-soak-", dir=STACKS)))
    try:
        stack.start()
        runner = Runner(stack=stack, stage=set_stage(stack), folder=stack.state_dir / "demo")
        stack.start_workers()
        upkeep = Upkeep(stack=stack)
        for number in track(range(options.rounds), "rounds", console=_console):
            known = len(runner.surprises)
            one_round(runner, number)
            upkeep.look()
            for each in runner.surprises[known:]:
                _console.print(f"WRONG  {each}", markup=False)
            if not _console.is_terminal:
                _console.print(f"round {number + 1} of {options.rounds}: {len(runner.surprises)} wrong codes")
        failed = asyncio.run(_failed_workflows(stack))
        return _report(runner, upkeep.measures(), failed, options.json)
    finally:
        stack.wipe()


async def _failed_workflows(stack: Stack) -> list[str]:
    """Every batch here ends with an outcome: none may fail, be cut off, or hang."""
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    query = "ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut', 'Canceled')"
    return [f"{each.id} {each.status}" async for each in client.list_workflows(query)]


def _report(runner: Runner, measures: Sequence[Measure], failed: Sequence[str], place: Path | None) -> int:
    table = Table(title="exit codes", title_justify="left")
    for column in ("form", "must be", "was", "runs"):
        table.add_column(column)
    for (name, code), codes in sorted(runner.codes.items()):
        table.add_row(name, str(code), ", ".join(map(str, sorted(codes))), str(codes.total()))
    _console.print(table)
    print_measures(measures)
    grown = [f"{each.table} of {each.name}" for each in measures if each.verdict == "below"]
    wrong = [*runner.surprises, *(f"failed: {each}" for each in failed), *(f"grew: {each}" for each in grown)]
    for each in wrong:
        _console.print(f"WRONG  {each}", markup=False)
    runs = sum(codes.total() for codes in runner.codes.values())
    _console.print(f"{runs:,} commands in {len(runner.codes)} forms, {len(wrong)} wrong")
    if place:
        _write_json(place, runner, measures, wrong)
    return 1 if wrong else 0


def _write_json(place: Path, runner: Runner, measures: Sequence[Measure], wrong: Sequence[str]) -> None:
    said = {
        "codes": [
            {"form": name, "expected": code, "codes": dict(codes)}
            for (name, code), codes in sorted(runner.codes.items())
        ],
        "measures": [{"what": f"{each.table}: {each.name}", "value": each.value} for each in measures],
        "wrong": list(wrong),
    }
    place.write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the SDK's threads can crash the interpreter while it exits
