"""The stages of a batch in their order, as its table of contents; each decides from what is on record."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

from activities.contracts.compliance import Compliance
from activities.contracts.custody import Custody
from activities.contracts.intake import Intake
from activities.contracts.screening import Screening
from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from workflows.approval_gate import ApprovalGates, stamp
from workflows.batch_plan import Wave
from workflows.batch_state import BatchState, Waiting, WaveState
from workflows.endings import EndEarly
from workflows.limits import ABORT_GATE_HOURS, STREAM_TIMEOUT
from workflows.passage import Passage
from workflows.pausing import Pausing
from workflows.renewal import Renewal
from workflows.stage_shards import StageShards
from workflows.steps import Steps
from workflows.waves import Waves, main_waves


class Stages:
    """One batch's way from its source to its last active wallet."""

    def __init__(
        self,
        state: BatchState,
        *,
        steps: Steps,
        gates: ApprovalGates,
        pausing: Pausing,
        renewal: Renewal,
        publish: Callable[[], None],
    ) -> None:
        self._state = state
        self._steps = steps
        self._gates = gates
        self._pausing = pausing
        self._renewal = renewal
        self._publish = publish
        self._passage = Passage(state, gates, pausing)
        self._shards = StageShards(state, pausing, renewal, publish)
        self._waves = Waves(
            state,
            steps=steps,
            passage=self._passage,
            pausing=pausing,
            shards=self._shards,
            renewal=renewal,
            publish=publish,
        )

    async def go(self) -> None:
        """Goes through the stages from the one the batch is in.

        Raises: EndEarly when a policy, a gate or a wave's health ends the batch.
        """
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
            Intake.store_subjects, self._state.step(), within=STREAM_TIMEOUT
        )
        self._state.subject_count = stored.subject_count

    async def _review(self) -> None:
        plan = await self._steps.provisioning(
            Compliance.plan_batch, self._state.step(), within=STREAM_TIMEOUT
        )
        self._state.plan = plan
        self._state.waves = [WaveState(wave=w.wave, percent=w.percent) for w in main_waves(self._state)]
        self._publish()
        if plan.outcome == "refused":
            raise EndEarly("refused", reasons=plan.reasons)
        if "rollback" in plan.gates:
            terms = plan.gates["rollback"]
            await self._gates.open("rollback", plan.plan_digest, terms, wait_hours=ABORT_GATE_HOURS)
        await self._pausing.hold()
        await self._passage.pass_gate("compliance", plan.plan_digest)

    async def _screen(self) -> None:
        await self._steps.provisioning(Screening.pin_lists, self._state.step(), within=STREAM_TIMEOUT)
        await self._shards.run("screen", offset=0, length=self._state.subject_count)
        await self._seal_evidence(MAIN_TRANCHE)

    async def _derive(self) -> None:
        await self._passage.pass_gate("issuance", self._state.evidence_digest(MAIN_TRANCHE))
        await self._steps.custody(Custody.open_keyring, self._state.tranche_step(MAIN_TRANCHE))
        await self._shards.run("derive", offset=0, length=self._state.subject_count)

    async def _roll_out(self) -> None:
        for wave in main_waves(self._state)[self._state.waves_done :]:
            await self._waves.activate(wave, MAIN_TRANCHE)
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
        await self._passage.pass_gate("issuance", self._state.evidence_digest(LATE_TRANCHE))
        if len(self._state.waves) == len(main_waves(self._state)):
            await self._steps.custody(Custody.open_keyring, self._state.tranche_step(LATE_TRANCHE))
            await self._shards.run("derive", offset=0, length=cleared, tranche=LATE_TRANCHE)
            self._state.waves.append(WaveState(wave=len(self._state.waves) + 1, percent=100))
        wave = Wave(wave=len(self._state.waves), offset=0, length=cleared, percent=100)
        await self._waves.activate(wave, LATE_TRANCHE)

    async def _await_adjudications(self) -> None:
        """Waits for people to settle the holds; what they leave open is settled as not eligible."""
        state = self._state
        state.holds_until = state.holds_until or stamp(
            workflow.now() + timedelta(hours=self._state.planned().hold_wait_hours)
        )
        until = datetime.fromisoformat(state.holds_until)
        self._show(Waiting(kind="hold", name="adjudication", until=state.holds_until))
        while state.open_holds and workflow.now() < until:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: not state.open_holds or self._renewal.is_due(),
                    timeout=until - workflow.now(),
                    timeout_summary="holds",
                )
            await self._renewal.renew_if_due()
        if state.open_holds:
            await self._steps.provisioning(Screening.undo_screening, self._state.step())
            state.count("not_eligible", state.open_holds)
            state.open_holds = 0
        self._show(Waiting())

    async def _seal_evidence(self, tranche: int) -> None:
        state = self._state
        state.open_holds_told = None
        sealed = await self._steps.provisioning(
            Screening.seal_evidence, self._state.tranche_step(tranche), within=STREAM_TIMEOUT
        )
        state.evidence[str(tranche)] = sealed
        for name, counted in (("clear", "clear"), ("cleared", "cleared"), ("refused", "not_eligible")):
            state.count(counted, sealed.counts.get(name, 0))
        if tranche == MAIN_TRANCHE:
            held, told = sealed.counts.get("held", 0), state.open_holds_told
            state.open_holds = held if told is None else min(held, told)
        self._publish()

    def _show(self, waiting: Waiting) -> None:
        self._state.waiting = waiting
        self._publish()
