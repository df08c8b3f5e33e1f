"""What a bench found: figures, each with its bar where the design sets one, as tables or as JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a figure must reach, or must not exceed."""

    bound: float
    at_most: bool = False

    def passed_by(self, value: float) -> bool:
        """Tells whether a figure is on the good side."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {shown(self.bound)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of a table."""

    table: str
    name: str
    value: float
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """PASS or below where there is a bar; being below it is news, not a failure."""
        if self.bar is None:
            return ""
        return "PASS" if self.bar.passed_by(self.value) else "below"


def shown(value: float) -> str:
    """Gives a figure with three digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def print_measures(measures: Sequence[Measure]) -> None:
    """Prints one table for each kind of figures, in their order."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    for title, found in groupby(measures, key=lambda measure: measure.table):
        table = Table(title=title, title_justify="left")
        for column in ("figure", "value", "unit", "bar", "", "note"):
            table.add_column(column, justify="right" if column == "value" else "left")
        for one in found:
            bar = str(one.bar) if one.bar else ""
            table.add_row(one.name, shown(one.value), one.unit, bar, one.verdict, one.note)
        console.print(table)


def print_json(measures: Iterable[Measure]) -> None:
    """Prints all of them as one JSON list."""
    json.dump([asdict(one) | {"verdict": one.verdict} for one in measures], sys.stdout, indent=2)
    sys.stdout.write("\n")
