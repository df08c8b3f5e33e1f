"""What a run hands on when it continues as new."""

from temporalio.converter import DataConverter

from activities.contracts.approvals import GateStanding
from activities.contracts.compliance import GateTerms, PlannedBatch
from activities.contracts.screening import SealedEvidence
from activities.contracts.shapes import Document
from workers.raw_inputs import RAW_INPUTS
from workflows.batch_state import BatchState, Refusal, Waiting, WaveState

DOCUMENT = Document(uri="file:///plan.json", sha256="ab" * 32, size=10)
STATE = BatchState(
    request={"batch_id": "spring-airdrop", "rollout": {"waves_percent": [10, 100]}},
    batch_id="spring-airdrop",
    fence=1,
    stage="rollout",
    claimed=True,
    plan=PlannedBatch(
        plan_digest="ab" * 32,
        subject_count=5,
        outcome="needs_approvals",
        gates={"wave": GateTerms(roles={"officer": 1}, wait_hours=1.5, remind_hours=1, escalate_hours=1)},
        documents={"plan": DOCUMENT},
    ),
    evidence={"0": SealedEvidence(evidence_digest="cd" * 32, verdict_root="", documents={"e": DOCUMENT})},
    gates={"wave/1": GateStanding(gate="wave/1", digest="cd" * 32, satisfied=True, approved_by=["lee"])},
    waves=[WaveState(wave=1, percent=10, wallets=1, state="soaking", until="2026-03-01T12:00:00+00:00")],
    open_holds_told=2,
    refusals=[Refusal(message="abort", reason_code="malformed", reason="no", at="2026-03-01T12:00:00Z")],
    approvals=[{"gate": "wave/1", "approver": "lee"}],
    waiting=Waiting(kind="soak", name="wave/1"),
)


async def test_a_state_comes_out_of_its_payload_whole() -> None:
    """Every shape in it is one again, through the converter of the workers."""
    for converter in (DataConverter.default, RAW_INPUTS):
        payloads = await converter.encode([STATE])
        assert await RAW_INPUTS.decode(payloads, [BatchState]) == [STATE]


def test_a_state_is_taken_over_in_place() -> None:
    """A message that came before the run began waits on the object there was."""
    state = BatchState()
    state.take_over(STATE)
    assert state == STATE
