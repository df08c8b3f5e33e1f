"""Every wait, retry, window and size of the workflows, each with its unit and reason."""

from dataclasses import replace
from datetime import timedelta

from temporalio.common import RetryPolicy

SLICES_PER_SHARD = 10
"""Slices one child works in order: 10 to 50 by design; ten keep a killed worker's loss small."""

OPEN_SHARDS_MAX = 8
"""Children open at once: a small multiple of the worker slots of two processes on two cores."""

SHARD_RESTARTS_MAX = 10
"""How often a shard that was terminated or cancelled from outside is started again before its batch fails."""

SWEPT_MAX = 100
"""Batches one sweep takes up; those left over are found by the next, a minute later."""

ANNOUNCED_MAX = 1_000
"""Announcements one sweep delivers that could not be told when they were due."""

SHARDS_PER_RUN = 200
"""Children after which a stage continues as new: about eight events each stay under 4,096."""

RUN_EVENTS_MAX = 2_000
"""History length from which a run continues as new: a group of shards still fits under the bound of 4,096."""

MESSAGE_BYTES_MAX = 32 * 1024
"""A signed message's JSON: a statement, a signature, and room; far under the payload bound of 64 KiB."""

REQUEST_BYTES_MAX = 60 * 1024
"""A request's JSON; the payload bound is 64 KiB."""

REFUSALS_SHOWN = 20
"""Refused messages `status` shows; all of them are in the audit log."""

HEARTBEAT = timedelta(seconds=10)
"""Silence after which an activity's worker counts as dead; workers beat every few seconds."""

STEP_TIMEOUT = timedelta(minutes=10)
"""One slice, or one step that looks at no row of a subject; the slowest measured slice takes seconds."""

STREAM_TIMEOUT = timedelta(hours=6)
"""A stream over a whole source, or one statement over all rows, of ten million subjects."""

QUICK_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=5,
)
"""The engine's own retries: about eight seconds, then the workflow waits visibly."""

CUSTODY_RETRIES = replace(QUICK_RETRIES, maximum_attempts=3)
"""The same on the custody queue: what nobody foresaw in the key room is tried three times."""

PATIENT_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=120,
)
"""The engine's retries while a service is away: about an hour a round, without an event in between."""

STEP_PAUSE = timedelta(seconds=2)
"""Between two rounds of a step's retries."""

ABORT_GATE_HOURS = 24 * 365.0
"""How long an abort can be approved: longer than any batch runs."""

UNFORESEEN_TRIES_MAX = 3
"""Rounds of quick retries for an error nobody foresaw, before the step counts as not doable."""

UNCLAIMED_TIMEOUT = timedelta(minutes=2)
"""How long a step may lie in its queue before `status` says that no worker takes it."""

PERSISTENT_PAUSE_FIRST = timedelta(seconds=5)
"""Between the first two rounds of a step that must not fail; doubles up to the longest."""

PERSISTENT_PAUSE_LONGEST = timedelta(minutes=15)
"""Between two later rounds; there is no last round, and a week of them fits into one run."""

APPROVALS_SHOWN = 100
"""Counted decisions `status` shows and a new run takes along; all of them are in the audit log."""

SERVICES_SHOWN_MAX = 50
"""Waits of shards that are kept at once: more than can be open, and a bound on what strangers send."""
