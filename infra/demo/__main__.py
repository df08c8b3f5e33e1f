"""`python -m infra.demo`: the real stack, one real batch of 1,000 subjects, the public commands.

Starts the servers and workers that do not run, and leaves them running to be looked at.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from infra.demo.people import write_people
from infra.demo.play import Play, PlayError, console
from infra.demo.script import perform
from infra.demo.staging import set_stage
from infra.devstack.errors import StackError
from infra.devstack.stack import Stack


def main() -> int:
    """Runs the demo; gives the exit code (0 done, 1 it went otherwise, 3 a server cannot be reached)."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="subjects")
    parser.add_argument("--state", metavar="DIR", help="state folder (default: .walletworks)")
    options = parser.parse_args()
    try:
        _perform(Stack(options.state), options.count)
    except StackError as error:
        console.print(f"error: {error}\n{error.log_end}", markup=False)
        return 3
    except PlayError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    return 0


def _perform(stack: Stack, count: int) -> None:
    began = time.monotonic()
    console.print(f"Starting Temporal, PostgreSQL, OpenBao and two workers; state in {stack.state_dir}")
    stack.start()
    stage = set_stage(stack)
    stack.start_workers()
    batch = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    people = stage.folder / f"{batch}.csv"
    write_people(people, count, seed=int(time.time()))
    console.print(f"Ready after {time.monotonic() - began:.1f} s; {count:,} subjects in {people}")
    played = time.monotonic()
    status = perform(Play(stack=stack, stage=stage), batch=batch, people=people, results=stage.folder)
    _print_end(stack, status, batch=batch, seconds=time.monotonic() - played, results=stage.folder)


def _print_end(stack: Stack, status: dict[str, object], *, batch: str, seconds: float, results: Path) -> None:
    counts = status["counts"]
    active = counts["active"] if isinstance(counts, dict) else 0
    console.print(f"\n[bold]{active:,} wallets active, outcome {status['outcome']}, {seconds:.1f} s[/bold]")
    for line in (
        f"history     {stack.temporal.ui}/namespaces/{stack.temporal.namespace}/workflows/{batch}",
        f"table       {results / f'{batch}-wallets.csv'}",
        f"bundle      {results / f'{batch}.zip'}",
        f"settings    {stack.settings_path}  (the command line finds them by itself in this folder)",
        "again       make demo      end it all      make down",
    ):
        console.print(line, markup=False)


if __name__ == "__main__":
    sys.exit(main())
