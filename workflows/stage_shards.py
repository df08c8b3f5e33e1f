"""Runs one stage over a range of a batch: in groups of shards that fit one run's history."""

from collections.abc import Callable

from activities.contracts.shapes import MAIN_TRANCHE
from workflows.batch_plan import plan_shards
from workflows.batch_state import BatchState
from workflows.limits import SHARDS_PER_RUN
from workflows.pausing import Pausing
from workflows.renewal import Renewal
from workflows.shard_window import ShardWindow


class StageShards:
    """The shards of one batch; between two groups a run may continue as new."""

    def __init__(
        self, state: BatchState, pausing: Pausing, renewal: Renewal, publish: Callable[[], None]
    ) -> None:
        self._state = state
        self._pausing = pausing
        self._renewal = renewal
        self._publish = publish

    async def run(
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
        self._state.count("ready", counts.get("ready", 0) - active)
        self._state.count("active", active)
        if wave:
            self._state.waves[wave - 1].wallets += active
