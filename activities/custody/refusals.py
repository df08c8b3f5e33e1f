"""What custody refused, on an audit chain of its own: whoever can reach the queue is seen trying.

It is not the batch's chain, which a stranger's task must not be able to lengthen once its head is signed.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Protocol, TypeVar

from activities.failures import (
    IntegrityError,
    InvalidRequestError,
    PolicyViolationError,
    StaleFenceError,
    WalletworksError,
)
from activities.store import audit
from activities.store.database import Database

REFUSALS_CHAIN: Final = "custody/refused"
"""The chain of all refusals, of every batch and of batch ids that nobody knows."""

_REFUSED: Final = PolicyViolationError, StaleFenceError, IntegrityError, InvalidRequestError
"""Who may not, who comes too late, and whose rows were altered or made up."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_./@:-]")
_ID_MAX: Final = 128

_Answer = TypeVar("_Answer")


class _Step(Protocol):
    @property
    def batch_id(self) -> str: ...


class _Keeper(Protocol):
    _database: Database


_Room = TypeVar("_Room", bound=_Keeper)
_Task = TypeVar("_Task", bound=_Step)


def recorded_refusals(task: Callable[[_Room, _Task], _Answer]) -> Callable[[_Room, _Task], _Answer]:
    """Wraps an activity so that what it refuses is on record before its caller is told.

    Raises: ServiceUnavailableError when it cannot be recorded.
    """

    @wraps(task)
    def told(room: _Room, step: _Task) -> _Answer:
        try:
            return task(room, step)
        except _REFUSED as refused:
            with room._database.transaction() as connection:  # noqa: SLF001 - a decorator of the room's own
                facts = _facts(task.__name__, step, refused)
                audit.append(connection, REFUSALS_CHAIN, kind="custody.refused", facts=facts)
            raise

    return told


def _facts(activity: str, step: _Step, refused: WalletworksError) -> dict[str, Any]:
    """The batch id came with the task and may be anything: only what is safe to show of it is kept."""
    return {
        "activity": activity,
        "batch_id": _UNSAFE.sub("_", step.batch_id)[:_ID_MAX],
        "error": type(refused).__name__,
        "reason": refused.message,
    }
