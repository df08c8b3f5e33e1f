"""Runs the shards of a stage as children, a bounded window of them at a time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import (
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)

from activities.contracts.shapes import MAIN_TRANCHE, shard_chain
from workflows.batch_plan import Shard
from workflows.limits import OPEN_SHARDS_MAX, PERSISTENT_PAUSE_LONGEST, SHARD_RESTARTS_MAX, STEP_PAUSE
from workflows.provision_shard import SHARD_WORKFLOW, ShardDone, ShardWork
from workflows.renewal import Renewal
from workflows.stopping import require_going_on

_WAITS_FOR_ID = "waits-for-a-shard-of-the-run-before"
"""Patch: a shard whose id is still taken is waited for, where that once failed the batch."""


class ShardWindow:
    """One stage's children; `checkpoint` is awaited before each start and holds while a batch is paused."""

    def __init__(
        self, *, batch_id: str, fence: int, checkpoint: Callable[[], Awaitable[None]], renewal: Renewal
    ) -> None:
        self._batch_id = batch_id
        self._fence = fence
        self._checkpoint = checkpoint
        self._renewal = renewal
        self._slots = asyncio.Semaphore(OPEN_SHARDS_MAX)

    async def run(
        self, shards: list[Shard], *, stage: str, tranche: int = MAIN_TRANCHE, wave: int = 0
    ) -> dict[str, int]:
        """Gives the summed counts once every shard is done; the first failure cancels the others."""
        counts: Counter[str] = Counter()
        tasks = [
            asyncio.create_task(self._run_one(shard, stage=stage, tranche=tranche, wave=wave))
            for shard in shards
        ]
        try:
            for done in await asyncio.gather(*tasks):
                counts.update(done.counts)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return dict(counts)

    async def _run_one(self, shard: Shard, *, stage: str, tranche: int, wave: int) -> ShardDone:
        async with self._slots:
            await self._checkpoint()
            require_going_on()
            self._renewal.open_shards += 1
            try:
                return await self._child(shard, stage=stage, tranche=tranche, wave=wave)
            finally:
                self._renewal.open_shards -= 1

    async def _child(self, shard: Shard, *, stage: str, tranche: int, wave: int) -> ShardDone:
        """Starts a shard again that somebody stopped from outside: what it committed is found."""
        for _ in range(SHARD_RESTARTS_MAX):
            try:
                return await self._start_once_free(shard, stage=stage, tranche=tranche, wave=wave)
            except ChildWorkflowError as error:
                require_going_on()
                if not isinstance(error.cause, TerminatedError | CancelledError):
                    raise
            await workflow.sleep(STEP_PAUSE, summary="a shard was stopped from outside and is started again")
        return await self._start_once_free(shard, stage=stage, tranche=tranche, wave=wave)

    async def _start_once_free(self, shard: Shard, *, stage: str, tranche: int, wave: int) -> ShardDone:
        """A reset leaves the shards of the run before at work: each keeps its id until it is done."""
        pause = STEP_PAUSE
        while True:
            try:
                return await self._start(shard, stage=stage, tranche=tranche, wave=wave)
            except WorkflowAlreadyStartedError:
                if not workflow.patched(_WAITS_FOR_ID):
                    raise
            await workflow.sleep(pause, summary="a shard of the run before is at work: waits for it")
            require_going_on()
            pause = min(pause * 2, PERSISTENT_PAUSE_LONGEST)

    async def _start(self, shard: Shard, *, stage: str, tranche: int, wave: int) -> ShardDone:
        name = f"wave-{wave}" if wave else stage
        name = f"{name}-late" if tranche else name
        chain = shard_chain(self._batch_id, name, shard.shard_index)
        done: ShardDone = await workflow.execute_child_workflow(
            SHARD_WORKFLOW,
            ShardWork(
                batch_id=self._batch_id,
                fence=self._fence,
                stage=stage,
                tranche=tranche,
                wave=wave,
                shard=shard,
                audit_chain=chain,
            ),
            id=chain.removeprefix("batch/"),
            result_type=ShardDone,
            cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            static_summary=f"{name}: subjects {shard.offset} to {shard.offset + shard.length - 1}",
        )
        return done
