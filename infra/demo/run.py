"""What demo and tour have in common as programs: the stack, the stage, the play, and the summary."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from typing import NoReturn

from infra.demo.people import write_people
from infra.demo.play import Play, PlayError, console
from infra.demo.progress import Status
from infra.demo.script import perform
from infra.demo.staging import set_stage
from infra.devstack.errors import StackError
from infra.devstack.stack import Stack

DONE, OTHERWISE, UNREACHABLE = 0, 1, 3


def run(kind: type[Play], *, name: str, summary: str) -> NoReturn:
    """Plays and ends the process: 0 done, 1 it went otherwise, 2 wrong use, 3 a server cannot be reached.

    The SDK's threads can crash the interpreter while it exits, so the process ends at once.
    """
    code = _exit_code(kind, name=name, summary=summary)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code(kind: type[Play], *, name: str, summary: str) -> int:
    parser = argparse.ArgumentParser(prog=f"make {name}", description=summary)
    parser.add_argument("--count", type=int, default=1000, help="subjects")
    parser.add_argument("--state", metavar="DIR", help="state folder (default: .walletworks)")
    options = parser.parse_args()
    if options.count < 1:
        parser.error("--count: at least one subject")
    try:
        return _play(kind, Stack(options.state), name=name, count=options.count)
    except StackError as error:
        console.print(f"error: {error}\n{error.log_end}", markup=False)
        return UNREACHABLE
    except PlayError as error:
        console.print(f"error: {error}", markup=False)
        return OTHERWISE
    except KeyboardInterrupt:
        console.print("\nLeft; the servers keep running: make down ends them.")
        return OTHERWISE


def _play(kind: type[Play], stack: Stack, *, name: str, count: int) -> int:
    began = time.monotonic()
    console.print(f"Starting Temporal, PostgreSQL, OpenBao and two workers; state in {stack.state_dir}")
    stack.start()
    stage = set_stage(stack)
    stack.start_workers()
    batch = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    people = stage.folder / f"{batch}.csv"
    # Other people each time: a policy caps the wallets that a subject may have with one tenant.
    write_people(people, count, seed=int(time.time()), prefix=f"S{batch[-6:]}")
    ready = time.monotonic() - began
    console.print(
        f"Ready after {ready:.1f} s, with {count:,} subjects in {people.name}.\n"
        f"The commands below run in {stage.folder}, each person with a key of their own."
    )
    play = kind(stack=stack, stage=stage, seconds={"Setting up": ready})
    status = perform(play, batch=batch, people=people)
    _print_summary(play, status, batch=batch)
    return DONE if status["outcome"].startswith("completed") or name == "tour" else OTHERWISE


def _print_summary(play: Play, status: Status, *, batch: str) -> None:
    stack, folder = play.stack, play.stage.folder
    wallets = f"{status['counts']['active']:,} wallets active, outcome {status['outcome']}"
    table = folder / f"{batch}-wallets.csv"
    console.print(f"\n[bold]{wallets}, {sum(play.seconds.values()):.1f} s[/bold]")
    _print_lines([(title, f"{seconds:5.1f} s") for title, seconds in play.seconds.items()])
    console.print("[bold]Where to look[/bold]")
    _print_lines(
        [
            ("history", f"{stack.temporal.ui}/namespaces/{stack.temporal.namespace}/workflows/{batch}"),
            *([("wallets", str(table))] if table.exists() else []),
            ("bundle", str(folder / f"{batch}.zip")),
            ("logs", str(stack.state_dir / "logs")),
        ]
    )
    console.print("[bold]What to try next[/bold]")
    environment = f'eval "$({sys.executable} -m infra.devstack env --state {stack.state_dir})"'
    _print_lines(
        [
            ("you approve", "make tour"),
            ("a shell of its own", environment),
            ("in that shell", f"{sys.prefix}/bin/walletworks status {batch}"),
            ("what runs", "make stack-status"),
            ("end it all", "make down"),
        ]
    )


def _print_lines(lines: list[tuple[str, str]]) -> None:
    for name, value in lines:
        console.print(f"  {name:<20}{value}", markup=False)
