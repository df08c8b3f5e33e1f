"""What commands print: tables and progress for people, one JSON value for scripts."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)
"""Standard output; colours only on a terminal."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error."""


def print_json(value: Any) -> None:
    """Prints one JSON value, for scripts."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=True, sort_keys=True, default=str)
    sys.stdout.write("\n")


def print_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Prints names with values under a title; values are shown as text, never as markup."""
    table = Table(title=escape(title), show_header=False, title_justify="left", box=None)
    for name, value in pairs:
        table.add_row(f"[bold]{escape(name)}[/bold]", shown(value))
    console.print(table)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table under a title, without side borders: columns are scarce."""
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    console.print(table)


def shown(value: object) -> str:
    """Gives a value as one printable line without markup or control characters."""
    text = "" if value is None else str(value)
    return escape("".join(c if c.isprintable() else " " for c in text))
