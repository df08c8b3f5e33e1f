"""Every hostile string on its way to a terminal: shown, never obeyed; scripts get JSON on the same ways."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tests.hostile.strings import LONE, UNSEEN, hostile_strings
from workers.cli import deciding, main, matter, output, reading, watching
from workers.cli.exits import CommandError, Exit

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What our own console writes on a terminal that has colours."""

EVERYTHING = (*hostile_strings(), *LONE)


class Screen:
    """A terminal with colours that keeps what it is given."""

    def __init__(self) -> None:
        self.sink = io.StringIO()

    def take(self) -> str:
        """What came since the last look, without our own colours."""
        said = COLOURS.sub("", self.sink.getvalue())
        self.sink.seek(0)
        self.sink.truncate()
        return said


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Both consoles of the command line, on a terminal."""
    shown = Screen()
    for name in ("console", "errors"):
        console = Console(
            file=shown.sink, force_terminal=True, highlight=False, soft_wrap=True, emoji=False, width=200
        )
        assert getattr(output, name)._emoji is False
        for module in (output, deciding, main, matter, reading, watching):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, console)
    return shown


def _status(text: str) -> dict[str, Any]:
    return {
        "batch_id": text,
        "stage": text,
        "outcome": "rolled_back",
        "cause": text,
        "reasons": [text],
        "paused": True,
        "waiting_for": {"kind": "service", "name": text, "until": text},
        "plan_digest": text,
        "evidence_digest": text,
        "counts": {text: 1, "subjects": 1},
        "waves": [{"wave": text, "percent": text, "wallets": 1, "state": text}],
        "messages_refused": [{"at": text, "message": text, "reason": text}],
    }


def _matter(text: str) -> dict[str, Any]:
    named = ("tenant", "requested_by", "purpose", "custody", "jurisdiction")
    return {
        "batch_id": text,
        "request": {**dict.fromkeys(named, text), "chains": [text]},
        "request_signed": False,
        "subject_count": 1,
        "plan_digest": text,
        "policy": f"# {text}\n",
        "evidence": {"counts": {text: 1}},
        "evidence_digest": text,
        "waiting_for": {"kind": text, "name": text, "until": ""},
        "waves": [{"percent": text}],
    }


WAYS: dict[str, Callable[[str], object]] = {
    "pairs": lambda text: output.print_pairs(text, [(text, text)]),
    "table": lambda text: output.print_table(text, ["a", "b"], [(text, text)]),
    "text": output.print_text,
    "status": lambda text: watching.print_status(_status(text)),
    "show": lambda text: matter.print_matter(_matter(text)),
    "counted": lambda text: deciding._report(
        {"counted": True, "gate": text, "standing": {"still_needed": {text: 1}}}, as_json=False
    ),
    "shown": lambda text: output.console.print(f"[bold]{output.shown(text)}[/bold] started"),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_string_reaches_a_terminal_as_a_command(screen: Screen, way: str) -> None:
    """No escape, control, backspace, carriage return or turn of direction; and no markup of ours."""
    WAYS[way]("a calm text")
    lines = len(screen.take().splitlines())
    for text in EVERYTHING[:: 11 if way in {"status", "show"} else 1]:
        WAYS[way](text)
        said = screen.take()
        assert not UNSEEN.search(said), ascii(text)
        assert "\x1b" not in said
        said.encode()
        if len(text) < 40 and (way not in {"text", "show"} or "\n" not in text):
            assert len(said.splitlines()) <= lines, ascii(text)


@pytest.mark.parametrize(
    "text", ["[bold red]x[/]", "[/]", "[link=http://x.example]y[/link]", ":skull:", "a\\"]
)
@pytest.mark.parametrize("way", ["pairs", "table", "status", "show", "text"])
def test_markup_and_emoji_codes_are_shown_as_typed(screen: Screen, way: str, text: str) -> None:
    """An approver sees the very characters that are meant."""
    WAYS[way](text)
    assert text in screen.take()


def test_the_progress_bar_shows_every_string_as_text(screen: Screen) -> None:
    """`watch` redraws one line, and what it waits for cannot draw anything else."""
    for text in EVERYTHING:
        described = output.printable(f"{text}: waits for {text}")
        assert not UNSEEN.search(described)
        assert "\n" not in described
    (columns,) = [c for c in watching.bars_on(output.errors).columns if hasattr(c, "markup")]
    assert columns.markup is False
    assert screen.take() == ""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Runs a command that ends with an error of this text."""
    said: list[str] = []

    def fail(_: str) -> None:
        raise CommandError(said[-1], Exit.REFUSED)

    def run(text: str) -> int:
        said.append(text)
        return main._exit_code()

    monkeypatch.setattr(main, "load", fail)
    monkeypatch.setattr("sys.argv", ["walletworks", "status", "b-1"])
    return run


def test_an_error_is_one_line_whatever_it_repeats(screen: Screen, failing: Callable[[str], int]) -> None:
    """What a service or a person put into an error cannot add a line to it or hide it."""
    for text in EVERYTHING:
        assert failing(text) == Exit.REFUSED
        said = screen.take()
        assert said.startswith("walletworks: ")
        assert len(said.splitlines()) == 1
        assert not UNSEEN.search(said), ascii(text)


def test_scripts_get_one_json_value_that_says_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a text comes back exactly, and a terminal that shows it obeys nothing."""
    for text in EVERYTHING:
        output.print_json({text: [text]})
        said = capsys.readouterr().out
        assert said.isascii()
        assert not UNSEEN.search(said)
        assert json.loads(said) == {text: [text]}
