"""One batch, from a request to a bundle: reviewed, screened, derived, rolled out in waves, recorded.

Stages are methods that read as the table of contents; gates, messages, shards and undoing have modules
of their own. It decides from what activities recorded, and keeps no state outside `BatchState`.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
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
from workflows.leaving import Leaving
from workflows.limits import ABORT_GATE_HOURS, REQUEST_BYTES_MAX, SHARDS_PER_RUN, STREAM_TIMEOUT
from workflows.message_desk import MessageDesk
from workflows.messages import one_object
from workflows.pausing import Pausing
from workflows.remembering import Remembering
from workflows.renewal import Renewal
from workflows.restoring import Restoring
from workflows.shard_window import ShardWindow
from workflows.status import Showing
from workflows.steps import Steps
from workflows.stopping import require_going_on, to_its_end
from workflows.undoing import Undoing
from workflows.untiring import OvertakenError


@workflow.defn(name="ProvisionBatch")
class ProvisionBatch(BatchMessages):
    """Provisions the wallets of one batch."""

    def __init__(self) -> None:
        self._state = state = BatchState()
        self._publish = Showing(state).publish
        self._steps = Steps(self._note_service)
        self._renewal = Renewal(state)
        self._gates = ApprovalGates(state, self._steps, self._publish, self._renewal)
        self._pausing = Pausing(state, self._gates, self._steps)
        self._remembering = Remembering(state, self._gates, self._pausing, self._publish)
        self._desk = MessageDesk(state, self._steps, self._publish, self._pausing.open_gate)
        self._undoing = Undoing(state, self._steps, self._publish)
        self._ending = Ending(state, self._steps, self._publish, self._gates)
        restoring = Restoring(state, self._steps, self._gates)
        self._leaving = Leaving(state, self._undoing, restoring, self._ending, self._publish)

    @workflow.run
    async def run(self, *inputs: RawValue) -> dict[str, Any]:
        """Gives how the batch ended, after its compensations where it ended early."""
        try:
            recorded = await self._begin(inputs)
        except (ApplicationError, asyncio.CancelledError) as refusal:
            await to_its_end(self._ending.show_refused(refusal))
            raise
        if recorded is not None:
            return await to_its_end(self._ending.show_recorded(recorded))
        provisioning = asyncio.create_task(self._provision())
        try:
            await self._until_done_or_aborted(provisioning)
        except EndEarly as early:
            return await to_its_end(self._leave_early(early, provisioning))
        except asyncio.CancelledError:
            result = await to_its_end(self._leave_early(EndEarly("cancelled"), provisioning))
            return self._unless_own(result, "cancelled", asyncio.CancelledError())
        except FailureError as error:
            failure = as_failure(error)
            cause = EndEarly("failed", reasons=[failure.message])
            result = await to_its_end(self._leave_early(cause, provisioning))
            return self._unless_own(result, "failed", failure)
        return await to_its_end(self._complete(provisioning))

    async def _begin(self, inputs: Sequence[RawValue]) -> dict[str, Any] | None:
        """Takes over the state of the run before, or claims the batch; gives the record of an ended one."""
        info = workflow.info()
        if info.cron_schedule:
            raise InvalidRequestError("a batch runs once: it takes no cron schedule")
        if info.continued_run_id and info.attempt == 1:
            carried = workflow.payload_converter().from_payload(inputs[0].payload, BatchState)
            self._state.take_over(carried)
            return None
        received = one_object(inputs, bytes_max=REQUEST_BYTES_MAX)
        request = parse_request(received)
        if request.batch_id != info.workflow_id:
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
        # A claim that is written and not known of would leave a batch that nobody ends.
        claimed = await to_its_end(self._steps.provisioning(BatchRegister.claim_batch, claim))
        self._state.fence = claimed.fence
        self._state.claimed = claimed.recorded_result is None
        self._state.overtaken = bool(claimed.left_for)
        return claimed.recorded_result

    async def _until_done_or_aborted(self, provisioning: asyncio.Task[None]) -> None:
        """Provisions until done; an approved abort, a cancellation or a failure stops all work."""
        try:
            require_going_on()
            while not provisioning.done() and not self._is_called_off():
                await workflow.wait_condition(
                    lambda: provisioning.done() or self._is_called_off() or self._remembering.is_due
                )
                await self._remembering.remember()
            if not provisioning.done():
                raise EndEarly("failed" if self._state.overtaken else "aborted")
            await provisioning
        finally:
            provisioning.cancel()

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
            await self._renewal.renew_if_due()
            await self._pausing.hold()
            await stages[name]()

    async def _take_in(self) -> None:
        stored = await self._steps.provisioning(
            Intake.store_subjects, self._batch_step(), within=STREAM_TIMEOUT
        )
        self._state.subject_count = stored.subject_count

    async def _review(self) -> None:
        plan = await self._steps.provisioning(
            Compliance.plan_batch, self._batch_step(), within=STREAM_TIMEOUT
        )
        self._state.plan = plan
        self._state.waves = [WaveState(wave=w.wave, percent=w.percent) for w in self._main_waves()]
        self._publish()
        if plan.outcome == "refused":
            raise EndEarly("refused", reasons=plan.reasons)
        if "rollback" in plan.gates:
            terms = plan.gates["rollback"]
            await self._gates.open("rollback", plan.plan_digest, terms, wait_hours=ABORT_GATE_HOURS)
        await self._pausing.hold()
        await self._pass_gate("compliance", plan.plan_digest)

    async def _screen(self) -> None:
        await self._steps.provisioning(Screening.pin_lists, self._batch_step(), within=STREAM_TIMEOUT)
        await self._run_shards("screen", offset=0, length=self._state.subject_count)
        await self._seal_evidence(MAIN_TRANCHE)

    async def _derive(self) -> None:
        await self._pass_gate("issuance", self._evidence_digest(MAIN_TRANCHE))
        await self._steps.custody(Custody.open_keyring, self._tranche_step(MAIN_TRANCHE))
        await self._run_shards("derive", offset=0, length=self._state.subject_count)

    async def _roll_out(self) -> None:
        for wave in self._main_waves()[self._state.waves_done :]:
            await self._activate_wave(wave, MAIN_TRANCHE)
            await self._renewal.renew_if_due()

    async def _settle_holds(self) -> None:
        """Held subjects cleared since the evidence was sealed join one extra last wave, same gates."""
        if str(LATE_TRANCHE) not in self._state.evidence:
            if not self._state.evidence[str(MAIN_TRANCHE)].counts.get("held", 0):
                return
            await self._await_adjudications()
            await self._seal_evidence(LATE_TRANCHE)
        cleared = self._state.evidence[str(LATE_TRANCHE)].counts.get("cleared", 0)
        if not cleared:
            return
        await self._pass_gate("issuance", self._evidence_digest(LATE_TRANCHE))
        if len(self._state.waves) == len(self._main_waves()):
            await self._steps.custody(Custody.open_keyring, self._tranche_step(LATE_TRANCHE))
            await self._run_shards("derive", offset=0, length=cleared, tranche=LATE_TRANCHE)
            self._state.waves.append(WaveState(wave=len(self._state.waves) + 1, percent=100))
        wave = Wave(wave=len(self._state.waves), offset=0, length=cleared, percent=100)
        await self._activate_wave(wave, LATE_TRANCHE)

    async def _await_adjudications(self) -> None:
        """Waits for people to settle the holds; what they leave open is settled as not eligible."""
        state = self._state
        state.holds_until = state.holds_until or stamp(
            workflow.now() + timedelta(hours=self._plan().hold_wait_hours)
        )
        until = datetime.fromisoformat(state.holds_until)
        self._wait_for("hold", "adjudication", state.holds_until)
        while state.open_holds and workflow.now() < until:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: not state.open_holds or self._renewal.is_due(),
                    timeout=until - workflow.now(),
                    timeout_summary="holds",
                )
            await self._renewal.renew_if_due()
        if state.open_holds:
            await self._steps.provisioning(Screening.undo_screening, self._batch_step())
            _add(state.counts, "not_eligible", state.open_holds)
            state.open_holds = 0
        self._wait_for("none")

    async def _activate_wave(self, wave: Wave, tranche: int) -> None:
        """Activates a wave's range, once; a run that goes on later finds it soaking."""
        shown, step = self._state.waves[wave.wave - 1], self._wave_step(wave, tranche)
        if shown.state != "soaking":
            await self._open_wave(step, shown)
            await self._run_shards(
                "activate", offset=wave.offset, length=wave.length, tranche=tranche, wave=wave.wave
            )
            await self._steps.provisioning(Activation.announce_wave, step)
            shown.state = "soaking"
            shown.until = (workflow.now() + timedelta(seconds=self._plan().soak_seconds)).isoformat()
        await self._soak(shown)
        health = await self._steps.provisioning(Activation.check_wave, step, within=STREAM_TIMEOUT)
        shown.state = "passed" if health.healthy else "failed"
        self._state.waves_done += 1
        self._publish()
        if not health.healthy:
            raise EndEarly("rolled_back", reasons=health.reasons)

    async def _open_wave(self, step: WaveStep, shown: WaveState) -> None:
        """A pause holds before the lists are looked at, so that what is activated after it is up to date."""
        await self._pausing.hold()
        if 0 < self._plan().approve_from_wave <= step.wave:
            await self._pass_gate(f"wave/{step.wave}", self._evidence_digest(step.tranche), terms_of="wave")
        changes = ApplyListChanges(
            batch_id=step.batch_id, fence=step.fence, tranche=step.tranche, wave=step.wave
        )
        await self._steps.provisioning(Screening.apply_list_changes, changes, within=STREAM_TIMEOUT)
        await self._steps.provisioning(Activation.open_wave, step)
        shown.state = "opening"
        self._publish()

    async def _soak(self, shown: WaveState) -> None:
        until = datetime.fromisoformat(shown.until)
        while workflow.now() < until:
            self._wait_for("soak", f"wave/{shown.wave}", stamp(until))
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    self._renewal.is_due,
                    timeout=until - workflow.now(),
                    timeout_summary=f"wave {shown.wave} soaks",
                )
            await self._renewal.renew_if_due()
        self._wait_for("none")

    async def _pass_gate(self, gate: str, digest: str, *, terms_of: str = "") -> None:
        """Passes where nobody is asked or the gate was passed before; leaves early where it is refused."""
        terms = self._plan().gates.get(terms_of or gate)
        if terms is None or f"{gate}:{digest}" in self._state.gates_passed:
            return
        outcome = await self._gates.await_decision(gate, digest, terms)
        if outcome != "approved":
            raise EndEarly(outcome, reasons=[f"gate {gate}: {outcome}"])
        await self._pausing.hold()

    async def _seal_evidence(self, tranche: int) -> None:
        state = self._state
        state.open_holds_told = None
        sealed = await self._steps.provisioning(
            Screening.seal_evidence, self._tranche_step(tranche), within=STREAM_TIMEOUT
        )
        state.evidence[str(tranche)] = sealed
        for name, counted in (("clear", "clear"), ("cleared", "cleared"), ("refused", "not_eligible")):
            _add(state.counts, counted, sealed.counts.get(name, 0))
        if tranche == MAIN_TRANCHE:
            held, told = sealed.counts.get("held", 0), state.open_holds_told
            state.open_holds = held if told is None else min(held, told)
        self._publish()

    async def _run_shards(
        self, stage: str, *, offset: int, length: int, tranche: int = MAIN_TRANCHE, wave: int = 0
    ) -> None:
        """Runs a stage over a range in groups of shards, each group small enough for one run's history."""
        state, shards = self._state, plan_shards(offset=offset, length=length)
        window = ShardWindow(
            batch_id=state.batch_id,
            fence=state.fence,
            checkpoint=self._pausing.hold,
            renewal=self._renewal,
        )
        while state.shards_done < len(shards):
            group = shards[state.shards_done :][:SHARDS_PER_RUN]
            counts = await window.run(group, stage=stage, tranche=tranche, wave=wave)
            self._count_wallets(counts, wave)
            state.shards_done += len(group)
            self._publish()
            if state.shards_done < len(shards):
                await self._renewal.renew_if_due()
        state.shards_done = 0

    def _count_wallets(self, counts: dict[str, int], wave: int) -> None:
        """Every active wallet was ready before."""
        active = counts.get("active", 0)
        _add(self._state.counts, "ready", counts.get("ready", 0) - active)
        _add(self._state.counts, "active", active)
        if wave:
            self._state.waves[wave - 1].wallets += active

    async def _leave_early(self, early: EndEarly, provisioning: asyncio.Task[None]) -> dict[str, Any]:
        """The fence first, so that a zombie changes nothing; then children are waited for, and all undone."""
        return await self._leaving.leave(early, lambda: asyncio.gather(provisioning, return_exceptions=True))

    async def _complete(self, provisioning: asyncio.Task[None]) -> dict[str, Any]:
        try:
            return await self._ending.close()
        except OvertakenError:
            early = EndEarly("failed", reasons=["another run took the batch over"])
            return await self._leave_early(early, provisioning)

    def _unless_own(self, result: dict[str, Any], cause: str, otherwise: BaseException) -> dict[str, Any]:
        """Gives the answer where another run had ended or left the batch; else this run ends as it did."""
        if not self._state.recorded and result["cause"] == cause:
            raise otherwise
        return result

    def _is_called_off(self) -> bool:
        """An abort is approved, or this run was told that the batch has ended or is being left already."""
        standing = self._state.gates.get("rollback")
        return self._state.overtaken or (standing is not None and standing.satisfied)

    def _plan(self) -> PlannedBatch:
        assert self._state.plan is not None, "a stage after review has a plan"  # noqa: S101 - an invariant
        return self._state.plan

    def _main_waves(self) -> list[Wave]:
        return plan_waves(count=self._state.subject_count, percents=self._plan().waves_percent)

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


def _add(counts: dict[str, int], name: str, more: int) -> None:
    counts[name] = counts.get(name, 0) + more
