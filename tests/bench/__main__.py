"""`python -m tests.bench`: every bench, as tables with the design's bars; slowness is no failure."""

import argparse
import os
import sys
from collections.abc import Callable

from tests.bench import bench_batch, bench_derivation, bench_intake, bench_screening
from tests.bench.measures import Measure, print_json, print_measures

PARTS = ("derivation", "screening", "intake", "batch")


def main() -> int:
    """Runs the parts asked for and prints what they found; gives 0 however slow it was."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--subjects", type=int, default=bench_batch.SUBJECTS, help="size of the whole batch")
    parser.add_argument("--only", choices=PARTS, action="append", help="run this part (may be repeated)")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args()
    found = []
    for name in options.only or PARTS:
        sys.stderr.write(f"measuring {name} ...\n")
        measured = _parts(options.subjects)[name]()
        found += measured
        if not options.json:
            print_measures(measured)
    if options.json:
        print_json(found)
    return 0


def _parts(subjects: int) -> dict[str, Callable[[], list[Measure]]]:
    return {
        "derivation": lambda: bench_derivation.measure(bench_derivation.COUNT_DEFAULT),
        "screening": lambda: bench_screening.measure(bench_screening.COUNT_DEFAULT),
        "intake": lambda: bench_intake.measure(bench_intake.ROWS),
        "batch": lambda: bench_batch.measure(subjects),
    }


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the SDK's threads can crash the interpreter while it exits
