"""Which gates are passed without a question; outside of a run, asking one cannot even begin."""

import asyncio

import pytest
from temporalio.workflow import _NotInWorkflowEventLoopError

from activities.contracts.compliance import GateTerms, PlannedBatch
from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.passage import Passage
from workflows.pausing import Pausing
from workflows.renewal import Renewal
from workflows.steps import Steps

PLAN, OTHER = "ab" * 32, "cd" * 32
TERMS = GateTerms(roles={"wallet_officer": 1}, wait_hours=1, remind_hours=1, escalate_hours=1)


async def _nobody(_name: str, _service: str) -> None:
    """Waits for no service."""


def _passage() -> Passage:
    """The gates of a batch whose plan asks for waves and compliance, and that has passed both once."""
    state = BatchState(
        plan=PlannedBatch(
            plan_digest=PLAN,
            subject_count=5,
            outcome="needs_approvals",
            gates={"compliance": TERMS, "wave": TERMS},
        ),
        gates_passed=[f"compliance:{PLAN}", f"wave/1:{PLAN}"],
    )
    steps = Steps(_nobody)
    gates = ApprovalGates(state, steps, lambda: None, Renewal(state))
    return Passage(state, gates, Pausing(state, gates, steps))


@pytest.mark.parametrize(
    ("gate", "terms_of"),
    [("issuance", ""), ("compliance", ""), ("wave/1", "wave")],
    ids=["nobody is asked", "passed before", "a wave passed before"],
)
def test_gate_without_terms_or_passed_before_is_no_wait(gate: str, terms_of: str) -> None:
    """Where the plan asks nobody, and behind a gate that was passed over this digest, the batch goes on."""
    asyncio.run(_passage().pass_gate(gate, PLAN, terms_of=terms_of))


@pytest.mark.parametrize(
    ("gate", "digest", "terms_of"),
    [("compliance", OTHER, ""), ("wave/2", PLAN, "wave"), ("wave/1", OTHER, "wave")],
    ids=["over another digest", "the next wave", "a wave over another digest"],
)
def test_gate_passed_otherwise_is_asked_again(gate: str, digest: str, terms_of: str) -> None:
    """Having passed one gate opens neither another nor the same over something else."""
    with pytest.raises(_NotInWorkflowEventLoopError):
        asyncio.run(_passage().pass_gate(gate, digest, terms_of=terms_of))
