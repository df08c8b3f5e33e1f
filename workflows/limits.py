"""Every wait, retry, window and size of the workflows, each with its unit and reason."""

from datetime import timedelta

from temporalio.common import RetryPolicy

SLICES_PER_SHARD = 10
"""Slices one child works in order: 10 to 50 by design; ten keep a killed worker's loss small."""

OPEN_SHARDS_MAX = 8
"""Children open at once: a small multiple of the worker slots of two processes on two cores."""

SHARDS_PER_RUN = 200
"""Children after which a stage continues as new: about eight events each stay under 4,096."""

RUN_EVENTS_MAX = 3_000
"""History length at which a stage or wave boundary continues as new, well under the bound of 4,096."""

MESSAGE_BYTES_MAX = 32 * 1024
"""A signed message's JSON: a statement, a signature, and room; far under the payload bound of 64 KiB."""

REQUEST_BYTES_MAX = 60 * 1024
"""A request's JSON; the payload bound is 64 KiB."""

REFUSALS_SHOWN = 20
"""Refused messages `status` shows; all of them are in the audit log."""

HEARTBEAT = timedelta(seconds=10)
"""Silence after which an activity's worker counts as dead; workers beat every few seconds."""

STEP_TIMEOUT = timedelta(minutes=10)
"""One slice or one batch-level step; the slowest measured slice takes seconds."""

STREAM_TIMEOUT = timedelta(hours=6)
"""A stream over a whole source of ten million rows."""

QUICK_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=5,
)
"""The engine's own retries: about eight seconds, then the workflow waits visibly."""

SERVICE_WAIT_FIRST = timedelta(seconds=2)
"""The first visible wait for a service that is away; doubles up to the longest."""

SERVICE_WAIT_LONGEST = timedelta(seconds=60)
"""The longest pause between two tries: an hour's outage costs sixty of them."""

ABORT_GATE_HOURS = 24 * 365.0
"""How long an abort can be approved: longer than any batch runs."""

UNFORESEEN_TRIES_MAX = 3
"""Rounds of quick retries for an error nobody foresaw, before the step counts as not doable."""

UNCLAIMED_TIMEOUT = timedelta(minutes=2)
"""How long a step may lie in its queue before `status` says that no worker takes it."""

COMPENSATION_PAUSE = timedelta(seconds=30)
"""Between two rounds of a compensation that failed; there is no last round."""
