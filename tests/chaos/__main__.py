"""`python -m tests.chaos`: kills, stops, cuts and fills everything under a large batch.

Exits 1 when anything is lost or doubled, and keeps the state folder then. One seed repeats a run.
"""

import asyncio
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.devstack import Stack
from tests.chaos.faults.kinds import Recovery
from tests.chaos.options import Options, parse
from tests.chaos.outcome import Outcome, print_outcome, write_json
from tests.chaos.siege import besiege
from tests.conftest import STACKS
from tests.told_to_end import put_away_when_told_to_end

PREFIX: Final = "walletworks-chaos-"


def main(arguments: list[str] | None = None) -> int:
    """Gives 0 when everything holds, else 1."""
    put_away_when_told_to_end()
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    stack = Stack(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{options.seed}-", dir=STACKS)))
    console.print(f"{options.command}\nstate in {stack.state_dir}")
    outcome = Outcome()
    try:
        asyncio.run(_run(stack, options, outcome, console))
    except BaseException as error:  # noqa: BLE001 - whatever ended the run is what it found
        traceback.print_exc()
        outcome.note("the run came to its end", [f"{type(error).__name__}: {error}"])
    print_outcome(outcome, options, console)
    if options.json:
        write_json(outcome, options, options.json)
    if outcome.wrong:
        stack.stop()
        console.print(
            f"Not everything holds. Again: {options.command}\nThe state is kept in {stack.state_dir}"
        )
        return 1
    stack.wipe()
    return 0


async def _run(stack: Stack, options: Options, outcome: Outcome, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("faults", total=options.kills + options.others)

        def tell(news: Recovery | str) -> None:
            if isinstance(news, Recovery):
                progress.advance(bar)
            console.print(str(news))

        with stack:
            await besiege(stack, options, tell, outcome)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the SDK's threads can crash the interpreter while it exits
