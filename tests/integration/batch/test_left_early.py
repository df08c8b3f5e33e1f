"""Batches that are left early: by the policy, by people, by a cancellation; undone before the pivot."""

from temporalio.exceptions import CancelledError

from infra.demo.cast import COMPLIANCE, WALLETS
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failed_with
from tests.integration.batch.office import Json, Office, all_of

ALL_GATES: Json = {
    "jurisdiction": "SG",
    "rollout": {"waves_percent": [10, 100], "soak_seconds": 0, "approve_from_wave": 1},
}
"""Gates at compliance, issuance and each wave: of five subjects the first wave takes one."""


async def test_one_rejection_ends_a_batch_at_any_gate(office: Office) -> None:
    """Before the pivot the outcome is rejected and nothing usable is left; after it wallets are frozen."""
    early, middle, late = (office.new_id(word) for word in ("reject1", "reject2", "reject3"))

    async def at_compliance() -> None:
        await office.start(office.request(early))
        gate = await office.at_gate(early, "compliance")
        assert (await office.decide(early, gate, WALLETS, by="reject", decision="reject"))["counted"]
        status = await require_end(office, early, "rejected")
        assert status["reasons"] == ["gate compliance: rejected"]
        assert office.states(early) == {}

    async def at_issuance() -> None:
        await office.start(office.request(middle, **ALL_GATES))
        await office.pass_gate(middle, "compliance")
        gate = await office.at_gate(middle, "issuance")
        await office.decide(middle, gate, COMPLIANCE, by="reject", decision="reject")
        await require_end(office, middle, "rejected")
        assert office.states(middle) == {}
        assert office.accounts(middle) == []

    async def at_the_second_wave() -> None:
        await office.start(office.request(late, **ALL_GATES))
        await office.pass_gates(late, "compliance", "issuance", "wave/1")
        gate = await office.at_gate(late, "wave/2")
        await office.decide(late, gate, WALLETS, by="reject", decision="reject")
        status = await require_end(office, late, "rolled_back")
        assert status["cause"] == "rejected"
        assert office.states(late) == {"frozen": 1, "revoked": 4}
        assert office.accounts(late) == ["kept"]

    await all_of(at_compliance(), at_issuance(), at_the_second_wave())
    assert [office.fence(batch) for batch in (early, middle, late)] == [2, 2, 2]


async def test_policy_refuses_with_every_reason(office: Office) -> None:
    """What a jurisdiction does not allow ends refused, with the fields and the rules in its reasons."""
    purpose, rollout, caps = (office.new_id(word) for word in ("purpose", "lax", "caps"))
    chains = ["ethereum", "bsc", "polygon"]

    async def wrong_purpose() -> None:
        await office.start(office.request(purpose, purpose="institutional"))
        status = await require_end(office, purpose, "refused")
        assert status["reasons"] == ["purpose: this jurisdiction does not allow the purpose"]

    async def laxer_than_the_floors() -> None:
        lax = {"waves_percent": [50, 100], "soak_seconds": 0, "approve_from_wave": 3}
        await office.start(office.request(rollout, jurisdiction="DE", rollout=lax))
        status = await require_end(office, rollout, "refused")
        fields = [reason.partition(":")[0] for reason in status["reasons"]]
        assert fields == [
            "purpose",
            "rollout.waves_percent",
            "rollout.soak_seconds",
            "rollout.approve_from_wave",
        ]

    async def over_the_caps() -> None:
        office.write_policy("TINY", subjects_per_batch=3, wallets_per_subject=2)
        await office.start(office.request(caps, jurisdiction="TINY", chains=chains))
        status = await require_end(office, caps, "refused")
        assert status["reasons"] == [
            "source: at most 3 subjects are allowed in a batch",
            "chains: a subject may have at most 2 wallets with this tenant",
        ]

    await all_of(wrong_purpose(), laxer_than_the_floors(), over_the_caps())
    assert not any(office.states(batch) for batch in (purpose, rollout, caps))


async def test_approved_abort_undoes_or_freezes(office: Office) -> None:
    """An abort before derivation leaves no wallet; one after the first wave freezes what is active."""
    before, after = office.new_id("abort1"), office.new_id("abort2")

    async def before_derivation() -> None:
        await office.start(office.request(before, **ALL_GATES))
        await office.pass_gate(before, "compliance")
        await office.at_gate(before, "issuance")
        await office.abort(before)
        await require_end(office, before, "aborted")
        assert (office.states(before), office.accounts(before)) == ({}, [])

    async def after_the_first_wave() -> None:
        await office.start(office.request(after, **ALL_GATES))
        await office.pass_gates(after, "compliance", "issuance", "wave/1")
        await office.at_gate(after, "wave/2")
        await office.abort(after)
        status = await require_end(office, after, "rolled_back")
        assert status["cause"] == "aborted"
        assert office.states(after) == {"frozen": 1, "revoked": 4}

    await all_of(before_derivation(), after_the_first_wave())


async def test_paused_batch_stands_still_until_resumed(office: Office) -> None:
    """Anyone may pause; what goes on is the resume gate's to decide, and a rejected one ends the batch."""
    resumed, ended = office.new_id("pause1"), office.new_id("pause2")

    async def pause_past_compliance(batch_id: str) -> Json:
        await office.start(office.request(batch_id))
        await office.at_gate(batch_id, "compliance")
        answer = await office.send(batch_id, "pause", {"reason": "a look at the books"})
        assert answer == {"counted": True, "reason_code": "paused", "gate": "resume/1"}
        again = await office.send(batch_id, "pause", {"reason": "once more"})
        assert not again["counted"]
        await office.pass_gate(batch_id, "compliance")
        return await office.at_gate(batch_id, "resume/1")

    async def goes_on() -> None:
        gate = await pause_past_compliance(resumed)
        assert (await office.status(resumed))["paused"]
        assert office.states(resumed) == {}
        assert (await office.decide(resumed, gate, WALLETS, by="resume"))["counted"]
        status = await require_end(office, resumed, "completed")
        assert not status["paused"]

    async def is_not_resumed() -> None:
        gate = await pause_past_compliance(ended)
        await office.decide(ended, gate, WALLETS, by="reject", decision="reject")
        await require_end(office, ended, "rejected")

    await all_of(goes_on(), is_not_resumed())


async def test_cancelled_batch_ends_cancelled_after_its_compensations(office: Office) -> None:
    """Derived wallets are revoked and their account burned behind a raised fence; active ones are frozen."""
    derived, active = office.new_id("cancel1"), office.new_id("cancel2")

    async def before_the_pivot() -> None:
        await office.start(office.request(derived, **ALL_GATES))
        await office.pass_gates(derived, "compliance", "issuance")
        await office.at_gate(derived, "wave/1")
        assert office.states(derived) == {"ready": 5}
        await office.handle(derived).cancel()
        assert isinstance(await failed_with(office.handle(derived)), CancelledError)
        await require_end(office, derived, "cancelled")
        assert (office.states(derived), office.accounts(derived)) == ({"revoked": 5}, ["burned"])

    async def after_the_pivot() -> None:
        await office.start(office.request(active, **ALL_GATES))
        await office.pass_gates(active, "compliance", "issuance", "wave/1")
        await office.at_gate(active, "wave/2")
        cancelled = await office.temporal("workflow", "cancel", "--workflow-id", active)
        assert cancelled.returncode == 0
        assert isinstance(await failed_with(office.handle(active)), CancelledError)
        await require_end(office, active, "cancelled")
        assert office.states(active) == {"frozen": 1, "revoked": 4}

    await all_of(before_the_pivot(), after_the_pivot())
    assert [office.fence(batch) for batch in (derived, active)] == [2, 2]
