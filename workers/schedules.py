"""What runs by the clock: the sweeper, scheduled once a minute by whichever worker starts first."""

from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from activities.contracts.shapes import PROVISIONING_QUEUE
from workflows.sweep_batches import SWEEP_WORKFLOW

SWEEPER: Final = "walletworks-sweeper"
"""The schedule's id: `temporal schedule trigger --schedule-id walletworks-sweeper` sweeps at once."""

SWEEP_EVERY: Final = timedelta(minutes=1)
"""How long a terminated batch is left as it is, at most."""


async def ensure_sweeper(client: Client) -> None:
    """Creates the schedule; one that is there stays as its operators have set it."""
    sweep = ScheduleActionStartWorkflow(SWEEP_WORKFLOW, id="sweep", task_queue=PROVISIONING_QUEUE)
    schedule = Schedule(
        action=sweep,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(SWEEPER, schedule)
    except ScheduleAlreadyRunningError:
        return
