"""A batch of 2,000 while each worker, Temporal and PostgreSQL are killed once; then what must hold."""

from collections.abc import Callable, Mapping
from typing import Any, Final, LiteralString

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.evidence.restricted import load_identity
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.demo.cast import AUDITOR
from tests.chaos.faults.kinds import KILLED
from tests.chaos.faults.plan import HANDS, RECIPES, SHORT_COUNT, WHEN_AT_WORK, plan_ordeal, plan_storm
from tests.chaos.invariants import CHECKS, violations
from tests.chaos.ordeal import BATCH, Ordeal
from tests.conftest import TOLD
from tests.waiting import eventually_async

TAMPERINGS: Final[Mapping[str, LiteralString]] = {
    "it_completed": "UPDATE batches SET outcome = 'failed'",
    "nobody_has_two_wallets": (
        "UPDATE wallets SET address = (SELECT max(address) FROM wallets) WHERE ordinal < 2"
    ),
    "nobody_unclear_has_a_wallet": "DELETE FROM verdicts WHERE ordinal = 0",
    "no_index_serves_twice": (
        "ALTER TABLE wallets DROP CONSTRAINT wallets_index_is_ordinal_check;"
        "UPDATE wallets SET address_index = 0 WHERE ordinal = 1"
    ),
    "every_address_comes_from_its_seed": "UPDATE wallets SET address = '0x' WHERE ordinal = 1",
    "nothing_went_on_unapproved": (
        "UPDATE attempts SET statement = replace(statement, 'wave/3', 'wave/4') WHERE gate = 'wave/3'"
    ),
    "audit_is_whole": (
        "DELETE FROM audit_entries e USING audit_heads h WHERE e.chain = h.chain AND e.seq = h.seq"
    ),
    "every_outcome_was_intended": (
        "UPDATE audit_entries SET body = replace(body, 'slice.intent', 'slice.intention')"
    ),
    "every_effect_happened_once": "DELETE FROM slices WHERE stage = 'wave/2'",
    "counts_agree": "UPDATE wallets SET state = 'frozen' WHERE ordinal = 1",
    "every_active_wallet_was_derived_twice": (
        'UPDATE audit_entries SET body = replace(body, \'"length":\', \'"length":0,"was":\')'
        " WHERE body LIKE '%range.verified%'"
    ),
    "nobody_can_still_decide": "UPDATE gates SET outcome = NULL, closed_at = NULL WHERE gate = 'compliance'",
    "announcements_arrived": "DELETE FROM outbox WHERE event_id = (SELECT event_id FROM outbox LIMIT 1)",
}
"""For each check a change of the store that it must find."""


def test_one_seed_plans_the_same_faults_again_and_kills_everything_once() -> None:
    """A failure is run again by its seed; each process is killed once, whatever the seed."""
    for seed in range(50):
        assert plan_ordeal(seed) == plan_ordeal(seed)
        killed = [fault.victim for fault in plan_ordeal(seed) if fault.kind == KILLED]
        assert sorted(killed) == sorted(WHEN_AT_WORK)
    assert plan_ordeal(1) != plan_ordeal(2)


def test_long_storm_is_planned_by_its_seed_and_leaves_no_kind_of_fault_out() -> None:
    """A long run has the kills that were asked for, and every other kind of fault at least once."""
    planned = plan_storm(7, kills=100, others=len(RECIPES))
    assert planned == plan_storm(7, kills=100, others=len(RECIPES))
    assert planned != plan_storm(8, kills=100, others=len(RECIPES))
    assert sum(fault.kind == KILLED for fault in planned) == 100
    assert {fault.kind for fault in planned} == set(HANDS)


def test_batch_survives_the_death_of_every_process(
    ordeal: Ordeal, record_property: Callable[[str, object], None]
) -> None:
    """Each victim was killed once while the batch ran, and the batch went on to its end."""
    record_property(TOLD, ordeal.summary())
    assert ordeal.status["outcome"] == "completed_with_exceptions", ordeal.status
    assert ordeal.status["counts"]["active"] == ordeal.status["counts"]["subjects"] - 1
    killed = [recovery.victim for recovery in ordeal.recoveries if recovery.fault.kind == KILLED]
    assert sorted(killed) == sorted(WHEN_AT_WORK)
    assert len(ordeal.recoveries) == len(WHEN_AT_WORK) + SHORT_COUNT


def test_every_invariant_holds_after_the_storm(ordeal: Ordeal) -> None:
    """No kill costs or doubles anything."""
    with ordeal.admin() as connection:
        assert violations(ordeal.case(connection)) == {}


def test_bundle_of_the_storm_verifies(ordeal: Ordeal) -> None:
    """The record is whole for an auditor who trusts nobody here."""
    bundle = ordeal.stack.state_dir / "objects" / "batches" / BATCH / "bundle.zip"
    office = ordeal.office
    report = verify_bundle(
        bundle,
        load_trust(office.stage.auditor_trust),
        restricted_identity=load_identity(office.stage.key(AUDITOR)),
    )
    assert report.ok, [check for check in report.checks if check.status != "ok"]


async def test_every_workflow_of_the_storm_ended_well(ordeal: Ordeal) -> None:
    """No workflow of the batch failed, was cut off, or is still open."""
    query = f"WorkflowId = '{BATCH}' OR WorkflowId STARTS_WITH '{BATCH}/'"
    good = {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CONTINUED_AS_NEW}

    async def all_closed() -> list[Any] | None:
        found = [each async for each in ordeal.office.client.list_workflows(query)]
        running = [each for each in found if each.status is WorkflowExecutionStatus.RUNNING]
        return None if running else found

    found = await eventually_async(all_closed, 10, what="no open workflow")
    assert found
    assert {each.status for each in found} <= good


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_invariant_finds_what_breaks_it(ordeal: Ordeal, check: Any) -> None:
    """A check that could not fail would say nothing: each finds a store that was tampered with."""
    with ordeal.admin() as connection:
        case = ordeal.case(connection)
        assert list(check(case)) == []
        connection.execute("SET LOCAL session_replication_role = replica")  # leaves triggers out
        connection.execute(TAMPERINGS[check.__name__])
        assert list(check(case)) != []
        connection.rollback()
