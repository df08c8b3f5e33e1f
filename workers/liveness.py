"""Keeps activities alive and measured: heartbeats for liveness, durations and failures as metrics."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from opentelemetry import metrics
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.failures import WalletworksError

BEAT_SECONDS = 2.0
"""Between two heartbeats; the heartbeat timeout is five of them."""

UNFORESEEN = "an error that nobody foresaw"
"""All that leaves a worker of an error that is not one of ours, beside its type and where it came from."""

_SECONDS_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""From a claimed batch to a stream over a large source."""

_meter = metrics.get_meter("walletworks")
_seconds = _meter.create_histogram(
    "walletworks.activity.seconds", unit="s", explicit_bucket_boundaries_advisory=_SECONDS_BUCKETS
)
_failures = _meter.create_counter("walletworks.activity.failures")
_log = structlog.get_logger()


def report_seen(role: str, is_polling: Callable[[], bool]) -> None:
    """Reports the time (seconds since 1970) as the metric `walletworks.worker.seen` while a worker polls.

    A dead worker's last value stays behind, however long a collector repeats it: its age is the alert.
    """

    def look(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        return [metrics.Observation(time.time(), {"role": role})] if is_polling() else []

    _meter.create_observable_gauge("walletworks.worker.seen", [look], unit="s")


class LivenessInterceptor(Interceptor):
    """Wraps every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Gives the wrapper around the next interceptor."""
        return _Beating(next)


class _Beating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        name, started = activity.info().activity_type, time.monotonic()
        beats = asyncio.create_task(_beat(in_thread=input.executor is not None))
        try:
            return await super().execute_activity(input)
        except FailureError as error:
            _note_failure(name, error)
            raise
        except Exception as error:  # noqa: BLE001 - it goes on, without a text that may repeat its input
            _note_failure(name, error)
            kind = type(error).__name__
            raise ApplicationError(UNFORESEEN, type=kind).with_traceback(error.__traceback__) from None
        finally:
            beats.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beats
            _seconds.record(time.monotonic() - started, {"activity": name})


async def _beat(*, in_thread: bool) -> None:
    """A synchronous activity's heartbeat waits for the event loop, so it must not be called on it.

    The start itself is a sign of life: a short activity sends none, which halves what it costs the engine.
    """
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        if in_thread:
            await asyncio.to_thread(activity.heartbeat)
        else:
            activity.heartbeat()


def _note_failure(name: str, error: Exception) -> None:
    """Logs the error's type, and the sentence only of our own: foreign text may repeat what it was given."""
    kind = (error.type or "ApplicationError") if isinstance(error, ApplicationError) else type(error).__name__
    _failures.add(1, {"activity": name, "error": kind})
    info = activity.info()
    _log.warning(
        "activity failed",
        activity=name,
        error=kind,
        reason=error.message if isinstance(error, WalletworksError) else None,
        attempt=info.attempt,
        workflow_id=info.workflow_id,
    )
