"""Reports what sweeps find, as metrics that alerts ask for."""

from opentelemetry import metrics
from temporalio import activity

from activities.contracts.sweeping import FindAbandoned, FoundAbandoned
from activities.sweeping import SweepingActivities

_meter = metrics.get_meter("walletworks")
_terminated = _meter.create_counter("walletworks.batches.terminated")
_unknown = _meter.create_counter("walletworks.batches.unknown")


class ReportedSweeping(SweepingActivities):
    """Counts at each sweep the batches whose workflow is gone: a rise tells that there are some now."""

    @activity.defn
    async def find_abandoned(self, step: FindAbandoned) -> FoundAbandoned:
        """Gives the same as without the counting.

        Raises: ServiceUnavailableError.
        """
        found = await super().find_abandoned(step)
        _terminated.add(len(found.batch_ids))
        _unknown.add(len(found.unknown))
        return found
