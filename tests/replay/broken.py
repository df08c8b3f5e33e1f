"""Workflows under the names of ours that decide otherwise: what a replay must refuse."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue


@workflow.defn(name="ProvisionBatch")
class SleepyBatch:
    """Sleeps where a batch inspects its source."""

    @workflow.run
    async def run(self, *_: RawValue) -> None:
        """Waits an hour first."""
        await workflow.sleep(timedelta(hours=1))


@workflow.defn(name="ProvisionShard")
class IdleShard:
    """Ends at once, without working a slice."""

    @workflow.run
    async def run(self, *_: RawValue) -> None:
        """Does nothing."""
