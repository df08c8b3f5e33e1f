"""`python -m tests.mutants`: tries every mutant and names those no test noticed; 1 when one is unreviewed."""

import argparse
import os
import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.running import Lent, Runner, Trial, imported, lent_servers, passes_unaltered
from tests.mutants.targets import TARGETS, Target
from tests.told_to_end import put_away_when_told_to_end

REVIEWED: Final = Path(__file__).with_name("equivalent.toml")

Pair = tuple[Target, Mutant]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; gives the exit code."""
    put_away_when_told_to_end()
    asked = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    pairs = _drawn(asked)
    if not pairs:
        console.print("no module of that name is among the targets")
        return 2
    began = time.monotonic()
    survivors = _tried(pairs, asked, console)
    reviewed = reviewed_names()
    console.print(_table(pairs, survivors, reviewed))
    fresh = [mutant for _, mutant in survivors if mutant.name not in reviewed]
    for mutant in fresh:
        path = mutant.module.replace(".", "/")
        console.print(f"{path}.py:{mutant.line}: {mutant.function}: {mutant.what}", markup=False)
    seconds = time.monotonic() - began
    console.print(
        f"{len(pairs)} mutants in {seconds:.0f} s: {len(pairs) - len(survivors)} noticed,"
        f" {len(survivors) - len(fresh)} reviewed as equivalent, {len(fresh)} unnoticed (seed {asked.seed})"
    )
    return 1 if fresh else 0


def reviewed_names() -> dict[str, str]:
    """The mutants that change nothing anybody could notice, each with the reason."""
    listed = tomllib.loads(REVIEWED.read_text(encoding="utf-8"))
    return {entry["name"]: entry["reason"] for entry in listed.get("equivalent", [])}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="modules whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, default=0, help="so many of each module, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="what the sample is drawn by")
    parser.add_argument("--removals", action="store_true", help="only checks taken out")
    parser.add_argument("--unit-only", action="store_true", help="without servers, modules with unit tests")
    return parser.parse_args(arguments)


def _drawn(asked: argparse.Namespace) -> list[Pair]:
    chance = random.Random(asked.seed)  # noqa: S311 - draws a sample, no secret
    pairs: list[Pair] = []
    for target in TARGETS:
        named = not asked.only or any(word in target.module for word in asked.only)
        if not named or (asked.unit_only and not target.unit):
            continue
        mutants = mutants_of(target.module, target.source)
        if asked.removals:
            mutants = [mutant for mutant in mutants if mutant.is_removal]
        few = min(asked.sample or len(mutants), len(mutants))
        drawn = chance.sample(mutants, few) if asked.sample else mutants
        pairs += [(target, mutant) for mutant in drawn]
    return pairs


def _tried(pairs: list[Pair], asked: argparse.Namespace, console: Console) -> list[Pair]:
    """Gives those that neither the quick tests nor those on servers noticed."""
    quick, sampled = [pair for pair in pairs if pair[0].unit], bool(asked.sample)
    left = _round(quick, "unit", [(t, t.unit) for t, _ in quick], asked.jobs, None, console, sampled=sampled)
    left += [pair for pair in pairs if not pair[0].unit]
    slow = [] if asked.unit_only else [pair for pair in left if pair[0].integration]
    survivors = [pair for pair in left if pair not in slow]
    if not slow:
        return survivors
    with ExitStack() as stack:
        lent = stack.enter_context(lent_servers())
        tests = [(target, target.integration) for target, _ in slow]
        return survivors + _round(slow, "integration", tests, asked.jobs, lent, console, sampled=sampled)


def _round(
    pairs: list[Pair],
    kind: str,
    tests: Iterable[tuple[Target, tuple[str, ...]]],
    jobs: int,
    lent: Lent | None,
    console: Console,
    *,
    sampled: bool,
) -> list[Pair]:
    by_module = {target.module: own for target, own in tests}
    imported(sorted({test for own in by_module.values() for test in own}))
    # A sample runs beside the tests themselves, which then say so when they fail.
    for own in sorted(set() if sampled else set(by_module.values())):
        if not passes_unaltered(own, lent):
            raise SystemExit(f"these tests fail before anything is taken out: {' '.join(own)}")
    trials = [Trial(target=target, mutant=mutant, tests=by_module[target.module]) for target, mutant in pairs]
    unnoticed: list[Pair] = []
    with Progress(console=console, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task(f"{kind} tests", total=len(trials))
        for trial, noticed in Runner(jobs=jobs, lent=lent).run(trials):
            progress.advance(task)
            if not noticed:
                unnoticed.append((trial.target, trial.mutant))
                progress.console.print(f"not by {kind} tests: {trial.mutant.name}", markup=False)
    return unnoticed


def _table(pairs: list[Pair], survivors: list[Pair], reviewed: dict[str, str]) -> Table:
    table = Table("module", "mutants", "noticed", "equivalent", "unnoticed", "score")
    all_of = Counter(target.module for target, _ in pairs)
    left = Counter(target.module for target, mutant in survivors if mutant.name not in reviewed)
    same = Counter(target.module for target, mutant in survivors if mutant.name in reviewed)
    for module, count in all_of.items():
        noticed = count - left[module] - same[module]
        score = noticed / max(1, count - same[module])
        cells = (module, count, noticed, same[module], left[module], f"{score:.1%}")
        table.add_row(*(str(cell) for cell in cells))
    return table


if __name__ == "__main__":
    sys.exit(main())
