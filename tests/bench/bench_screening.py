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
from tests.bench.measures import Bar, Measure, print_measures
from tests.unit.screening.real_lists import ofac_folder, un_folder
from tests.unit.screening.samples import altered_names, innocents

COUNT_DEFAULT = 20_000
ALTERED_SHARE = 0.01
NAMES_BAR = Bar(bound=5_000)
TABLE = "screening against OFAC and UN, one core"


def measure(count: int) -> list[Measure]:
    """Gives preparation time, names per second by kind of query, and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        lists = [
            load_list("ofac-sdn", ofac_folder(Path(folder), "2021-07", date(2021, 7, 1))),
            load_list("un-consolidated", un_folder(Path(folder))),
        ]
    began = time.process_time()
    matcher = Matcher(lists, RECOMMENDED_THRESHOLD)
    prepared = time.process_time() - began
    entries, names = sum(len(one.entries) for one in lists), _name_count(lists)
    people = [
        ScreeningQuery(kind="person", full_name=name, date_of_birth=born)
        for name, born in innocents(count, seed=1)
    ]
    listed = [
        ScreeningQuery(kind="person", full_name=case[3])
        for one in lists
        for case in altered_names(one, "person", max(1, int(count * ALTERED_SHARE / 2)), seed=1)
    ]
    nameless = [ScreeningQuery(kind="person", full_name=query.full_name) for query in people]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        _figure("preparing the lists", prepared, "s", f"{entries:,} entries, {names:,} names"),
        _rate("people, 1 in 100 an altered listed name", [*people, *listed], matcher, bar=NAMES_BAR),
        _rate("the same people without birth dates", nameless, matcher),
        _rate("altered listed names alone", listed, matcher),
        _figure("peak memory of the measuring process", peak, "MiB"),
    ]


def _name_count(lists: list[ScreeningList]) -> int:
    return sum(len(entry.names) for one in lists for entry in one.entries)


def _rate(what: str, queries: list[ScreeningQuery], matcher: Matcher, *, bar: Bar | None = None) -> Measure:
    began = time.process_time()
    hits = sum(bool(matcher.screen(query)) for query in queries)
    rate = len(queries) / (time.process_time() - began)
    note = f"{hits:,} of {len(queries):,} with hits"
    return Measure(table=TABLE, name=what, value=rate, unit="names/s", bar=bar, note=note)


def _figure(what: str, value: float, unit: str, note: str = "") -> Measure:
    return Measure(table=TABLE, name=what, value=value, unit=unit, note=note)


if __name__ == "__main__":
    print_measures(measure(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT_DEFAULT))
