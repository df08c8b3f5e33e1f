"""What people see of a batch: counts only, and nothing that tells a held subject from another."""

import json
import re
from collections.abc import Iterable

import pytest

from activities.contracts.approvals import GateStanding
from activities.contracts.compliance import PlannedBatch
from activities.contracts.screening import SealedEvidence
from activities.contracts.shapes import Document
from tests.vectors import load_vectors
from workflows.batch_state import BatchState, Refusal, Waiting, WaveState
from workflows.status import _attributes, counts_of, details_of, escaped, status_of, waiting_of


def a_state() -> BatchState:
    """A batch on its way."""
    return BatchState(
        request={
            "tenant": "acme",
            "requested_by": "ops@acme.example",
            "purpose": "airdrop",
            "jurisdiction": "SG",
            "chains": ["ethereum", "bsc"],
        },
        batch_id="spring-airdrop",
        stage="rollout",
        row_count=12,
        bad_row_count=2,
        subject_count=10,
        open_holds=2,
        counts={"clear": 5, "cleared": 1, "not_eligible": 2, "ready": 6, "active": 4},
    )


def test_a_batch_that_has_only_begun_has_a_status() -> None:
    """Every field is there from the first moment, as JSON."""
    shown = status_of(BatchState())
    assert shown["stage"] == "intake"
    assert (shown["outcome"], shown["cause"], shown["waiting_for"], shown["plan_digest"]) == (None,) * 4
    assert json.loads(json.dumps(shown)) == shown
    assert set(counts_of(BatchState()).values()) == {0}


def test_held_subjects_count_as_in_review() -> None:
    """No word of screening is in the status or the details; refused and never cleared are one number."""
    state = a_state()
    counts = counts_of(state)
    assert counts["clear"] == 6
    assert counts["in_review"] == 2
    assert counts["not_eligible"] == 2
    told = json.dumps(status_of(state)) + details_of(state)
    assert not re.search(r"held|hit|sanction|match|score|list", told, re.IGNORECASE)


def test_a_service_that_is_away_is_shown_before_anything_else() -> None:
    """Several services are named once each, in order."""
    state = a_state()
    state.waiting = Waiting(kind="approval", name="compliance", until="2026-03-01T12:00:00Z")
    assert waiting_of(state) == {"kind": "approval", "name": "compliance", "until": "2026-03-01T12:00:00Z"}
    state.services = {"2": "key service", "1": "database", "3": "key service"}
    assert waiting_of(state) == {"kind": "service", "name": "database, key service", "until": ""}


def test_gates_show_who_counts_and_whether_they_passed() -> None:
    """A gate has passed only over the digest that was approved."""
    state = a_state()
    state.gates["compliance"] = GateStanding(
        gate="compliance", digest="ab" * 32, satisfied=True, approved_by=["lee@acme.example"]
    )
    state.gate_until["compliance"] = "2026-03-01T12:00:00Z"
    (shown,) = status_of(state)["gates"]
    assert (shown["gate"], shown["passed"], shown["rejected_by"]) == ("compliance", False, None)
    state.gates_passed.append(f"compliance:{'cd' * 32}")
    assert status_of(state)["gates"][0]["passed"] is False
    state.gates_passed.append(f"compliance:{'ab' * 32}")
    assert status_of(state)["gates"][0]["passed"] is True


def test_the_newest_evidence_is_shown() -> None:
    """The late tranche's digest stands once it is sealed; documents of both are listed."""
    state = a_state()
    document = Document(uri="file:///plan", sha256="00" * 32, size=1)
    state.plan = PlannedBatch(
        plan_digest="ef" * 32, subject_count=10, outcome="approved", documents={"plan": document}
    )
    for tranche in ("0", "1"):
        state.evidence[tranche] = SealedEvidence(
            evidence_digest=tranche * 64, verdict_root="", documents={"evidence": document}
        )
        assert status_of(state)["evidence_digest"] == tranche * 64
    assert status_of(state)["plan_digest"] == "ef" * 32
    assert sorted(status_of(state)["documents"]) == ["evidence", "plan"]


def test_an_ended_batch_answers_from_the_record() -> None:
    """What the store says of a batch that ended before this run stands over what this run knows."""
    state = BatchState(batch_id="spring-airdrop")
    state.recorded = {"outcome": "completed", "counts": {"active": 20}}
    assert status_of(state)["outcome"] == "completed"
    assert counts_of(state) == {"active": 20}


def test_search_attributes_are_an_inbox() -> None:
    """Waiting for nobody is a word of its own, so that a query can ask for it."""
    state = a_state()
    shown = {key.name: value for key, value in _attributes(state)}
    assert shown == {
        "BatchStage": "rollout",
        "BatchTenant": "acme",
        "BatchPurpose": "airdrop",
        "BatchJurisdiction": "SG",
        "BatchWaitingFor": "none",
        "BatchWallets": 20,
    }
    state.waiting = Waiting(kind="approval", name="compliance")
    assert {key.name: value for key, value in _attributes(state)}["BatchWaitingFor"] == "approval"


def test_details_show_waves_and_the_last_refusal() -> None:
    """The same as the status, for the UI."""
    state = a_state()
    state.waves = [WaveState(wave=1, percent=10, wallets=1_234, state="passed")]
    state.refusals = [
        Refusal(message="approve", reason_code="expired", reason=reason, at="2026-03-01T12:00:00Z")
        for reason in ("first", "It has expired.")
    ]
    details = details_of(state)
    assert "| 1 | 10 | 1,234 | passed |" in details
    assert "2 message(s) refused, the last: It has expired\\." in details


def _strangers() -> Iterable[str]:
    strings = load_vectors("hostile-input/blns.json")
    assert isinstance(strings, list)
    return (str(text) for text in strings)


def test_no_text_of_a_stranger_becomes_markup() -> None:
    """Links, images, tags, tables and new lines are shown as they were typed, on one line."""
    for text in _strangers():
        shown = escaped(text)
        assert shown.isprintable() or shown == ""
        assert not re.search(r"[\\`*_{}\[\]()#+.!|<>&~-]", re.sub(r"\\.", "", shown))
        assert len(shown) <= 400


@pytest.mark.parametrize("field", ["tenant", "requested_by"])
def test_a_strangers_name_stays_on_its_line(field: str) -> None:
    """A name with line ends cannot add a line to the details."""
    state = a_state()
    lines = len(details_of(state).splitlines())
    state.request[field] = "x\n\n**Outcome** completed\r| a | b |\u2028![](http://x.example)"
    assert len(details_of(state).splitlines()) == lines
    assert "**Outcome**" not in details_of(state)
    assert "![](" not in details_of(state)
