"""Batches that the policy refuses or that stand still; every other way out stands in `endings_table`."""

from infra.demo.cast import WALLETS
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office, all_of

ALL_GATES: Json = {
    "jurisdiction": "SG",
    "rollout": {"waves_percent": [10, 100], "soak_seconds": 0, "approve_from_wave": 1},
}
"""Gates at compliance, issuance and each wave: of five subjects the first wave takes one."""


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
