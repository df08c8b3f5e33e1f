"""What a log line may carry."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog

from activities.failures import InvalidRequestError
from infra.devstack.state import REPOSITORY
from workers.logs import SAFE_FIELDS, configure_logs, silence_logs

PERSON = "Zorblatt Quillfeather, born 1961-03-14"

Lines = Callable[[], list[dict[str, object]]]


def fail_over(value: str) -> None:
    """Raises an error with a cause, both with the value in their texts."""
    try:
        int(value)
    except ValueError as error:
        raise RuntimeError(value) from error


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Gives what was logged once the test configured the logs; every line must be JSON."""
    for name in ("asyncio", "temporalio.activity"):  # tools in this process may have switched them off
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    before = logging.root.handlers[:], logging.root.level, sys.excepthook, threading.excepthook
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.captureWarnings(capture=False)
    logging.root.handlers[:], level, sys.excepthook, threading.excepthook = before
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_fields_nobody_listed_are_dropped(lines: Lines) -> None:
    """A field that could carry a person never reaches the log, whatever it is called."""
    configure_logs()
    structlog.get_logger().warning("activity failed", activity="screen_slice", full_name=PERSON, note=PERSON)
    (line,) = lines()
    assert line.keys() == {"event", "level", "timestamp", "activity"}
    assert line.keys() <= SAFE_FIELDS


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("Failed handling activation on workflow with run ID %s", (PERSON,)),
        (f"Exception handling failed, original error: {PERSON}", ()),
        (f"Connection broken by {(PERSON,)!r}", ()),
        (f"Task exception was never retrieved\nfuture: <Task exception=ValueError({PERSON!r})>", ()),
        ("%s", (PERSON,)),
        (f"1 error: {PERSON}", ()),
    ],
)
def test_values_in_a_librarys_message_are_cut_off(
    lines: Lines, message: str, arguments: tuple[str, ...]
) -> None:
    """Only the fixed words before the first value are kept, with the place that logged them."""
    configure_logs()
    logging.getLogger("library").warning(message, *arguments, extra={"row": PERSON})
    (line,) = lines()
    assert line.keys() == {"event", "level", "timestamp", "logger"}
    assert "Quillfeather" not in json.dumps(line)
    assert str(line["event"]).strip()


def test_errors_show_type_and_places_and_no_text(lines: Lines) -> None:
    """What an exception says of a row stays out, in its causes too; where it came from stays in."""
    configure_logs()
    try:
        fail_over(PERSON)
    except RuntimeError:
        logging.getLogger("temporalio.activity").exception("Completing activity as failed")
    (line,) = lines()
    assert line["error"] == "RuntimeError"
    assert str(line["at"]).startswith("workers/test_logs.py:")
    assert "Quillfeather" not in json.dumps(line)


def test_the_engines_task_is_told_by_its_ids(lines: Lines) -> None:
    """The SDK's extra fields are told under our names; those that nobody listed are not."""
    configure_logs()
    task = {"activity_type": "screen_slice", "workflow_id": "b-1", "attempt": 2, "heartbeat_details": PERSON}
    logging.getLogger("temporalio.activity").warning("Completing", extra={"temporal_activity": task})
    (line,) = lines()
    told = {name: line.get(name) for name in ("activity", "workflow_id", "attempt")}
    assert told == {"activity": "screen_slice", "workflow_id": "b-1", "attempt": 2}
    assert "Quillfeather" not in json.dumps(line)


def test_warnings_and_lost_tasks_are_lines_too(lines: Lines) -> None:
    """Python's own ways to write to standard error go through the same sieve."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs()
        warnings.warn(PERSON, stacklevel=1)
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Task was destroyed", "exception": ValueError(PERSON)})
    loop.close()
    warned, lost = lines()
    assert (warned["logger"], lost["logger"], lost["error"]) == ("py.warnings", "asyncio", "ValueError")
    assert "Quillfeather" not in json.dumps([warned, lost])


@pytest.mark.parametrize(
    "crash",
    [
        "raise ValueError(person)",
        "import threading; t = threading.Thread(target=lambda: int(person)); t.start(); t.join()",
    ],
)
def test_a_crash_is_a_line_without_its_text(crash: str) -> None:
    """An exception nobody caught ends as JSON, in the main thread and in others."""
    program = f"from workers.logs import configure_logs; configure_logs(); person = {PERSON!r}; {crash}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["error"] == "ValueError"
    assert "Quillfeather" not in line


def test_commands_keep_libraries_quiet(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """A person's terminal shows what the command says, and no library's record."""
    silence_logs()
    logging.getLogger("library").error("Transient error %s", InvalidRequestError("x"))
    assert lines() == []
    assert capsys.readouterr().out == ""
