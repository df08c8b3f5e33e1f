"""Triggers of the first revision: what is recorded stays, and what may change changes once.

Statement triggers and WHEN clauses decide, so that an allowed change never calls a function.
"""

from alembic import op

from infra.migrations.initial.functions import MOVES_BY_NAME

_APPEND_ONLY = (
    "pii_keys",
    "plans",
    "slices",
    "list_versions",
    "batch_lists",
    "verdicts",
    "withholdings",
    "evidence",
    "attempts",
    "keyrings",
    "audit_entries",
    "attestations",
)

_FIXED_COLUMNS = {
    "batches": (
        "batch_no, batch_id, tenant, requested_by, purpose, custody, jurisdiction, chains, request,"
        " request_digest, claimed_by_run, claimed_at"
    ),
    "subjects": "batch_no, ordinal, subject_id, sealed, leaf",
    "adjudications": "batch_no, ordinal, hold_digest, decision, decided_at",
    "gates": "batch_no, gate, digest, terms, expires_at, opened_at",
    "keyring_accounts": "keyring_no, coin_type, account, batch_no, taken_at",
    "wallets": ("batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche"),
    "waves": "batch_no, wave, tranche, first_position, length, percent, opened_at",
    "outbox": "event_id, batch_no, topic, body, created_at",
    "audit_heads": "chain",
}

_KEPT = (*_APPEND_ONLY, *(table for table in _FIXED_COLUMNS if table != "subjects"))

_FORBIDDEN_CHANGES = {
    "batches": "OLD.outcome IS NOT NULL OR NEW.fence NOT IN (OLD.fence, OLD.fence + 1)",
    "subjects": "NEW.salt IS NOT NULL",
    "adjudications": "OLD.tranche IS NOT NULL OR NEW.tranche IS NULL",
    "gates": "OLD.outcome IS NOT NULL",
    "keyring_accounts": "OLD.burned_at IS NOT NULL OR NEW.burned_at IS NULL",
    "waves": "OLD.outcome IS NOT NULL AND (OLD.outcome <> 'undone' AND NEW.outcome = 'undone') IS NOT TRUE",
}

_WALLET_MOVE = f"""
CREATE TRIGGER wallets_move BEFORE UPDATE ON wallets FOR EACH ROW
    WHEN (({MOVES_BY_NAME}) IS NOT TRUE) EXECUTE FUNCTION judge_wallet_move()
"""

_SLICE_AUTHOR = """
CREATE TRIGGER slices_author BEFORE INSERT ON slices FOR EACH ROW EXECUTE FUNCTION judge_slice_author()
"""

_PLANNED_ERASURE = """
CREATE TRIGGER subjects_kept AFTER DELETE ON subjects REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_planned_erasure()
"""

_PARENTS = {"subjects": "require_batch", "verdicts": "require_batch", "wallets": "require_account"}


def create() -> None:
    """Creates every trigger."""
    for table in _APPEND_ONLY:
        _refuse(table, "append_only", "UPDATE")
    for table, columns in _FIXED_COLUMNS.items():
        _refuse(table, "fixed", f"UPDATE OF {columns}")
    for table in _KEPT:
        _refuse(table, "kept", "DELETE OR TRUNCATE")
    _refuse("subjects", "not_truncated", "TRUNCATE")
    for table, forbidden in _FORBIDDEN_CHANGES.items():
        op.execute(
            f"CREATE TRIGGER {table}_once BEFORE UPDATE ON {table} FOR EACH ROW"
            f" WHEN ({forbidden}) EXECUTE FUNCTION refuse_change()"
        )
    for table, function in _PARENTS.items():
        op.execute(
            f"CREATE TRIGGER {table}_parents AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    for statement in (_WALLET_MOVE, _SLICE_AUTHOR, _PLANNED_ERASURE):
        op.execute(statement)


def _refuse(table: str, name: str, events: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{name} BEFORE {events} ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
