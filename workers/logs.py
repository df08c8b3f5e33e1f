"""Structured logs: one JSON line each on standard error, without a subject's data and without a secret.

Our own lines keep only fields of a list. Of a library's record stay its fixed words, its place, and of an
error its type and the places it came through: texts and arguments may repeat what a library was given.
"""

import json
import logging
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import structlog
from temporalio.exceptions import ApplicationError

SAFE_FIELDS: Final = frozenset(
    [
        "event",
        "level",
        "timestamp",
        "role",
        "queue",
        "pid",
        "port",
        "activity",
        "workflow_id",
        "run_id",
        "attempt",
        "error",
        "reason",
        "service",
        "batch_id",
        "seconds",
        "at",
    ]
)
"""Fields a line of ours may carry; any other is dropped, so that nobody logs a person by accident."""

_FIXED_WORDS: Final = re.compile(r"[A-Za-z ,'-]{0,120}")
"""The start of a library's message up to the first digit, bracket or colon: there the values begin."""

_PLACES_MAX: Final = 6
"""Innermost places shown of an error's way."""

_TASK_FIELDS: Final = {
    "activity_type": "activity",
    "workflow_id": "workflow_id",
    "workflow_run_id": "run_id",
    "run_id": "run_id",
    "attempt": "attempt",
}
"""What the SDK tells about the task at hand, and our names for it."""

_log = structlog.get_logger()


class ForeignRecords(logging.Formatter):
    """Gives a library's record as a JSON line of what cannot carry foreign data."""

    def format(self, record: logging.LogRecord) -> str:
        """Gives the line; message arguments, extra fields and error texts are left out."""
        words = _FIXED_WORDS.match(str(record.msg))
        line: dict[str, Any] = {
            "event": (words.group() if words else "").strip(" ,'-") or "a library's message",
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        for source in ("temporal_activity", "temporal_workflow"):
            told = getattr(record, source, None) or {}
            line |= {ours: told[theirs] for theirs, ours in _TASK_FIELDS.items() if theirs in told}
        error = record.exc_info[1] if record.exc_info else None
        return json.dumps(line | (told_of(error) if error else {}), default=str)


def told_of(error: BaseException) -> dict[str, str]:
    """Gives of an error its type and the innermost places it came through; nothing of its text."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES_MAX:]
    places = (f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}" for frame in reversed(frames))
    kind = error.type if isinstance(error, ApplicationError) else None
    return {"error": kind or type(error).__name__, "at": " < ".join(places)}


def configure_logs() -> None:
    """Sends every record of this process, ours and libraries', warnings and crashes too, as JSON lines."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_safe_fields,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ForeignRecords())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: _log.error("a thread ends", **_told(crash.exc_value))


def silence_logs() -> None:
    """Keeps libraries' records off a person's terminal: a command tells what went wrong itself."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def keep_safe_fields(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drops every field that is not known to be safe, and those without a value."""
    return {name: value for name, value in event.items() if name in SAFE_FIELDS and value is not None}


def _log_crash(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    _log.error("the process ends", **told_of(error))


def _told(error: BaseException | None) -> dict[str, str]:
    return told_of(error) if error else {}
