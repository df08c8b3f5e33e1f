"""Names screened per second on one core against OFAC (2021) and UN (2026), and what preparing them costs.

Run: python -m tests.bench.bench_screening [count]
"""

import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from activities.screening.lists.entries import ScreeningList
from activities.screening.lists.registry import load_list
from activities.screening.matcher import RECOMMENDED_THRESHOLD, Matcher, ScreeningQuery
from tests.unit.screening.real_lists import ofac_folder, un_folder
from tests.unit.screening.samples import altered_names, innocents

COUNT_DEFAULT = 20_000
ALTERED_SHARE = 0.01


def main(count: int) -> None:
    """Prints preparation time, memory, and names per second by kind of query."""
    with tempfile.TemporaryDirectory() as folder:
        lists = [
            load_list("ofac-sdn", ofac_folder(Path(folder), "2021-07", date(2021, 7, 1))),
            load_list("un-consolidated", un_folder(Path(folder))),
        ]
    began = time.process_time()
    matcher = Matcher(lists, RECOMMENDED_THRESHOLD)
    prepared = time.process_time() - began
    entries, names = sum(len(one.entries) for one in lists), _name_count(lists)
    print(f"prepared {entries:,} entries, {names:,} names in {prepared:.1f} s of one core")  # noqa: T201 - a bench prints
    people = [
        ScreeningQuery(kind="person", full_name=name, date_of_birth=born)
        for name, born in innocents(count, seed=1)
    ]
    listed = [
        ScreeningQuery(kind="person", full_name=case[3])
        for one in lists
        for case in altered_names(one, "person", max(1, int(count * ALTERED_SHARE / 2)), seed=1)
    ]
    _measure("people with birth dates, 1 in 100 an altered listed name", [*people, *listed], matcher)
    nameless = [ScreeningQuery(kind="person", full_name=query.full_name) for query in people]
    _measure("the same people without birth dates", nameless, matcher)
    _measure("altered listed names alone", listed, matcher)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")  # noqa: T201 - a bench prints


def _name_count(lists: list[ScreeningList]) -> int:
    return sum(len(entry.names) for one in lists for entry in one.entries)


def _measure(what: str, queries: list[ScreeningQuery], matcher: Matcher) -> None:
    began = time.process_time()
    hits = sum(bool(matcher.screen(query)) for query in queries)
    spent = time.process_time() - began
    print(f"{what}: {len(queries) / spent:,.0f} names/s, {hits:,} of {len(queries):,} with hits")  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT_DEFAULT)
