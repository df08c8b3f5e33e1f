"""The register: an id is claimed once for ever, the fence rises by one, an end is final."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from activities.contracts.batches import (
    ClaimBatch,
    FinishBatch,
    FinishedBatch,
    RaisedFence,
    RaiseFence,
    RecalledBatch,
)
from activities.contracts.shapes import BatchStep, Undone, batch_chain, shard_chain, tenant_chain
from activities.custody import keyrings
from activities.failures import (
    ConflictError,
    InvalidRequestError,
    ServiceUnavailableError,
    StaleFenceError,
)
from activities.register import BatchRegisterActivities
from activities.store import audit
from activities.store.database import hold_fence
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import a_batch, new_id, run, some_wallets
from tests.requests import a_request


@pytest.fixture
def register(databases: Databases) -> BatchRegisterActivities:
    """The register as the provisioning worker has it."""
    return BatchRegisterActivities(database=databases.provisioning)


def claim(batch_id: str, run_id: str = "run-1", **changes: Any) -> ClaimBatch:
    """A claim of a valid request."""
    return ClaimBatch(request=a_request(batch_id, **changes), claimed_by_run=run_id)


def bodies(databases: Databases, chain: str) -> list[Any]:
    """The facts of a chain's entries in order."""
    rows = run(
        databases.console, "SELECT body FROM audit_entries WHERE chain = :chain ORDER BY seq", chain=chain
    )
    return [json.loads(row.body) for row in rows]


def kinds(databases: Databases, chain: str) -> list[str]:
    """The kinds of a chain's entries in order."""
    return [body["kind"] for body in bodies(databases, chain)]


def ending(batch_id: str, outcome: str = "completed", fence: int = 1) -> FinishBatch:
    """A result as the workflow makes it."""
    result = {"batch_id": batch_id, "outcome": outcome, "counts": {"active": 3}, "reasons": []}
    return FinishBatch(batch_id=batch_id, fence=fence, result=result)


def write_shard(databases: Databases, batch_id: str, shard: int) -> audit.AuditHead:
    """Appends to a shard's chain as a slice does."""
    with databases.provisioning.transaction() as connection:
        return audit.append(
            connection, shard_chain(batch_id, "screen", shard), kind="slice.outcome", facts={}
        )


def test_first_claim_gives_the_first_fence(databases: Databases, register: BatchRegisterActivities) -> None:
    """A new id is ours, under fence 1, with one audit entry."""
    batch_id = new_id()
    claimed = register.claim_batch(claim(batch_id))
    assert (claimed.batch_id, claimed.fence, claimed.recorded_result) == (batch_id, 1, None)
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed"]
    stored = run(databases.owner, "SELECT request, tenant FROM batches WHERE batch_id = :id", id=batch_id)[0]
    assert stored.request == a_request(batch_id)


def test_same_run_claims_again_and_gets_the_same_answer(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """A claim whose answer was lost is repeated without a second entry."""
    batch_id = new_id()
    assert register.claim_batch(claim(batch_id)) == register.claim_batch(claim(batch_id))
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed"]


def test_same_run_after_its_fence_was_raised_gets_the_current_one(register: BatchRegisterActivities) -> None:
    """The answer is what stands, not what stood."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.raise_fence(RaiseFence(batch_id=batch_id, fence=1, reason="aborted"))
    assert register.claim_batch(claim(batch_id)).fence == 2


def test_ended_batch_answers_from_the_record(register: BatchRegisterActivities) -> None:
    """The same request, even long after Temporal forgot the run, gets the recorded result."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.finish_batch(ending(batch_id))
    again = register.claim_batch(claim(batch_id, "run-2"))
    assert again.recorded_result == ending(batch_id).result


def test_recalling_claims_nothing(databases: Databases, register: BatchRegisterActivities) -> None:
    """An id that nobody claimed, or that has not ended, has no result; asking leaves no row."""
    batch_id = new_id()
    assert register.recall_batch(claim(batch_id)) == RecalledBatch()
    assert run(databases.owner, "SELECT 1 FROM batches WHERE batch_id = :id", id=batch_id) == []
    register.claim_batch(claim(batch_id))
    assert register.recall_batch(claim(batch_id, "run-2")) == RecalledBatch()


def test_recalling_gives_the_result_of_the_same_request_only(register: BatchRegisterActivities) -> None:
    """The same request is answered from the record, another one is a conflict that names its fields."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.finish_batch(ending(batch_id))
    assert register.recall_batch(claim(batch_id, "run-2")).recorded_result == ending(batch_id).result
    with pytest.raises(ConflictError, match=r"differ: tenant$"):
        register.recall_batch(claim(batch_id, tenant="other"))


def test_another_unfinished_run_is_a_conflict(register: BatchRegisterActivities) -> None:
    """Two runs never work one batch."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    with pytest.raises(ConflictError, match="another run that has not ended"):
        register.claim_batch(claim(batch_id, "run-2"))


def test_other_content_is_a_conflict_that_names_fields_only(register: BatchRegisterActivities) -> None:
    """The answer says which fields differ, never what either holds."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    other = claim(
        batch_id,
        purpose="campaign",
        source={"uri": "inbox://secret-name.csv", "sha256": "0" * 64},
        rollout={"waves_percent": [100]},
    )
    with pytest.raises(ConflictError) as caught:
        register.claim_batch(other)
    assert str(caught.value).endswith("fields that differ: purpose, rollout, source.sha256, source.uri")


def test_ended_batch_refuses_other_content(register: BatchRegisterActivities) -> None:
    """An id is claimed for ever, by its content."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.finish_batch(ending(batch_id))
    with pytest.raises(ConflictError, match="differ: tenant"):
        register.claim_batch(claim(batch_id, tenant="other"))


def test_invalid_request_does_not_burn_the_id(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """A refused request leaves no row."""
    batch_id = new_id()
    with pytest.raises(InvalidRequestError):
        register.claim_batch(claim(batch_id, chains=["dogecoin"]))
    assert run(databases.owner, "SELECT 1 FROM batches WHERE batch_id = :id", id=batch_id) == []


def test_of_many_runs_at_once_one_claims(databases: Databases, register: BatchRegisterActivities) -> None:
    """Claims of one id at the same moment leave one row and one winner."""
    batch_id, together = new_id(), threading.Barrier(6)

    def attempt(number: int) -> str:
        together.wait()
        try:
            register.claim_batch(claim(batch_id, f"run-{number}"))
        except ConflictError:
            return "conflict"
        return "claimed"

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(attempt, range(6)))
    assert answers == ["claimed", *["conflict"] * 5]
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed"]


def test_raising_twice_by_the_same_step_raises_once(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """A raise whose answer was lost is found done."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    step = RaiseFence(batch_id=batch_id, fence=1, reason="aborted")
    assert register.raise_fence(step) == register.raise_fence(step)
    entries = bodies(databases, batch_chain(batch_id))
    assert entries[1:] == [{"kind": "fence.raised", "fence": 2, "reason": "aborted"}]


def test_raising_from_a_fence_long_gone_joins_those_who_raised_it(register: BatchRegisterActivities) -> None:
    """A run that was reset cannot raise past those that came after it; from a fence to come nobody can."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    for fence, reason in ((1, "rejected"), (2, "terminated")):
        register.raise_fence(RaiseFence(batch_id=batch_id, fence=fence, reason=reason))
    joined = register.raise_fence(RaiseFence(batch_id=batch_id, fence=1, reason="aborted"))
    assert joined == RaisedFence(fence=3, left_for="rejected")
    assert register.claim_batch(claim(batch_id)).left_for == "rejected"
    with pytest.raises(StaleFenceError):
        register.raise_fence(RaiseFence(batch_id=batch_id, fence=4, reason="aborted"))


def test_raising_after_the_end_is_answered_from_the_record(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """Nothing undoes a batch that has ended, and its record takes no more entries."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.finish_batch(ending(batch_id))
    raised = register.raise_fence(RaiseFence(batch_id=batch_id, fence=1, reason="aborted"))
    assert raised == RaisedFence(fence=1, recorded_result=ending(batch_id).result)
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed", "batch.ended"]


def test_ended_batch_holds_no_fence(databases: Databases, register: BatchRegisterActivities) -> None:
    """No effect can be committed for a batch that has ended, under whatever fence."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    with databases.provisioning.transaction() as connection:
        assert hold_fence(connection, batch_id=batch_id, fence=1)
    register.finish_batch(ending(batch_id))
    with pytest.raises(StaleFenceError), databases.provisioning.transaction() as connection:
        hold_fence(connection, batch_id=batch_id, fence=1)


def test_end_is_recorded_once_and_chained_to_the_tenant(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """The tenant's chain holds the batch's head as it stood when the batch ended."""
    batch_id, tenant = new_id(), new_id("tenant")
    register.claim_batch(claim(batch_id, tenant=tenant))
    assert register.finish_batch(ending(batch_id)) == FinishedBatch()
    assert register.finish_batch(ending(batch_id)) == FinishedBatch()
    with databases.console.transaction() as connection:
        head = audit.head(connection, batch_chain(batch_id))
    assert bodies(databases, tenant_chain(tenant)) == [
        {
            "kind": "batch.ended",
            "batch_id": batch_id,
            "chain": batch_chain(batch_id),
            "seq": head.seq,
            "head": head.hash.hex(),
        }
    ]
    row = run(databases.owner, "SELECT outcome, ended_at FROM batches WHERE batch_id = :id", id=batch_id)[0]
    assert (row.outcome, row.ended_at is None) == ("completed", False)


MOVE = "UPDATE wallets SET state = :state WHERE batch_no = :no AND ordinal = :ordinal"
ACTIVATE = MOVE.replace(":state", ":state, wave = 1, activated_at = clock_timestamp()")

EARLY = ["refused", "rejected", "expired", "aborted", "rolled_back", "failed", "cancelled"]

LEFT = {
    "derived": (["derived"], "custody's undoing"),
    "ready": (["ready"], "custody's undoing"),
    "some frozen, some ready": (["frozen", "ready"], "custody's undoing"),
    "active": (["active"], "activation's undoing"),
    "some frozen, some active": (["frozen", "active"], "activation's undoing"),
    "an account nobody burned": (["revoked"], "custody's undoing"),
    "an account without a wallet": ([], "custody's undoing"),
}


@pytest.mark.parametrize("left", LEFT)
def test_early_end_waits_for_what_is_not_undone(
    databases: Databases, register: BatchRegisterActivities, left: str
) -> None:
    """Whoever said that all is undone: the store tells what is left, and the end says what it waits for."""
    states, waits_for = LEFT[left]
    batch_id = with_wallets(databases, states)
    with pytest.raises(ServiceUnavailableError) as caught:
        register.finish_batch(ending(batch_id, "aborted"))
    assert (caught.value.details, caught.value.non_retryable) == ((waits_for,), False)
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed"]


@pytest.mark.parametrize("outcome", EARLY)
def test_no_early_end_leaves_a_wallet_in_use(
    databases: Databases, register: BatchRegisterActivities, outcome: str
) -> None:
    """By whatever name; once custody has revoked and burned, the same step ends the batch."""
    batch_id = with_wallets(databases, ["ready"])
    with pytest.raises(ServiceUnavailableError):
        register.finish_batch(ending(batch_id, outcome))
    with databases.custody.transaction() as connection:
        keyrings.revoke(connection, hold_fence(connection, batch_id=batch_id, fence=1))
    assert register.finish_batch(ending(batch_id, outcome)) == FinishedBatch()


def test_frozen_wallets_keep_their_account(databases: Databases, register: BatchRegisterActivities) -> None:
    """A roll-back ends with active wallets frozen, whose key is kept."""
    batch_id = with_wallets(databases, ["frozen", "revoked"])
    assert register.finish_batch(ending(batch_id, "rolled_back")) == FinishedBatch()


@pytest.mark.parametrize("outcome", ["completed", "completed_with_exceptions"])
def test_whole_end_leaves_wallets_as_they_are(
    databases: Databases, register: BatchRegisterActivities, outcome: str
) -> None:
    """Active ones are what was asked for, and a withheld subject's stay ready."""
    batch_id = with_wallets(databases, ["active", "ready"])
    assert register.finish_batch(ending(batch_id, outcome)) == FinishedBatch()


def with_wallets(databases: Databases, states: list[str]) -> str:
    """A batch with an account, and a wallet in each state."""
    batch_id, batch_no = a_batch(databases)
    some_wallets(databases, batch_no, count=len(states))
    for ordinal, state in enumerate(states):
        move_wallet(databases, batch_no, ordinal, state)
    return batch_id


def move_wallet(databases: Databases, batch_no: int, ordinal: int, state: str) -> None:
    """Takes one wallet to a state by the ways that are open."""
    ways = {"derived": [], "active": ["ready", "active"], "frozen": ["ready", "active", "frozen"]}
    for step in ways.get(state, [state]):
        is_custodys = step in ("ready", "revoked")
        run(
            databases.custody if is_custodys else databases.provisioning,
            ACTIVATE if step == "active" else MOVE,
            state=step,
            no=batch_no,
            ordinal=ordinal,
        )


def test_another_end_is_answered_with_the_first(register: BatchRegisterActivities) -> None:
    """What a batch reported is never reported otherwise."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.finish_batch(ending(batch_id))
    finished = register.finish_batch(ending(batch_id, "aborted"))
    assert finished == FinishedBatch(recorded_result=ending(batch_id).result)


def test_end_under_another_fence_is_stale(databases: Databases, register: BatchRegisterActivities) -> None:
    """A run that was shut out cannot report success."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    register.raise_fence(RaiseFence(batch_id=batch_id, fence=1, reason="aborted"))
    with pytest.raises(StaleFenceError):
        register.finish_batch(ending(batch_id))
    assert run(databases.owner, "SELECT outcome FROM batches WHERE batch_id = :id", id=batch_id)[0][0] is None
    register.finish_batch(ending(batch_id, "aborted", fence=2))


@pytest.mark.parametrize(
    "result", [{}, {"outcome": "splendid"}, {"outcome": None}, {"outcome": ["completed"]}]
)
def test_result_without_a_known_outcome_is_invalid(
    register: BatchRegisterActivities, result: dict[str, Any]
) -> None:
    """A batch never ends without saying how."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    with pytest.raises(InvalidRequestError):
        register.finish_batch(FinishBatch(batch_id=batch_id, fence=1, result=result))


def test_moved_shards_are_chained_and_others_left(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """Each shard's head enters the batch's chain when it moved, and not again when it did not."""
    batch_id = new_id()
    neighbour = f"{batch_id}-2"
    for claimed in (batch_id, neighbour):
        register.claim_batch(claim(claimed))
    heads = [write_shard(databases, batch_id, shard) for shard in (0, 1)]
    write_shard(databases, neighbour, 0)
    step = BatchStep(batch_id=batch_id, fence=1)
    assert register.close_shards(step) == Undone(counts={"shards": 2})
    assert register.close_shards(step) == Undone(counts={"shards": 0})
    moved = write_shard(databases, batch_id, 1)
    assert register.close_shards(step) == Undone(counts={"shards": 1})
    expected = [(0, heads[0]), (1, heads[1]), (1, moved)]
    assert bodies(databases, batch_chain(batch_id))[1:] == [
        {
            "kind": "shard.closed",
            "chain": shard_chain(batch_id, "screen", shard),
            "seq": head.seq,
            "head": head.hash.hex(),
        }
        for shard, head in expected
    ]


def test_ending_chains_what_was_left_open(databases: Databases, register: BatchRegisterActivities) -> None:
    """No shard's record stays outside the chain that its batch ended with."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    write_shard(databases, batch_id, 0)
    register.finish_batch(ending(batch_id))
    assert kinds(databases, batch_chain(batch_id)) == ["batch.claimed", "shard.closed", "batch.ended"]


def test_ending_closes_a_gate_that_its_batch_forgot(
    databases: Databases, register: BatchRegisterActivities
) -> None:
    """Nobody can approve anything of an ended batch; how a gate ended before stays."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    for gate, outcome in (("compliance", "approved"), ("rollback", None)):
        run(
            databases.provisioning,
            "INSERT INTO gates (batch_no, gate, digest, terms, expires_at, outcome, closed_at)"
            " SELECT batch_no, :gate, sha256('x'), '{}', now(), told.outcome,"
            " CASE WHEN told.outcome IS NOT NULL THEN now() END"
            " FROM batches, (SELECT cast(:outcome AS text) AS outcome) told WHERE batch_id = :id",
            gate=gate,
            outcome=outcome,
            id=batch_id,
        )
    register.finish_batch(ending(batch_id))
    told = [body for body in bodies(databases, batch_chain(batch_id)) if body["kind"] == "gate.closed"]
    assert [(body["gate"], body["outcome"]) for body in told] == [("rollback", "cancelled")]
    gates = run(
        databases.console,
        "SELECT gate, g.outcome, closed_at FROM gates g JOIN batches USING (batch_no)"
        " WHERE batch_id = :id ORDER BY gate",
        id=batch_id,
    )
    assert [(gate.gate, gate.outcome) for gate in gates] == [
        ("compliance", "approved"),
        ("rollback", "cancelled"),
    ]
    assert gates[1].closed_at is not None


def test_closing_under_another_fence_is_stale(register: BatchRegisterActivities) -> None:
    """Closing shards is an effect like any other."""
    batch_id = new_id()
    register.claim_batch(claim(batch_id))
    with pytest.raises(StaleFenceError):
        register.close_shards(BatchStep(batch_id=batch_id, fence=2))


def test_batch_nobody_claimed_is_invalid(register: BatchRegisterActivities) -> None:
    """There is nothing to raise, end or close."""
    unknown = new_id()
    with pytest.raises(InvalidRequestError):
        register.raise_fence(RaiseFence(batch_id=unknown, fence=1, reason="aborted"))
    with pytest.raises(InvalidRequestError):
        register.finish_batch(ending(unknown))
    with pytest.raises(InvalidRequestError):
        register.close_shards(BatchStep(batch_id=unknown, fence=1))
