"""The table of limits keeps what the engine and the design bound."""

import ast
from datetime import timedelta
from pathlib import Path

from workers.liveness import BEAT_SECONDS
from workflows import limits

PAYLOAD_BYTES = 64 * 1024
EVENTS_PER_ROUND = 11
"""A timer's two and an activity's three, with the workflow tasks between them."""

EVENTS_PER_SHARD = 8
"""Initiated, started and completed, with their workflow tasks, where none of them falls together."""


def test_sizes_are_within_the_design() -> None:
    """Shards of 10 to 50 slices, at most 500 open, runs under 4,096 events with one group of shards more."""
    assert 10 <= limits.SLICES_PER_SHARD <= 50
    assert 1 <= limits.OPEN_SHARDS_MAX <= 500
    assert limits.RUN_EVENTS_MAX + limits.SHARDS_PER_RUN * EVENTS_PER_SHARD < 4_096


def test_payloads_fit() -> None:
    """A message and a request stay below what one payload may hold, with room for what is around them."""
    assert limits.MESSAGE_BYTES_MAX < limits.REQUEST_BYTES_MAX < PAYLOAD_BYTES


def test_a_living_worker_is_never_taken_for_dead() -> None:
    """Several beats fit into the silence after which a worker counts as dead."""
    assert (
        timedelta(seconds=BEAT_SECONDS) * 3 < limits.HEARTBEAT < limits.STEP_TIMEOUT < limits.STREAM_TIMEOUT
    )


def test_waits_grow_to_a_bound() -> None:
    """The engine's own retries end within seconds, and then the workflow waits where people see it."""
    policy = limits.QUICK_RETRIES
    assert policy.maximum_attempts > 1
    assert policy.maximum_interval is not None
    pauses = [
        min(policy.initial_interval * policy.backoff_coefficient**tried, policy.maximum_interval)
        for tried in range(policy.maximum_attempts - 1)
    ]
    assert sum(pauses, timedelta()) < timedelta(seconds=10)
    assert limits.PATIENT_RETRIES.maximum_interval is not None
    assert limits.PATIENT_RETRIES.maximum_interval <= timedelta(minutes=1)
    assert limits.PERSISTENT_PAUSE_FIRST < limits.PERSISTENT_PAUSE_LONGEST


def test_an_outage_of_days_fits_into_one_run() -> None:
    """The engine waits by itself most of the time, and what it does not record costs no event."""
    policy = limits.PATIENT_RETRIES
    assert policy.maximum_interval is not None
    round_takes = policy.maximum_interval * policy.maximum_attempts
    rounds = timedelta(days=7) / round_takes
    assert rounds * EVENTS_PER_ROUND < limits.RUN_EVENTS_MAX


def test_an_abort_can_be_signed_as_long_as_a_batch_runs() -> None:
    """The longest rollout soaks thirty days after each of twenty-one waves at most."""
    assert timedelta(hours=limits.ABORT_GATE_HOURS) >= timedelta(days=365)


def test_every_limit_is_kept_by_something() -> None:
    """A limit that no workflow reads bounds nothing."""
    read: set[str] = set()
    for path in Path(limits.__file__).parent.glob("*.py"):
        if path.name != "limits.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {name for name in vars(limits) if name.isupper()} <= read
