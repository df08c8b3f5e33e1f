"""One batch, from a request to a bundle: reviewed, screened, derived, rolled out in waves, recorded.

Stages are methods that read as the table of contents; gates, messages, shards and undoing have modules
of their own. It decides from what activities recorded, and keeps no state outside `BatchState`.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():  # the doorway: shapes without I/O, the same in every run
    from activities.contracts.activation import Activation, WaveStep
    from activities.contracts.batches import BatchRegister, ClaimBatch
    from activities.contracts.compliance import Compliance, PlannedBatch
    from activities.contracts.custody import Custody
    from activities.contracts.intake import InspectSource, Intake
    from activities.contracts.request import parse_request
    from activities.contracts.screening import ApplyListChanges, Screening
    from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE, BatchStep, TrancheStep
    from activities.failures import InvalidRequestError

from workflows.approval_gate import ApprovalGates, stamp
from workflows.batch_messages import BatchMessages
from workflows.batch_plan import Wave, plan_shards, plan_waves
from workflows.batch_state import BatchState, Waiting, WaveState
from workflows.endings import EndEarly, Ending, as_failure
from workflows.limits import (
    ABORT_GATE_HOURS,
    REQUEST_BYTES_MAX,
    RUN_EVENTS_MAX,
    SHARDS_PER_RUN,
    STREAM_TIMEOUT,
)
from workflows.message_desk import MessageDesk
from workflows.messages import one_object
from workflows.shard_window import ShardWindow
from workflows.status import Showing
from workflows.steps import Steps
from workflows.undoing import Undoing


@workflow.defn(name="ProvisionBatch")
class ProvisionBatch(BatchMessages):
    """Provisions the wallets of one batch."""

    def __init__(self) -> None:
        self._begin_with(BatchState())

    @workflow.run
    async def run(self, *inputs: RawValue) -> dict[str, Any]:
        """Gives how the batch ended, after its compensations where it ended early."""
        try:
            recorded = await self._begin(inputs)
        except ApplicationError as refusal:
            self._ending.show_refused(refusal)
            raise
        if recorded is not None:
            self._ending.show_recorded(recorded)
            return recorded
        try:
            await self._provision_unless_aborted()
        except EndEarly as early:
            return await self._leave_early(early)
        except asyncio.CancelledError:
            await self._leave_early(EndEarly("cancelled"))
            raise
        except FailureError as error:
            await self._leave_early(EndEarly("failed"))
            raise as_failure(error) from error
        return await self._ending.close()

    async def _begin(self, inputs: Sequence[RawValue]) -> dict[str, Any] | None:
        """Takes over the state of the run before, or claims the batch; gives the record of an ended one."""
        if workflow.info().continued_run_id:
            carried = workflow.payload_converter().from_payload(inputs[0].payload, BatchState)
            self._begin_with(carried)
            return None
        received = one_object(inputs, bytes_max=REQUEST_BYTES_MAX)
        request = parse_request(received)
        if request.batch_id != workflow.info().workflow_id:
            raise InvalidRequestError("batch_id: must be the workflow id")
        self._state.request, self._state.batch_id = received, request.batch_id
        self._publish()
        try:
            return await self._inspect_and_claim()
        except ActivityError as error:
            raise as_failure(error) from error

    async def _inspect_and_claim(self) -> dict[str, Any] | None:
        """The record is asked first: a batch that has ended needs its source no more."""
        claim = ClaimBatch(
            request=self._state.request, claimed_by_run=workflow.info().original_execution_run_id
        )
        recalled = await self._steps.provisioning(BatchRegister.recall_batch, claim)
        if recalled.recorded_result is not None:
            return recalled.recorded_result
        source = await self._steps.provisioning(
            Intake.inspect_source, InspectSource(request=self._state.request), within=STREAM_TIMEOUT
        )
        self._state.row_count, self._state.bad_row_count = source.row_count, source.bad_row_count
        claimed = await self._steps.provisioning(BatchRegister.claim_batch, claim)
        self._state.fence = claimed.fence
        self._state.claimed = claimed.recorded_result is None
        return claimed.recorded_result

    async def _provision_unless_aborted(self) -> None:
        """Provisions until done; an approved abort, a cancellation or a failure stops all work first."""
        provisioning = asyncio.create_task(self._provision())
        try:
            await workflow.wait_condition(lambda: provisioning.done() or self._abort_is_approved())
            if not provisioning.done():
                raise EndEarly("aborted")
            await provisioning
        finally:
            provisioning.cancel()
            await asyncio.gather(provisioning, return_exceptions=True)

    async def _provision(self) -> None:
        stages = {
            "intake": self._take_in,
            "review": self._review,
            "screening": self._screen,
            "derivation": self._derive,
            "rollout": self._roll_out,
            "late": self._settle_holds,
        }
        names = list(stages)
        for name in names[names.index(self._state.stage) :]:
            self._state.stage = name
            self._publish()
            await self._renew_if_long()
            await self._hold_while_paused()
            await stages[name]()

    async def _take_in(self) -> None:
        stored = await self._steps.provisioning(
            Intake.store_subjects, self._batch_step(), within=STREAM_TIMEOUT
        )
        self._state.subject_count = stored.subject_count

    async def _review(self) -> None:
        plan = await self._steps.provisioning(Compliance.plan_batch, self._batch_step())
        self._state.plan = plan
        waves = plan_waves(count=plan.subject_count, percents=plan.waves_percent)
        self._state.waves = [WaveState(wave=w.wave, percent=w.percent) for w in waves]
        self._publish()
        if plan.outcome == "refused":
            raise EndEarly("refused", reasons=plan.reasons)
        if "rollback" in plan.gates:
            terms = plan.gates["rollback"]
            await self._gates.open("rollback", plan.plan_digest, terms, wait_hours=ABORT_GATE_HOURS)
        await self._pass_gate("compliance", plan.plan_digest)

    async def _screen(self) -> None:
        await self._steps.provisioning(Screening.pin_lists, self._batch_step())
        await self._run_shards("screen", offset=0, length=self._state.subject_count)
        await self._seal_evidence(MAIN_TRANCHE)

    async def _derive(self) -> None:
        await self._pass_gate("issuance", self._evidence_digest(MAIN_TRANCHE))
        await self._steps.custody(Custody.open_keyring, self._tranche_step(MAIN_TRANCHE))
        await self._run_shards("derive", offset=0, length=self._state.subject_count)

    async def _roll_out(self) -> None:
        waves = plan_waves(count=self._state.subject_count, percents=self._plan().waves_percent)
        for wave in waves[self._state.waves_done :]:
            await self._activate_wave(wave, MAIN_TRANCHE)
            await self._renew_if_long()

    async def _settle_holds(self) -> None:
        """Held subjects cleared since the evidence was sealed join one extra last wave, same gates."""
        if str(LATE_TRANCHE) not in self._state.evidence and not await self._await_adjudications():
            return
        cleared = self._state.evidence[str(LATE_TRANCHE)].counts.get("cleared", 0)
        if not cleared:
            return
        await self._pass_gate("issuance", self._evidence_digest(LATE_TRANCHE))
        if len(self._state.waves) == self._main_wave_count():
            await self._steps.custody(Custody.open_keyring, self._tranche_step(LATE_TRANCHE))
            await self._run_shards("derive", offset=0, length=cleared, tranche=LATE_TRANCHE)
            self._state.waves.append(WaveState(wave=len(self._state.waves) + 1, percent=100))
        wave = Wave(wave=len(self._state.waves), offset=0, length=cleared, percent=100)
        await self._activate_wave(wave, LATE_TRANCHE)

    async def _await_adjudications(self) -> bool:
        """Waits for people to settle the holds; tells whether there is late evidence."""
        if not self._state.evidence[str(MAIN_TRANCHE)].counts.get("held", 0):
            return False
        until = workflow.now() + timedelta(hours=self._plan().hold_wait_hours)
        self._wait_for("hold", "adjudication", stamp(until))
        try:
            await workflow.wait_condition(
                lambda: self._state.open_holds == 0, timeout=until - workflow.now(), timeout_summary="holds"
            )
        except TimeoutError:
            await self._steps.provisioning(Screening.undo_screening, self._batch_step())
            self._state.counts["not_eligible"] = self._state.open_holds
            self._state.open_holds = 0
        self._wait_for("none")
        await self._seal_evidence(LATE_TRANCHE)
        return True

    async def _activate_wave(self, wave: Wave, tranche: int) -> None:
        if 0 < self._plan().approve_from_wave <= wave.wave:
            await self._pass_gate(f"wave/{wave.wave}", self._evidence_digest(tranche), terms_of="wave")
        step = self._wave_step(wave, tranche)
        shown = self._state.waves[wave.wave - 1]
        await self._steps.provisioning(
            Screening.apply_list_changes,
            ApplyListChanges(batch_id=step.batch_id, fence=step.fence, tranche=tranche, wave=wave.wave),
        )
        await self._steps.provisioning(Activation.open_wave, step)
        shown.state = "opening"
        before = self._state.counts.get("active", 0)
        await self._run_shards(
            "activate", offset=wave.offset, length=wave.length, tranche=tranche, wave=wave.wave
        )
        shown.wallets, shown.state = self._state.counts.get("active", 0) - before, "soaking"
        await self._steps.provisioning(Activation.announce_wave, step)
        await self._soak(wave)
        health = await self._steps.provisioning(Activation.check_wave, step)
        shown.state = "passed" if health.healthy else "failed"
        self._state.waves_done += 1
        self._publish()
        if not health.healthy:
            raise EndEarly("rolled_back", reasons=health.reasons)

    async def _soak(self, wave: Wave) -> None:
        soak = timedelta(seconds=self._plan().soak_seconds)
        if soak:
            self._wait_for("soak", f"wave/{wave.wave}", stamp(workflow.now() + soak))
            await workflow.sleep(soak, summary=f"wave {wave.wave} soaks")
            self._wait_for("none")

    async def _pass_gate(self, gate: str, digest: str, *, terms_of: str = "") -> None:
        """Passes where nobody is asked or the gate was passed before; leaves early where it is refused."""
        terms = self._plan().gates.get(terms_of or gate)
        if terms is None or f"{gate}:{digest}" in self._state.gates_passed:
            return
        outcome = await self._gates.await_decision(gate, digest, terms)
        if outcome != "approved":
            raise EndEarly(outcome, reasons=[f"gate {gate}: {outcome}"])
        await self._hold_while_paused()

    async def _hold_while_paused(self) -> None:
        async with self._resuming:
            if not self._state.paused:
                return
            gate = f"resume/{self._state.pauses}"
            plan = self._plan()
            outcome = await self._gates.await_decision(gate, plan.plan_digest, plan.gates["resume"])
            if outcome != "approved":
                raise EndEarly(outcome, reasons=[f"gate {gate}: {outcome}"])
            self._state.paused = False

    async def _open_resume_gate(self) -> None:
        """Lets a resume be signed at once, whatever the batch is doing just now."""
        await workflow.wait_condition(lambda: self._state.plan is not None or self._state.ending)
        if self._state.plan is not None and not self._state.ending:
            gate = f"resume/{self._state.pauses}"
            await self._gates.open(gate, self._plan().plan_digest, self._plan().gates["resume"])

    async def _seal_evidence(self, tranche: int) -> None:
        sealed = await self._steps.provisioning(Screening.seal_evidence, self._tranche_step(tranche))
        self._state.evidence[str(tranche)] = sealed
        counts = self._state.counts
        if tranche == MAIN_TRANCHE:
            counts.update({name: sealed.counts.get(name, 0) for name in ("clear", "cleared", "refused")})
            self._state.open_holds = sealed.counts.get("held", 0)
        else:
            counts["cleared"] = counts.get("cleared", 0) + sealed.counts.get("cleared", 0)
            counts["not_eligible"] = counts.get("not_eligible", 0) + sealed.counts.get("refused", 0)
        self._publish()

    async def _run_shards(
        self, stage: str, *, offset: int, length: int, tranche: int = MAIN_TRANCHE, wave: int = 0
    ) -> None:
        """Runs a stage over a range in groups of shards, each group small enough for one run's history."""
        shards = plan_shards(offset=offset, length=length)
        window = ShardWindow(
            batch_id=self._state.batch_id, fence=self._state.fence, checkpoint=self._hold_while_paused
        )
        while self._state.shards_done < len(shards):
            group = shards[self._state.shards_done :][:SHARDS_PER_RUN]
            counts = await window.run(group, stage=stage, tranche=tranche, wave=wave)
            for name in counts.keys() & {"ready", "active"}:
                self._state.counts[name] = self._state.counts.get(name, 0) + counts[name]
            self._state.counts["ready"] = self._state.counts.get("ready", 0) - counts.get("active", 0)
            self._state.shards_done += len(group)
            self._publish()
            if self._state.shards_done < len(shards):
                await self._renew_if_long()
        self._state.shards_done = 0

    async def _renew_if_long(self) -> None:
        """Continues as new where no child is open and no handler runs, long before the history is full."""
        info = workflow.info()
        if info.is_continue_as_new_suggested() or info.get_current_history_length() > RUN_EVENTS_MAX:
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(args=[self._state])

    async def _leave_early(self, early: EndEarly) -> dict[str, Any]:
        self._state.ending, self._state.waiting = True, Waiting()
        self._state.services.clear()
        self._publish()
        await self._undoing.undo(early.cause)
        return await self._ending.close(early)

    def _begin_with(self, state: BatchState) -> None:
        self._state = state
        self._showing = Showing(state)
        self._publish = self._showing.publish
        self._steps = Steps(self._note_service)
        self._gates = ApprovalGates(state, self._steps, self._publish)
        self._desk = MessageDesk(state, self._steps, self._publish, self._open_resume_gate)
        self._undoing = Undoing(state, self._steps, self._publish)
        self._ending = Ending(state, self._steps, self._publish)
        self._resuming = asyncio.Lock()

    def _abort_is_approved(self) -> bool:
        standing = self._state.gates.get("rollback")
        return standing is not None and standing.satisfied

    def _plan(self) -> PlannedBatch:
        assert self._state.plan is not None, "a stage after review has a plan"  # noqa: S101 - an invariant
        return self._state.plan

    def _main_wave_count(self) -> int:
        return len(plan_waves(count=self._state.subject_count, percents=self._plan().waves_percent))

    def _evidence_digest(self, tranche: int) -> str:
        return self._state.evidence[str(tranche)].evidence_digest

    def _batch_step(self) -> BatchStep:
        return BatchStep(batch_id=self._state.batch_id, fence=self._state.fence)

    def _tranche_step(self, tranche: int) -> TrancheStep:
        return TrancheStep(batch_id=self._state.batch_id, fence=self._state.fence, tranche=tranche)

    def _wave_step(self, wave: Wave, tranche: int) -> WaveStep:
        return WaveStep(
            batch_id=self._state.batch_id,
            fence=self._state.fence,
            wave=wave.wave,
            tranche=tranche,
            offset=wave.offset,
            length=wave.length,
            percent=wave.percent,
        )

    def _wait_for(self, kind: str, name: str = "", until: str = "") -> None:
        self._state.waiting = Waiting(kind=kind, name=name, until=until)
        self._publish()
