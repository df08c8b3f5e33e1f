"""What a fault is, and what is known of it afterwards."""

from dataclasses import dataclass
from typing import Final

KILLED: Final = "killed"
"""Ended with SIGKILL, its children with it, and started again."""

WORKER_AT_WORK: Final = "worker at work"
"""The victim that is chosen when the moment has come: the worker whose turn it is."""

WORKERS: Final = ("provisioning-worker", "custody-worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One harm: what happens to whom, when, and for how long.

    `mark` is the audit entry after which it falls; without one it falls after the first progress since the
    last fault. `delay_seconds` is how long after that.
    """

    kind: str
    victim: str
    delay_seconds: float
    mark: str = ""
    lasts_seconds: float = 0.0

    @property
    def name(self) -> str:
        """The fault's row in a table."""
        return f"{self.victim} {self.kind}"


WHERE_IT_HURTS: Final = {"openbao": False, "receiver": True}
"""Victims that only some of a batch needs: whether that is its waves, or all that comes before them."""


def hurts_now(fault: Fault, kinds: frozenset[str]) -> bool:
    """Tells whether a batch with such entries on record needs what the fault would hurt."""
    in_waves = "wave.opened" in kinds
    return WHERE_IT_HURTS.get(fault.victim, in_waves) is in_waves


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What came of a fault: seconds until the victim was back, and until the batch went on.

    `bites` counts what was really hurt where that can be counted; a kill always bites.
    """

    fault: Fault
    batch_id: str
    victim: str
    back_seconds: float
    progress_seconds: float
    bites: int = 1

    @property
    def name(self) -> str:
        """The recovery's row in a table: by the real victim."""
        return f"{self.victim} {self.fault.kind}"

    def __str__(self) -> str:
        when = f"after {self.fault.mark}" if self.fault.mark else "after the first progress"
        return (
            f"{self.name:38} {self.fault.delay_seconds:.2f} s {when:24} bit {self.bites:2}:"
            f" back after {self.back_seconds:5.1f} s, batch went on after {self.progress_seconds:5.1f} s"
        )
