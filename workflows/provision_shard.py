"""One shard: its slices in order, each one activity call; it decides nothing and never compensates."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():  # the doorway: shapes without I/O, the same in every run
    from activities.contracts.activation import Activation
    from activities.contracts.custody import Custody
    from activities.contracts.screening import Screening
    from activities.contracts.shapes import SliceResult, SliceStep
    from activities.failures import InvalidRequestError

from workflows.batch_plan import Shard, Slice, plan_slices
from workflows.steps import Steps

SHARD_WORKFLOW = "ProvisionShard"
"""The workflow type of a shard."""

SHARD_WAITS_SIGNAL = "shard_waits"
"""Tells the parent which service a shard waits for; an empty service: it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWork:
    """What one child works: a shard of one stage, under one fence."""

    batch_id: str
    fence: int
    stage: str
    tranche: int
    wave: int
    shard: Shard
    audit_chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDone:
    """The shard's summed counts."""

    counts: dict[str, int] = field(default_factory=dict)


@workflow.defn(name=SHARD_WORKFLOW)
class ProvisionShard:
    """Works the slices of one shard of one stage."""

    def __init__(self) -> None:
        self._steps = Steps(self._tell_parent)

    @workflow.run
    async def run(self, *inputs: RawValue) -> ShardDone:
        """Gives the shard's counts; slices already committed are found, not done again."""
        work = _parse(inputs)
        counts: Counter[str] = Counter()
        for piece in plan_slices(work.shard):
            counts.update((await self._work_slice(work, piece)).counts)
        if work.stage == "derive":
            await self._verify_shard(work)
        return ShardDone(counts=dict(counts))

    async def _work_slice(self, work: ShardWork, piece: Slice) -> SliceResult:
        step = _slice_step(work, piece)
        match work.stage:
            case "screen":
                return await self._steps.provisioning(Screening.screen_slice, step)
            case "derive":
                return await self._steps.custody(Custody.derive_slice, step)
            case "activate":
                return await self._steps.provisioning(Activation.activate_slice, step)
            case _:
                raise InvalidRequestError("the shard's stage is not known")

    async def _verify_shard(self, work: ShardWork) -> None:
        whole = Slice(slice_index=work.shard.shard_index, offset=work.shard.offset, length=work.shard.length)
        await self._steps.custody(Custody.verify_range, _slice_step(work, whole))

    async def _tell_parent(self, key: str, service: str) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id)
        note = {"shard": f"{workflow.info().workflow_id}#{key}", "service": service}
        with contextlib.suppress(ApplicationError):  # a parent that has ended shows nothing any more
            await handle.signal(SHARD_WAITS_SIGNAL, note)


def _parse(inputs: tuple[RawValue, ...]) -> ShardWork:
    try:
        (raw,) = inputs
        work: Any = workflow.payload_converter().from_payload(raw.payload, ShardWork)
    except Exception:  # noqa: BLE001 - whatever a stranger sends ends the run, and is not repeated
        work = None
    # A payload that is not JSON is handed over as it is, whatever type is asked for.
    if not isinstance(work, ShardWork):
        raise InvalidRequestError("a shard is started by its batch with one ShardWork object")
    return work


def _slice_step(work: ShardWork, piece: Slice) -> SliceStep:
    return SliceStep(
        batch_id=work.batch_id,
        fence=work.fence,
        tranche=work.tranche,
        slice_index=piece.slice_index,
        offset=piece.offset,
        length=piece.length,
        audit_chain=work.audit_chain,
        wave=work.wave,
    )
