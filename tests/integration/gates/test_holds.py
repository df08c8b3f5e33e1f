"""Decisions on held subjects, on the real store."""

from functools import partial

from sqlalchemy import insert

from activities.store.tables import verdicts
from tests.integration.gates.room import (
    ANA,
    HOLD_DIGEST,
    LEE,
    SHOP,
    Desk,
    at_once,
    attempt,
    held_batch,
    on_hold,
    open_step,
    refusal,
    settled,
)
from tests.integration.seeded import PLAN_DIGEST, told


def test_hold_is_settled_by_the_decision_that_fills_its_gate(desk: Desk) -> None:
    """A hold needs the policy's persons; the last of them settles it in the same transaction."""
    batch = held_batch(desk, HOLD_DIGEST, "88" * 32)
    first = desk.activities.record_attempt(on_hold(batch, LEE, "clear"))
    assert (first.counted, first.open_holds, settled(desk, batch)) == (True, 2, [])
    second = desk.activities.record_attempt(on_hold(batch, ANA, "clear"))
    assert (second.open_holds, settled(desk, batch)) == (1, ["clear"])
    entry = told(desk.database, batch.chain, "hold.settled")[0]
    assert (entry["ordinal"], entry["decision"]) == (0, "clear")
    assert refusal(desk, on_hold(batch, SHOP, "clear")) == "gate_not_open"


def test_each_hold_is_its_own_batchs_and_its_own(desk: Desk) -> None:
    """The same digest at another batch, and another subject's settled hold, settle and open nothing here."""
    other, batch = (held_batch(desk, HOLD_DIGEST, "88" * 32) for _ in range(2))
    with desk.database.transaction() as connection:
        clear = {"ordinal": 2, "verdict": "clear", "score": 0.0, "leaf": bytes(32)}
        connection.execute(insert(verdicts).values(batch_no=batch.batch_no, **clear))
    for settling, left in ((other, 1), (batch, 1)):
        desk.activities.record_attempt(on_hold(settling, LEE, "clear"))
        assert desk.activities.record_attempt(on_hold(settling, ANA, "clear")).open_holds == left
    assert (settled(desk, other), settled(desk, batch)) == (["clear"], ["clear"])
    last = desk.activities.record_attempt(on_hold(batch, ANA, "refuse", "88" * 32))
    assert (last.counted, last.open_holds, settled(desk, batch)) == (True, 0, ["clear", "refuse"])


def test_decision_at_another_gate_over_a_holds_digest_settles_nothing(desk: Desk) -> None:
    """A hold is settled by statements that name it, whatever else is decided over the same digest."""
    batch = held_batch(desk, PLAN_DIGEST)
    desk.activities.open_gate(open_step(batch))
    answer = desk.activities.record_attempt(attempt(batch, LEE, decision="reject", message="reject"))
    assert answer.standing is not None
    assert (answer.standing.gate, answer.standing.rejected_by) == ("compliance", LEE.name)
    assert (answer.open_holds, settled(desk, batch)) == (1, [])


def test_one_refusal_settles_a_hold_for_good(desk: Desk) -> None:
    """Between different decisions on a hold the refusal is final."""
    batch = held_batch(desk, HOLD_DIGEST)
    desk.activities.record_attempt(on_hold(batch, LEE, "clear"))
    answer = desk.activities.record_attempt(on_hold(batch, ANA, "refuse"))
    assert (answer.open_holds, settled(desk, batch)) == (0, ["refuse"])
    late = on_hold(batch, LEE, "clear")
    assert refusal(desk, late) == "gate_not_open"


def test_concurrent_decisions_settle_a_hold_once(desk: Desk) -> None:
    """Decisions that arrive together settle the hold once."""
    batch = held_batch(desk, HOLD_DIGEST)
    steps = [on_hold(batch, LEE, "clear"), on_hold(batch, ANA, "clear")]
    answers = at_once([partial(desk.activities.record_attempt, step) for step in steps])
    assert sorted(answer.open_holds for answer in answers) == [0, 1]
    assert settled(desk, batch) == ["clear"]
    assert len(told(desk.database, batch.chain, "hold.settled")) == 1
