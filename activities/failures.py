"""The error types that may leave an activity or a workflow.

Each sets its wire type from the class name and decides once whether a retry can help. Messages are a
fixed sentence plus safe ids: failure text bypasses payload codecs and stays in history.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from temporalio.exceptions import ApplicationError


class WalletworksError(ApplicationError):
    """The base of every error that crosses the border to Temporal."""

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *details: object,
        next_retry_delay: timedelta | None = None,
    ) -> None:
        super().__init__(
            message,
            *details,
            type=type(self).__name__,
            non_retryable=not self.retryable,
            next_retry_delay=next_retry_delay,
        )


class InvalidRequestError(WalletworksError):
    """The request or a row breaks the published shape; details list field, line and reason."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(f"{message}: {'; '.join(problems)}" if problems else message, list(problems))


class PolicyViolationError(WalletworksError):
    """An approval is missing, expired or for another digest, or a verdict is stale."""


class ConflictError(WalletworksError):
    """The same idempotency key came with different content."""


class AccessDeniedError(WalletworksError):
    """A service refused our credentials."""


class IntegrityError(WalletworksError):
    """What was read back differs from what was written; pages a person."""


class StaleFenceError(WalletworksError):
    """The batch's fence was raised since this step was scheduled: its effect must not happen."""


class ServiceUnavailableError(WalletworksError):
    """A service timed out, is sealed, or the connection was lost; the first detail names it."""

    retryable = True

    def __init__(self, service: str) -> None:
        super().__init__(f"{service} could not be reached", service)


class RateLimitedError(WalletworksError):
    """A service said when to come back."""

    retryable = True

    def __init__(self, service: str, *, retry_after: timedelta) -> None:
        super().__init__(f"{service} is limiting calls", service, next_retry_delay=retry_after)


class SealingIncompleteError(WalletworksError):
    """Something unforeseen happened in the key room; nothing of it is told."""

    retryable = True
