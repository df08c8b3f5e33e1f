"""A wave: opened after its gate and the newest lists, activated, announced, soaked, checked."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

from activities.contracts.activation import Activation, WaveStep
from activities.contracts.screening import ApplyListChanges, Screening
from workflows.approval_gate import stamp
from workflows.batch_plan import Wave, plan_waves
from workflows.batch_state import BatchState, Waiting, WaveState
from workflows.endings import EndEarly
from workflows.limits import STREAM_TIMEOUT
from workflows.passage import Passage
from workflows.pausing import Pausing
from workflows.renewal import Renewal
from workflows.stage_shards import StageShards
from workflows.steps import Steps


class Waves:
    """The waves of one batch, one at a time."""

    def __init__(
        self,
        state: BatchState,
        *,
        steps: Steps,
        passage: Passage,
        pausing: Pausing,
        shards: StageShards,
        renewal: Renewal,
        publish: Callable[[], None],
    ) -> None:
        self._state = state
        self._steps = steps
        self._passage = passage
        self._pausing = pausing
        self._shards = shards
        self._renewal = renewal
        self._publish = publish

    async def activate(self, wave: Wave, tranche: int) -> None:
        """Activates a wave's range, once; a run that goes on later finds it soaking."""
        shown, step = self._state.waves[wave.wave - 1], self._step(wave, tranche)
        if shown.state != "soaking":
            await self._open(step, shown)
            await self._shards.run(
                "activate", offset=wave.offset, length=wave.length, tranche=tranche, wave=wave.wave
            )
            await self._steps.provisioning(Activation.announce_wave, step)
            shown.state = "soaking"
            shown.until = (workflow.now() + timedelta(seconds=self._state.planned().soak_seconds)).isoformat()
        await self._soak(shown)
        health = await self._steps.provisioning(Activation.check_wave, step, within=STREAM_TIMEOUT)
        shown.state = "passed" if health.healthy else "failed"
        self._state.waves_done += 1
        self._publish()
        if not health.healthy:
            raise EndEarly("rolled_back", reasons=health.reasons)

    async def _open(self, step: WaveStep, shown: WaveState) -> None:
        """A pause holds before the lists are looked at, so that what is activated after it is up to date."""
        await self._pausing.hold()
        if 0 < self._state.planned().approve_from_wave <= step.wave:
            digest = self._state.evidence_digest(step.tranche)
            await self._passage.pass_gate(f"wave/{step.wave}", digest, terms_of="wave")
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
            self._show(Waiting(kind="soak", name=f"wave/{shown.wave}", until=stamp(until)))
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    self._renewal.is_due,
                    timeout=until - workflow.now(),
                    timeout_summary=f"wave {shown.wave} soaks",
                )
            await self._renewal.renew_if_due()
        self._show(Waiting())

    def _step(self, wave: Wave, tranche: int) -> WaveStep:
        return WaveStep(
            batch_id=self._state.batch_id,
            fence=self._state.fence,
            wave=wave.wave,
            tranche=tranche,
            offset=wave.offset,
            length=wave.length,
            percent=wave.percent,
        )

    def _show(self, waiting: Waiting) -> None:
        self._state.waiting = waiting
        self._publish()


def main_waves(state: BatchState) -> list[Wave]:
    """Gives the waves of the main tranche as they are planned."""
    return plan_waves(count=state.subject_count, percents=state.planned().waves_percent)
