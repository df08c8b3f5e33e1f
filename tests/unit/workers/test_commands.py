"""The command line without a server: wrong use, services that are away, and what a script can rely on."""

import inspect
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workers.cli.exits import OUTCOME_EXITS, Exit
from workers.cli.main import COMMANDS, _exit_code, load

PROGRAM = Path(sys.executable).with_name("walletworks")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Gives settings of a deployment whose Temporal is not there."""
    return write_settings(tmp_path, "127.0.0.1:1")


def write_settings(folder: Path, address: str) -> Path:
    """Writes settings that name a Temporal."""
    paths = {name: {"path": str(folder / name)} for name in ("inbox", "lists", "policies", "trust")}
    secrets = {"database_url_file": str(folder / "a"), "vault_token_file": str(folder / "b")}
    sections: dict[str, dict[str, str]] = {
        "temporal": {"address": address},
        "object_store": {"uri": folder.as_uri()},
        "vault": {"address": "http://127.0.0.1:1"},
        "provisioning": secrets,
        "custody": secrets,
        **paths,
    }
    text = f'deployment = "test"\nstate_dir = {json.dumps(str(folder))}\n'
    for name, keys in sections.items():
        text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    place = folder / "settings.toml"
    place.write_text(text)
    return place


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs a command in this process; gives its exit code."""
    monkeypatch.setattr(sys, "argv", ["walletworks", *arguments])
    monkeypatch.delenv("WALLETWORKS_AS", raising=False)
    return _exit_code()


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the program as a script does."""
    environ = {"PATH": os.environ["PATH"], "COLUMNS": "200", **variables}
    return subprocess.run(
        [str(PROGRAM), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("status",),
        ("status", "b-1", "--bad"),
        ("status", "b-1", "b-2"),
        ("submit", "/nowhere/people.csv"),
        ("adjudicate", "b-1", "--decision", "clear"),
        ("approve", "b-1", "--valid-hours", "soon"),
        ("approve", "b-1", "--statement", "/nowhere/statement.json"),
        ("approve", "b-1", "--statement", "/nowhere/a", "--signature", "/nowhere/b"),
        ("verify", "/nowhere/bundle.zip", "--trust", "/nowhere/trust.toml"),
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2_before_anything_is_reached(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: Path,
    arguments: tuple[str, ...],
) -> None:
    """Whatever is wrong with the words of a command is told on standard error, without a traceback."""
    monkeypatch.setenv("WALLETWORKS_SETTINGS", str(settings))
    assert called(monkeypatch, *arguments) == Exit.WRONG_USE
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err or arguments == ()


def test_every_command_is_in_the_help_with_its_own_first_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table that the help is made of says of each command what the command itself says."""
    assert called(monkeypatch, "--help") == Exit.DONE
    listed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in listed
        assert inspect.cleandoc(load(name).help).splitlines()[0] == command.summary


def test_help_is_quick_because_it_imports_no_command() -> None:
    """The list of commands needs neither the engine's client nor cryptography."""
    program = (
        "import sys; sys.argv = ['walletworks', '--help']; from workers.cli import main; main._exit_code();"
        "heavy = {'temporalio', 'opentelemetry', 'cryptography', 'pyrage'} & sys.modules.keys();"
        "sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["people", "script"])
def test_temporal_that_is_not_there_is_one_line_and_3(settings: Path, as_json: tuple[str, ...]) -> None:
    """In under three seconds, on standard error, with the address and what to do."""
    began = time.monotonic()
    done = run("status", "b-1", "--settings", str(settings), *as_json)
    assert time.monotonic() - began < 3
    assert (done.returncode, done.stdout) == (Exit.UNREACHABLE, "")
    (line,) = done.stderr.splitlines()
    assert "127.0.0.1:1" in line
    assert "make up" in line


def test_temporal_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """A server that takes the connection and is mute does not keep a command for ever."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        settings = write_settings(tmp_path, f"127.0.0.1:{mute.getsockname()[1]}")
        began = time.monotonic()
        done = run("status", "b-1", "--settings", str(settings))
    assert time.monotonic() - began < 10
    assert done.returncode == Exit.UNREACHABLE
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deployment = ", "is not TOML"),
        ('deployment = "x"', "Field required"),
        (None, "cannot be read"),
    ],
    ids=["broken", "incomplete", "missing"],
)
def test_unusable_settings_are_one_line_and_3(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str | None,
    said: str,
) -> None:
    """The line names the file and what is wrong with it."""
    place = tmp_path / "settings.toml"
    if text is not None:
        place.write_text(text)
    assert called(monkeypatch, "status", "b-1", "--settings", str(place)) == Exit.UNREACHABLE
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "settings.toml" in told


def test_outcomes_have_their_exit_codes() -> None:
    """Only a completed batch is 0; one with exceptions is 4; the rest counts as refused."""
    assert OUTCOME_EXITS == {"completed": 0, "completed_with_exceptions": 4}
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "REFUSED": 1,
        "WRONG_USE": 2,
        "UNREACHABLE": 3,
        "EXCEPTIONS": 4,
    }


def test_unforeseen_errors_are_a_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug shows its kind and its place, and none of the values it met."""

    def fail(_: str) -> None:
        raise KeyError("Zorblatt Quillfeather")

    monkeypatch.setattr("workers.cli.main.load", fail)
    assert called(monkeypatch, "status", "b-1") == Exit.REFUSED
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "Quillfeather" not in said
