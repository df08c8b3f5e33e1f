"""Whether workers stay as they are: memory and open files of each, and what a round adds to the tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import psycopg
from psycopg import sql

from infra.devstack import Stack
from tests.bench.measures import Bar, Measure

MEMORY_GROWTH: Final = 1.10
"""Of the memory in the second quarter of a soak, what the last quarter may need."""

FILES_GROWTH: Final = 4
"""Open files by which the last quarter may exceed the second."""

ROWS_GROWTH: Final = 1.10
"""Of the rows that a round added in the second quarter, what a round of the last quarter may add."""

ROUNDS_MIN: Final = 8
"""Fewer rounds have no quarters worth comparing."""


@dataclass(kw_only=True)
class Upkeep:
    """Samples taken after every round, by what was measured."""

    stack: Stack
    mebibytes: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, list[float]] = field(default_factory=dict)
    rows: dict[str, list[float]] = field(default_factory=dict)

    def look(self) -> None:
        """Takes one sample of everything."""
        for worker in self.stack.workers:
            if pid := worker.process.pid:
                self.mebibytes.setdefault(worker.name, []).append(_resident_mebibytes(pid))
                self.files.setdefault(worker.name, []).append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
        with psycopg.connect(self.stack.database_url("owner")) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables.fetchall():
                counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                row = connection.execute(counted).fetchone()
                self.rows.setdefault(table, []).append(float(row[0]) if row else 0.0)

    def measures(self) -> list[Measure]:
        """What grew by how much, each with what it may grow at most."""
        found = [
            _growth("memory", name, samples, unit="MiB", share=MEMORY_GROWTH)
            for name, samples in self.mebibytes.items()
        ]
        found += [
            _growth("open files", name, samples, unit="files", more=FILES_GROWTH)
            for name, samples in self.files.items()
        ]
        for name, samples in sorted(self.rows.items()):
            added = [after - before for before, after in pairwise(samples)]
            if any(added):
                found.append(
                    _growth("rows a round adds", name, added, unit="rows", share=ROWS_GROWTH, more=1)
                )
        return found


def _growth(
    table: str, name: str, samples: Sequence[float], *, unit: str, share: float = 1.0, more: float = 0.0
) -> Measure:
    """The last quarter's median against the second quarter's."""
    quarter = len(samples) // 4
    if len(samples) < ROUNDS_MIN:
        return Measure(table=table, name=name, value=samples[-1] if samples else 0, unit=unit)
    early, late = median(samples[quarter : 2 * quarter]), median(samples[-quarter:])
    bar = Bar(bound=early * share + more, at_most=True)
    return Measure(table=table, name=name, value=late, unit=unit, bar=bar, note=f"first {samples[0]:.0f}")


def _resident_mebibytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
