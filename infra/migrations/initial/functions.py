"""Functions of the first revision: the fence, the audit log's only writer, and the refusals.

They run as the owner, so that a process may use them without the rights they need inside.
"""

from alembic import op

HOLD_FENCE = """
CREATE FUNCTION hold_fence(batch_id text, fence bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    held bigint;
BEGIN
    -- Row locks let sharers overtake a waiting writer for ever; advisory locks queue in order.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('fence/' || $1, 0));
    SELECT b.batch_no INTO held FROM public.batches b
        WHERE b.batch_id = $1 AND b.fence = $2 FOR SHARE;
    IF held IS NULL THEN
        RAISE EXCEPTION 'the fence is not the batch''s' USING ERRCODE = 'WW001';
    END IF;
    RETURN held;
END $$
"""
"""The batch's number, under a shared lock until the transaction ends; WW001 for another fence."""

AUDIT_APPEND = r"""
CREATE FUNCTION audit_append(chain text, body text) RETURNS TABLE (seq bigint, hash bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    last_seq bigint;
    last_hash bytea;
    at text;
    next_hash bytea;
BEGIN
    INSERT INTO public.audit_heads (chain, seq, head)
        VALUES ($1, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
    SELECT h.seq, h.head INTO last_seq, last_hash FROM public.audit_heads h
        WHERE h.chain = $1 FOR UPDATE;
    -- A clock that was set back must not make an entry look older than the one before it.
    at := greatest(
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') COLLATE "C",
        (SELECT e.recorded_at FROM public.audit_entries e
            WHERE e.chain = $1 AND e.seq = last_seq) COLLATE "C");
    next_hash := sha256(
        last_hash || int8send(last_seq + 1) || convert_to(at || E'\n' || $2, 'UTF8'));
    INSERT INTO public.audit_entries (chain, seq, recorded_at, body, prev, hash)
        VALUES ($1, last_seq + 1, at, $2, last_hash, next_hash);
    UPDATE public.audit_heads h SET seq = last_seq + 1, head = next_hash WHERE h.chain = $1;
    RETURN QUERY SELECT last_seq + 1, next_hash;
END $$
"""
"""Appends one entry under the lock of its chain's head; see `activities.store.audit` for the hash."""

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is recorded in % is final', TG_TABLE_NAME USING ERRCODE = 'WW002';
END $$
"""
"""What every rule calls for a change it forbids: SQLSTATE WW002 and the table's name, no value."""

REFUSE_PLANNED_ERASURE = """
CREATE FUNCTION refuse_planned_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM removed r JOIN public.plans p ON p.batch_no = r.batch_no) THEN
        RAISE EXCEPTION 'subjects of a planned batch are kept' USING ERRCODE = 'WW002';
    END IF;
    RETURN NULL;
END $$
"""


REQUIRE_BATCH = """
CREATE FUNCTION require_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT batch_no FROM added) a
        WHERE NOT EXISTS (SELECT FROM public.batches b WHERE b.batch_no = a.batch_no)
    ) THEN
        RAISE EXCEPTION 'there is no such batch' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""
"""A foreign key's check, once per statement: per row it would cost more than the rest of a bulk copy."""

REQUIRE_ACCOUNT = """
CREATE FUNCTION require_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT batch_no, keyring_no, account FROM added) a
        WHERE NOT EXISTS (
            SELECT FROM public.keyring_accounts k
            WHERE k.keyring_no = a.keyring_no AND k.account = a.account
                AND k.batch_no = a.batch_no AND k.burned_at IS NULL)
    ) THEN
        RAISE EXCEPTION 'the account is not the batch''s' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""
"""Wallets stand only under an account that their batch took and has not burned."""


def _moves(provisioning: str, custody: str) -> str:
    """The allowed moves of a wallet, as SQL, given how either role is recognised."""
    return f"""
        ({provisioning} AND (
            (OLD.state = 'ready' AND NEW.state = 'active')
            OR (OLD.state = 'active' AND NEW.state = 'frozen'
                AND NEW.wave = OLD.wave AND NEW.activated_at = OLD.activated_at)))
        OR ({custody} AND (
            (OLD.state = 'derived' AND NEW.state = 'ready')
            OR (OLD.state IN ('derived', 'ready') AND NEW.state = 'revoked')))
    """


MOVES_BY_NAME = _moves("current_user = 'walletworks_provisioning'", "current_user = 'walletworks_custody'")
"""Cheap enough for every row: decides the usual case without calling a function."""

_MOVES_BY_MEMBERSHIP = _moves(
    "pg_has_role(current_user, 'walletworks_provisioning', 'USAGE')",
    "pg_has_role(current_user, 'walletworks_custody', 'USAGE')",
)

JUDGE_WALLET_MOVE = f"""
CREATE FUNCTION judge_wallet_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ({_MOVES_BY_MEMBERSHIP}) IS TRUE THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'this role may not move a wallet so' USING ERRCODE = 'WW002';
END $$
"""
"""Called only for moves that `MOVES_BY_NAME` does not allow: members of the roles, and the forbidden."""

JUDGE_SLICE_AUTHOR = """
CREATE FUNCTION judge_slice_author() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    author text := CASE WHEN NEW.stage IN ('derive', 'verify')
        THEN 'walletworks_custody' ELSE 'walletworks_provisioning' END;
BEGIN
    IF pg_has_role(current_user, author, 'USAGE') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'this role may not record a slice of this stage' USING ERRCODE = 'WW002';
END $$
"""

_CREATE = (
    HOLD_FENCE,
    AUDIT_APPEND,
    REFUSE_CHANGE,
    REFUSE_PLANNED_ERASURE,
    REQUIRE_BATCH,
    REQUIRE_ACCOUNT,
    JUDGE_WALLET_MOVE,
    JUDGE_SLICE_AUTHOR,
)

_SIGNATURES = (
    "hold_fence(text, bigint)",
    "audit_append(text, text)",
    "refuse_change()",
    "refuse_planned_erasure()",
    "require_batch()",
    "require_account()",
    "judge_wallet_move()",
    "judge_slice_author()",
)


def create() -> None:
    """Creates them; nobody but the owner may call them until granted."""
    for statement in _CREATE:
        op.execute(statement)
    for signature in _SIGNATURES:
        op.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC")


def drop() -> None:
    """Removes them, after the triggers that call them went with their tables."""
    for signature in _SIGNATURES:
        op.execute(f"DROP FUNCTION {signature}")
