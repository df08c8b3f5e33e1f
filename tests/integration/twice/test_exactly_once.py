"""One batch of 10,000, started by three programs at once, is activated once."""

from tests.integration.batch.office import Office
from tests.integration.twice.large import SUBJECTS, Large
from tests.integration.twice.witness import Change, Witness


def test_three_starters_see_one_result(large: Large) -> None:
    """Whoever started it, and whoever only joined, is told the same."""
    assert large.seen[0] == large.seen[1] == large.seen[2]
    assert (large.seen[0]["outcome"], large.seen[0]["counts"]["active"]) == ("completed", SUBJECTS)


def test_ten_thousand_wallets_are_activated_ten_thousand_times(
    office: Office, witness: Witness, large: Large
) -> None:
    """Counted by PostgreSQL, outside our code: each wallet is made once, becomes ready once, active once."""
    effects = witness.effects(large.batch_id)
    for operation, state in (("INSERT", "derived"), ("UPDATE", "ready"), ("UPDATE", "active")):
        assert effects[Change("wallets", operation, state)] == SUBJECTS
    assert sum(n for change, n in effects.items() if change.relation == "wallets") == 3 * SUBJECTS
    assert effects[Change("batches", "INSERT", "fence 1")] == 1
    assert effects[Change("keyrings", "INSERT", "")] == 1
    assert effects[Change("outbox", "INSERT", "wave.activated")] == 2
    assert effects[Change("audit_entries", "INSERT", "batch.ended")] == 2  # on its own chain and the tenant's
    (distinct,) = office.rows(
        "SELECT count(DISTINCT address) AS n FROM wallets JOIN batches USING (batch_no) WHERE batch_id = :id",
        id=large.batch_id,
    )
    assert distinct.n == SUBJECTS
