"""The door of the key room: whatever goes wrong inside, only a fixed sentence and safe ids come out.

Errors are made anew outside the handler, so that neither cause, context nor traceback of the one inside, with
the values in its frames, is kept alive or shown.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from temporalio.exceptions import CancelledError

from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    RateLimitedError,
    SealingIncompleteError,
    ServiceUnavailableError,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def key_room_door(sentence: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Wraps a function that touches key material.

    Args:
        sentence: what did not get done, said when nothing better is known.

    Raises:
        ServiceUnavailableError, RateLimitedError, AccessDeniedError, IntegrityError: as raised inside, in
            other words.
        SealingIncompleteError: anything else.
    """

    def wrap(inside: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(inside)
        def through_the_door(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            failure: Exception
            try:
                return inside(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the catch-all is this function's purpose
                failure = _told_outside(error, sentence)
            try:
                raise failure
            finally:
                del failure  # the error's traceback holds this frame: without this they keep each other

        return through_the_door

    return wrap


def _told_outside(error: Exception, sentence: str) -> Exception:
    """Gives the error that may leave, made of its type alone."""
    if isinstance(error, CancelledError):
        return CancelledError("cancelled in the key room")
    if isinstance(error, RateLimitedError) and error.next_retry_delay is not None:
        return RateLimitedError("key service", retry_after=error.next_retry_delay)
    if isinstance(error, ServiceUnavailableError):
        return ServiceUnavailableError("key service")
    if isinstance(error, AccessDeniedError):
        return AccessDeniedError(f"{sentence}: the key service refused our token")
    if isinstance(error, IntegrityError):
        return IntegrityError(f"{sentence}: what was sealed does not open as it was sealed")
    return SealingIncompleteError(sentence)
