"""What commands print: tables and progress for people, one JSON value for scripts."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True, emoji=False)
"""Standard output; colours only on a terminal."""

errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""Standard error."""


def print_json(value: Any) -> None:
    """Prints one JSON value, for scripts."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=True, sort_keys=True, default=str)
    sys.stdout.write("\n")


def print_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Prints names with values under a title; values are shown as text, never as markup."""
    table = Table(title=_titled(title), show_header=False, title_justify="left", box=None)
    for name, value in pairs:
        table.add_row(Text(printable(name), style="bold"), Text(printable(value)))
    console.print(table)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table under a title, without side borders: columns are scarce."""
    table = Table(
        title=_titled(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def _titled(title: str) -> Text:
    return Text(printable(title), style="table.title")


def print_text(text: str) -> None:
    """Prints a text of several lines as it stands, but for what a terminal would obey or not show."""
    for line in text.rstrip("\n").split("\n"):
        console.print(Text(printable(line.rstrip("\r").expandtabs())))


def printable(value: object) -> str:
    """Gives a value as one line without control, direction or other invisible characters."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def shown(value: object) -> str:
    """Gives a value as one printable line that stands within markup and is none itself."""
    return escape(printable(value))
