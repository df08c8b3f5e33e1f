"""The messages a batch takes: each as an update, which is answered, and as a signal of the same name."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from workflows.batch_state import BatchState
from workflows.message_desk import MessageDesk
from workflows.provision_shard import SHARD_WAITS_SIGNAL
from workflows.status import status_of


class BatchMessages:
    """The handlers of `ProvisionBatch`; payloads come raw, so that nothing bad is dropped or wedges."""

    _state: BatchState
    _desk: MessageDesk
    _publish: Callable[[], None]

    @workflow.query(name="status", description="Stage, outcome, counts, digests, gates, waves.")
    def status(self, *_: RawValue) -> dict[str, Any]:
        """Gives the batch's status as one JSON object; an input is accepted and not looked at."""
        return status_of(self._state)

    @workflow.update(name="approve", description="A signed statement with decision approve.")
    async def approve_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Answers whether the approval counts."""
        return await self._desk.receive("approve", inputs)

    @workflow.update(name="reject", description="A signed statement with decision reject.")
    async def reject_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Answers whether the rejection counts; one is final for its gate."""
        return await self._desk.receive("reject", inputs)

    @workflow.update(name="adjudicate", description="A signed statement on one hold: clear or refuse.")
    async def adjudicate_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Answers whether the decision on a hold counts."""
        return await self._desk.receive("adjudicate", inputs)

    @workflow.update(name="pause", description='Anyone may: {"reason": "..."}')
    async def pause_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Stops before the next shard or wave, and names the gate that resumes."""
        return await self._desk.receive("pause", inputs)

    @workflow.update(name="resume", description="A signed statement for gate resume/<k>.")
    async def resume_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Answers whether the approval to go on counts."""
        return await self._desk.receive("resume", inputs)

    @workflow.update(name="abort", description="A signed statement for gate rollback.")
    async def abort_by_update(self, *inputs: RawValue) -> dict[str, Any]:
        """Answers whether the approval to leave early counts."""
        return await self._desk.receive("abort", inputs)

    @workflow.signal(name="approve")
    async def approve_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("approve", inputs)

    @workflow.signal(name="reject")
    async def reject_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("reject", inputs)

    @workflow.signal(name="adjudicate")
    async def adjudicate_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("adjudicate", inputs)

    @workflow.signal(name="pause")
    async def pause_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("pause", inputs)

    @workflow.signal(name="resume")
    async def resume_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("resume", inputs)

    @workflow.signal(name="abort")
    async def abort_by_signal(self, *inputs: RawValue) -> None:
        """The same as the update; what comes of it shows in `status`."""
        await self._desk.receive_unanswered("abort", inputs)

    @workflow.signal(name=SHARD_WAITS_SIGNAL)
    async def shard_waits(self, *inputs: RawValue) -> None:
        """A shard tells which service it waits for; shown, and nothing else."""
        await self._desk.note_shard(inputs, self._note_service)

    @workflow.signal(dynamic=True)
    async def unknown_signal(self, name: str, _: Sequence[RawValue]) -> None:
        """A misspelt signal is refused visibly instead of being kept for ever."""
        await self._desk.refuse_unknown(name)

    async def _note_service(self, key: str, service: str) -> None:
        self._state.note_service(key, service)
        self._publish()
