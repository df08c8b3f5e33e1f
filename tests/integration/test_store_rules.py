"""What is recorded stays: the triggers, tried by the roles that may write and by the owner who may do all."""

from typing import Any

import pytest

from activities.failures import AccessDeniedError, IntegrityError
from activities.store.database import Database
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import DIGEST, a_batch, on, run, run_all, some_wallets

FINAL = "WW002"
FOREIGN_KEY = "23503"

MOVE = "UPDATE wallets SET state = :state WHERE batch_no = :no"
ACTIVATE = (
    "UPDATE wallets SET state = :state, wave = 1, activated_at = clock_timestamp() WHERE batch_no = :no"
)

END = (
    "UPDATE batches SET outcome = :outcome, result = '{}', ended_at = clock_timestamp() WHERE batch_no = :no"
)
OPEN_GATE = (
    "INSERT INTO gates (batch_no, gate, digest, terms, expires_at, opened_at)"
    " VALUES (:no, 'compliance', :digest, '{}', clock_timestamp(), clock_timestamp())"
)


def refused(database: Database, statement: str, **values: Any) -> None:
    """Requires that the rules, not the grants or a constraint, refuse the statement."""
    with pytest.raises(IntegrityError) as caught:
        run(database, statement, **values)
    assert caught.value.details == (FINAL,)


def states(databases: Databases, batch_no: int) -> list[str]:
    """Gives the states of the batch's wallets in order."""
    query = "SELECT state FROM wallets WHERE batch_no = :no ORDER BY ordinal"
    return [row.state for row in run(databases.owner, query, no=batch_no)]


def move(database: Database, batch_no: int, state: str) -> None:
    """Moves the batch's wallets as the activities do."""
    run(database, ACTIVATE if state == "active" else MOVE, state=state, no=batch_no)


def wallets_in(databases: Databases, state: str) -> int:
    """Gives a batch whose wallets came to a state by the ways that are open."""
    _, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    ways = {"ready": ["ready"], "active": ["ready", "active"], "frozen": ["ready", "active", "frozen"]}
    for step in ways.get(state, [state] if state == "revoked" else []):
        custody = step in {"ready", "revoked"}
        move(databases.custody if custody else databases.provisioning, batch_no, step)
    return batch_no


ALL_STATES = ("derived", "ready", "active", "frozen", "revoked")
OPEN_WAYS = {
    ("custody", "derived", "ready"),
    ("custody", "derived", "revoked"),
    ("custody", "ready", "revoked"),
    ("provisioning", "ready", "active"),
    ("provisioning", "active", "frozen"),
}
CUSTODY_CANNOT_SAY = ("custody", "active")
"""Custody has no right on `wave`, so the grants already refuse that statement."""


@pytest.mark.parametrize("role", ["custody", "provisioning", "owner"])
@pytest.mark.parametrize("before", ALL_STATES)
@pytest.mark.parametrize("after", ALL_STATES)
def test_wallet_moves_only_by_the_ways_open_to_the_role(
    databases: Databases, role: str, before: str, after: str
) -> None:
    """Of all moves, each role has exactly its own; the owner has none."""
    batch_no = wallets_in(databases, before)
    database = getattr(databases, role)
    if (role, before, after) in OPEN_WAYS:
        move(database, batch_no, after)
        assert states(databases, batch_no) == [after, after]
        return
    with pytest.raises(AccessDeniedError if (role, after) == CUSTODY_CANNOT_SAY else IntegrityError):
        move(database, batch_no, after)
    assert states(databases, batch_no) == [before, before]


def test_custody_cannot_activate_without_naming_a_wave(databases: Databases) -> None:
    """Activation is not custody's, whichever columns it sets."""
    batch_no = wallets_in(databases, "ready")
    refused(databases.custody, "UPDATE wallets SET state = 'active' WHERE batch_no = :no", no=batch_no)


def test_freezing_keeps_wave_and_moment_of_activation(databases: Databases) -> None:
    """A frozen wallet still says when it became active."""
    batch_no = wallets_in(databases, "active")
    statement = "UPDATE wallets SET state = 'frozen', wave = 2 WHERE batch_no = :no"
    refused(databases.provisioning, statement, no=batch_no)


def test_active_wallet_must_name_its_wave(databases: Databases) -> None:
    """The constraint ties the state to wave and moment."""
    batch_no = wallets_in(databases, "ready")
    with pytest.raises(IntegrityError) as caught:
        run(databases.provisioning, "UPDATE wallets SET state = 'active' WHERE batch_no = :no", no=batch_no)
    assert caught.value.details == ("23514",)


def test_member_of_a_role_moves_wallets_as_the_role(databases: Databases) -> None:
    """A login of another name that is a member of the role has the role's ways, and only those."""
    batch_no = wallets_in(databases, "derived")
    run(databases.admin, "CREATE ROLE custody_member IN ROLE walletworks_custody")
    become = "SET LOCAL ROLE custody_member"
    try:
        run_all(databases.admin, become, MOVE, state="ready", no=batch_no)
        assert states(databases, batch_no) == ["ready", "ready"]
        with pytest.raises(IntegrityError):
            run_all(databases.admin, become, MOVE, state="active", no=batch_no)
    finally:
        run(databases.admin, "DROP ROLE custody_member")


OWNER_REFUSED = [
    "UPDATE wallets SET address = 'other'",
    "UPDATE wallets SET address_index = 9, ordinal = 9",
    "UPDATE wallets SET keyring_no = keyring_no",
    "UPDATE wallets SET account = 1",
    "DELETE FROM wallets",
    "TRUNCATE wallets",
    "UPDATE batches SET batch_id = 'x'",
    "UPDATE batches SET tenant = 'x'",
    "UPDATE batches SET request = '{}'",
    "UPDATE batches SET request_digest = ''",
    "UPDATE batches SET claimed_by_run = 'x'",
    "UPDATE batches SET fence = fence + 2",
    "UPDATE batches SET fence = fence - 1",
    "DELETE FROM batches",
    "TRUNCATE batches CASCADE",
    "UPDATE plans SET subject_count = 0",
    "DELETE FROM plans",
    "UPDATE evidence SET counts = '{}'",
    "DELETE FROM evidence",
    "UPDATE attempts SET counted = true",
    "DELETE FROM attempts",
    "UPDATE attestations SET signature = ''",
    "DELETE FROM attestations",
    "UPDATE audit_entries SET body = ''",
    "DELETE FROM audit_entries",
    "TRUNCATE audit_entries",
    "UPDATE audit_heads SET chain = 'x'",
    "DELETE FROM audit_heads",
    "UPDATE verdicts SET verdict = 'clear'",
    "DELETE FROM verdicts",
    "UPDATE keyrings SET ciphertext = ''",
    "DELETE FROM keyrings",
    "UPDATE keyring_accounts SET account = 1",
    "DELETE FROM keyring_accounts",
    "UPDATE adjudications SET decision = 'clear'",
    "DELETE FROM adjudications",
    "UPDATE gates SET terms = '{}'",
    "UPDATE gates SET expires_at = clock_timestamp()",
    "DELETE FROM gates",
    "UPDATE slices SET root = ''",
    "DELETE FROM slices",
    "UPDATE subjects SET leaf = ''",
    "UPDATE waves SET length = 0",
    "UPDATE outbox SET body = '{}'",
    "DELETE FROM batch_lists",
    "DELETE FROM withholdings",
    "UPDATE list_versions SET digest = ''",
    "UPDATE pii_keys SET wrapped_key = ''",
]


@pytest.mark.parametrize("statement", OWNER_REFUSED)
def test_even_the_owner_cannot_rewrite_what_is_recorded(databases: Databases, statement: str) -> None:
    """Rules hold for whoever migrates, too: changing history takes a migration that says so."""
    a_batch(databases)
    refused(databases.owner, statement)


def test_ended_batch_is_final(databases: Databases) -> None:
    """Outcome, result, end and fence are set once."""
    _, batch_no = a_batch(databases)
    run(databases.provisioning, END, outcome="aborted", no=batch_no)
    refused(databases.provisioning, END, outcome="aborted", no=batch_no)
    change = "UPDATE batches SET {} WHERE batch_no = :no"
    for what in ("outcome = NULL, ended_at = NULL", "result = NULL", "fence = fence + 1"):
        refused(databases.provisioning, change.format(what), no=batch_no)


@pytest.mark.parametrize("outcome", ["aborted", "rolled_back", "cancelled"])
@pytest.mark.parametrize("state", ["derived", "ready", "active", "revoked"])
def test_no_role_ends_a_batch_early_that_is_not_undone(
    databases: Databases, state: str, outcome: str
) -> None:
    """Wallets that can be used, or an account that is not burned, keep a batch from an early end."""
    batch_no = wallets_in(databases, state)
    for database in (databases.provisioning, databases.owner):
        refused(database, END, outcome=outcome, no=batch_no)


@pytest.mark.parametrize(("state", "outcome"), [("frozen", "rolled_back"), ("active", "completed")])
def test_ends_that_fit_are_taken(databases: Databases, state: str, outcome: str) -> None:
    """After a roll-back what was active is frozen; a completed batch's wallets are active."""
    run(databases.provisioning, END, outcome=outcome, no=wallets_in(databases, state))


MOMENTS = {
    "opened": "INSERT INTO gates (batch_no, gate, digest, terms, expires_at, opened_at)"
    " VALUES (:no, 'issuance', :digest, '{}', clock_timestamp() + interval '1 hour', @AT)",
    "opened closed": "INSERT INTO gates (batch_no, gate, digest, terms, expires_at, outcome, closed_at)"
    " VALUES (:no, 'issuance', :digest, '{}', clock_timestamp() + interval '1 hour', 'approved', @AT)",
    "closed": "UPDATE gates SET outcome = 'approved', closed_at = @AT"
    " WHERE batch_no = :no AND gate = 'compliance' AND digest = :digest",
    "settled": "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision, decided_at)"
    " VALUES (:no, 0, :digest, 'clear', @AT)",
    "received": "INSERT INTO attempts"
    " (attempt_key, batch_no, message, counted, reason_code, reason, digest, received_at)"
    " VALUES (gen_random_uuid(), :no, 'pause', false, 'x', 'x', :digest, @AT)",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_moments_are_those_of_their_recording(databases: Databases, moment: str) -> None:
    """Nobody dates a gate's opening or end, a settled hold or an attempt back or ahead by over a minute."""
    _, batch_no = a_batch(databases)
    run(databases.provisioning, OPEN_GATE, no=batch_no, digest=DIGEST)
    role, write = databases.provisioning, MOMENTS[moment]
    for off in ("- interval '70 s'", "+ interval '70 s'", "- interval '9 days'"):
        refused(role, write.replace("@AT", f"clock_timestamp() {off}"), no=batch_no, digest=DIGEST)
    for never in ("'-infinity'", "'infinity'"):
        with pytest.raises(IntegrityError):
            run(role, write.replace("@AT", never), no=batch_no, digest=DIGEST)
    run(role, write.replace("@AT", "clock_timestamp() - interval '50 s'"), no=batch_no, digest=DIGEST)


def test_gate_that_waited_for_days_is_closed(databases: Databases) -> None:
    """Closing looks at the closing alone: when the gate was opened stands as it stood."""
    _, batch_no = a_batch(databases)
    with databases.owner.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE gates DISABLE TRIGGER USER")
        days_ago = OPEN_GATE.replace("clock_timestamp()", "clock_timestamp() - interval '9 days'")
        on(connection, days_ago, no=batch_no, digest=DIGEST)
        connection.exec_driver_sql("ALTER TABLE gates ENABLE TRIGGER USER")
    close = MOMENTS["closed"].replace("@AT", "clock_timestamp()")
    run(databases.provisioning, close, no=batch_no, digest=DIGEST)
    (gate,) = run(
        databases.owner, "SELECT closed_at - opened_at AS open FROM gates WHERE batch_no = :no", no=batch_no
    )
    assert gate.open.days == 9


def test_gate_outcome_is_set_once(databases: Databases) -> None:
    """A closed gate stays as it was closed."""
    _, batch_no = a_batch(databases)
    run(databases.provisioning, OPEN_GATE, no=batch_no, digest=DIGEST)
    close = "UPDATE gates SET outcome = :outcome, closed_at = clock_timestamp() WHERE batch_no = :no"
    run(databases.provisioning, close, outcome="rejected", no=batch_no)
    refused(databases.provisioning, close, outcome="approved", no=batch_no)


def test_adjudication_joins_a_tranche_once(databases: Databases) -> None:
    """The decision is made once; evidence takes it in once."""
    _, batch_no = a_batch(databases)
    decide = (
        "INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision)"
        " VALUES (:no, 0, :digest, 'clear')"
    )
    run(databases.provisioning, decide, no=batch_no, digest=DIGEST)
    with pytest.raises(IntegrityError):
        run(databases.provisioning, decide, no=batch_no, digest=DIGEST)
    take_in = "UPDATE adjudications SET tranche = :tranche WHERE batch_no = :no"
    run(databases.provisioning, take_in, tranche=0, no=batch_no)
    refused(databases.provisioning, take_in, tranche=1, no=batch_no)
    refused(databases.provisioning, take_in, tranche=None, no=batch_no)


def test_burned_account_stays_burned(databases: Databases) -> None:
    """The moment of burning is set once and never taken back."""
    _, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    burn = "UPDATE keyring_accounts SET burned_at = {} WHERE batch_no = :no"
    run(databases.custody, burn.format("clock_timestamp()"), no=batch_no)
    refused(databases.custody, burn.format("clock_timestamp()"), no=batch_no)
    refused(databases.custody, burn.format("NULL"), no=batch_no)


def test_wave_that_ended_may_only_be_undone(databases: Databases) -> None:
    """A roll-back marks a passed wave undone; nothing makes it open or passed again."""
    _, batch_no = a_batch(databases)
    run(
        databases.provisioning,
        "INSERT INTO waves (batch_no, wave, tranche, first_position, length, percent)"
        " VALUES (:no, 1, 0, 0, 10, 1)",
        no=batch_no,
    )
    close = "UPDATE waves SET outcome = :outcome, closed_at = clock_timestamp() WHERE batch_no = :no"
    run(databases.provisioning, close, outcome="passed", no=batch_no)
    refused(databases.provisioning, close, outcome="failed", no=batch_no)
    run(databases.provisioning, close, outcome="undone", no=batch_no)
    refused(databases.provisioning, close, outcome="passed", no=batch_no)


def a_subject(databases: Databases) -> int:
    """Gives a batch with one subject."""
    _, batch_no = a_batch(databases)
    run(
        databases.provisioning,
        "INSERT INTO subjects (batch_no, ordinal, subject_id, salt, sealed, leaf)"
        " VALUES (:no, 0, 's', 'salt', 'sealed', 'leaf')",
        no=batch_no,
    )
    return batch_no


def test_salt_is_erased_and_never_written_again(databases: Databases) -> None:
    """Erasing a person is final."""
    batch_no = a_subject(databases)
    refused(databases.provisioning, "UPDATE subjects SET salt = 'new' WHERE batch_no = :no", no=batch_no)
    run(databases.provisioning, "UPDATE subjects SET salt = NULL WHERE batch_no = :no", no=batch_no)
    refused(databases.provisioning, "UPDATE subjects SET salt = 'salt' WHERE batch_no = :no", no=batch_no)


def test_subjects_leave_only_before_they_are_planned(databases: Databases) -> None:
    """Undoing intake removes the rows of a batch without a plan; with one they are evidence."""
    unplanned, planned = a_subject(databases), a_subject(databases)
    run(
        databases.provisioning,
        "INSERT INTO plans"
        " (batch_no, manifest_root, subject_count, policy_text, policy_digest, plan_digest, decision)"
        " VALUES (:no, :digest, 1, '', :digest, :digest, '{}')",
        no=planned,
        digest=DIGEST,
    )
    delete = "DELETE FROM subjects WHERE batch_no = ANY(:nos)"
    refused(databases.provisioning, delete, nos=[unplanned, planned])
    run(databases.provisioning, delete, nos=[unplanned])
    left = run(
        databases.owner, "SELECT batch_no FROM subjects WHERE batch_no = ANY(:nos)", nos=[unplanned, planned]
    )
    assert [row.batch_no for row in left] == [planned]


def test_bulk_rows_need_their_batch(databases: Databases) -> None:
    """What a foreign key would refuse is refused, though it is checked once per statement."""
    for statement in (
        "INSERT INTO subjects (batch_no, ordinal, subject_id, sealed, leaf) VALUES (-1, 0, 's', '', '')",
        "INSERT INTO verdicts (batch_no, ordinal, verdict, leaf) VALUES (-1, 0, 'clear', '')",
    ):
        with pytest.raises(IntegrityError) as caught:
            run(databases.provisioning, statement)
        assert caught.value.details == (FOREIGN_KEY,)


WALLET = (
    "INSERT INTO wallets"
    " (batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche)"
    " SELECT :no, 99, 'ethereum', keyring_no, :account, 99, 'a', 'p', 0 FROM keyrings WHERE batch_no = :of"
)


def test_wallets_need_an_account_of_their_batch(databases: Databases) -> None:
    """An address under another batch's seed, another account or a burned one cannot be stored."""
    (_, own), (_, other) = a_batch(databases), a_batch(databases)
    some_wallets(databases, own)
    some_wallets(databases, other)
    for account, keyring_of in ((0, other), (1, own)):
        with pytest.raises(IntegrityError) as caught:
            run(databases.custody, WALLET, no=own, account=account, of=keyring_of)
        assert caught.value.details == (FOREIGN_KEY,)
    run(databases.custody, "UPDATE keyring_accounts SET burned_at = now() WHERE batch_no = :no", no=other)
    with pytest.raises(IntegrityError) as caught:
        run(databases.custody, WALLET, no=other, account=0, of=other)
    assert caught.value.details == (FOREIGN_KEY,)
    run(databases.custody, WALLET, no=own, account=0, of=own)


SLICE = (
    "INSERT INTO slices"
    " (batch_no, stage, tranche, slice_index, first_position, length, row_count, root{extra})"
    " VALUES (:no, :stage, 0, 0, 0, 1, 1, :root{value})"
)


@pytest.mark.parametrize("stage", ["derive", "verify"])
def test_slice_of_a_custody_stage_is_recorded_by_custody_alone(databases: Databases, stage: str) -> None:
    """Provisioning cannot claim that addresses were derived or verified."""
    _, batch_no = a_batch(databases)
    values = {"no": batch_no, "stage": stage, "root": DIGEST}
    refused(databases.provisioning, SLICE.format(extra="", value=""), **values)
    signed = SLICE.format(extra=", signature", value=", 'c2ln'")
    run(databases.custody, signed, **values)


@pytest.mark.parametrize("stage", ["intake", "screen", "wave/1"])
def test_slice_of_a_provisioning_stage_is_recorded_by_provisioning_alone(
    databases: Databases, stage: str
) -> None:
    """Custody cannot claim that people were screened or wallets activated."""
    _, batch_no = a_batch(databases)
    values = {"no": batch_no, "stage": stage, "root": DIGEST}
    refused(databases.custody, SLICE.format(extra="", value=""), **values)
    run(databases.provisioning, SLICE.format(extra="", value=""), **values)


def test_derived_slice_must_be_signed(databases: Databases) -> None:
    """Activation checks a signature; a slice without one cannot be stored."""
    _, batch_no = a_batch(databases)
    with pytest.raises(IntegrityError) as caught:
        run(databases.custody, SLICE.format(extra="", value=""), no=batch_no, stage="derive", root=DIGEST)
    assert caught.value.details == ("23514",)


def test_nonce_counts_once_over_all_batches(databases: Databases) -> None:
    """A replayed approval cannot be stored as counted, a refused attempt can."""
    _, batch_no = a_batch(databases)
    attempt = (
        "INSERT INTO attempts (attempt_key, batch_no, message, counted, reason_code, reason, nonce)"
        " VALUES (gen_random_uuid(), :no, 'approve', :counted, 'counted', '', 'n-1')"
    )
    run(databases.provisioning, attempt, no=batch_no, counted=True)
    run(databases.provisioning, attempt, no=batch_no, counted=False)
    with pytest.raises(IntegrityError):
        run(databases.provisioning, attempt, no=batch_no, counted=True)
