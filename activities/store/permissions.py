"""What each process role may do in the store, as data, and what a connection can really do.

A worker compares the two when it starts and refuses to run with more rights than its stages need.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from activities.store.tables import metadata

Privilege = tuple[str, str]
"""A verb and its object: ("SELECT", "wallets.state"), ("DELETE", "subjects"), ("EXECUTE", "hold_fence")."""

_VERDICT = "batch_no ordinal verdict score leaf hold_digest"
_KEYRING = "keyring_no keyring_id scope tenant batch_no created_at"
_RECORD = "audit_heads audit_entries attestations"
_DECIDED = "batches plans slices batch_lists adjudications evidence gates attempts keyring_accounts wallets"

_REQUEST = (
    "batch_id tenant requested_by purpose custody jurisdiction chains request request_digest claimed_by_run"
)
_SLICE = (
    "batch_no stage tranche slice_index first_position length row_count counts root source_cursor done_at"
)
_DERIVED = "batch_no ordinal chain keyring_no account address_index address possession tranche"

_PROVISIONING = "walletworks_provisioning"
_CUSTODY = "walletworks_custody"
_CONSOLE = "walletworks_console"

_READ_WHOLE = {
    _PROVISIONING: (
        f"{_DECIDED} {_RECORD} pii_keys subjects list_versions verdicts withholdings waves outbox"
    ),
    _CUSTODY: f"{_DECIDED} {_RECORD} keyrings",
    _CONSOLE: f"{_DECIDED} {_RECORD} list_versions waves outbox",
}

_INSERT_WHOLE = {
    _PROVISIONING: (
        "pii_keys plans subjects list_versions batch_lists verdicts withholdings adjudications evidence"
        " gates attempts waves outbox"
    ),
    _CUSTODY: "keyrings slices attestations",
    _CONSOLE: "",
}

_COLUMNS = {
    _PROVISIONING: (
        ("SELECT", "keyrings", _KEYRING),
        ("INSERT", "batches", _REQUEST),
        ("INSERT", "slices", _SLICE),
        ("UPDATE", "batches", "fence outcome result ended_at"),
        ("UPDATE", "subjects", "salt"),
        ("UPDATE", "adjudications", "tranche"),
        ("UPDATE", "gates", "outcome closed_at"),
        ("UPDATE", "wallets", "state wave activated_at"),
        ("UPDATE", "waves", "outcome closed_at"),
        ("UPDATE", "outbox", "delivered_at"),
    ),
    _CUSTODY: (
        ("SELECT", "verdicts", _VERDICT),
        ("INSERT", "keyring_accounts", "keyring_no coin_type account batch_no"),
        ("INSERT", "wallets", _DERIVED),
        ("UPDATE", "keyring_accounts", "burned_at"),
        ("UPDATE", "wallets", "state"),
    ),
    _CONSOLE: (
        ("SELECT", "subjects", "batch_no ordinal subject_id leaf"),
        ("SELECT", "verdicts", _VERDICT),
        ("SELECT", "withholdings", "batch_no ordinal list_id list_digest before_wave withheld_at"),
        ("SELECT", "keyrings", _KEYRING),
    ),
}

_FUNCTIONS = (("EXECUTE", "audit_append"), ("EXECUTE", "hold_fence"))

_OBJECTS: dict[str, tuple[Privilege, ...]] = {
    _PROVISIONING: (("DELETE", "subjects"), *_FUNCTIONS),
    _CUSTODY: _FUNCTIONS,
    _CONSOLE: (),
}

_ATTRIBUTES = text("""
    SELECT rolsuper AS "SUPERUSER", rolcreaterole AS "CREATEROLE", rolcreatedb AS "CREATEDB",
        rolreplication AS "REPLICATION", rolbypassrls AS "BYPASSRLS"
    FROM pg_roles WHERE rolname = session_user
""")

_MEMBERSHIPS = text("""
    SELECT 'MEMBER' AS verb, rolname::text AS target FROM pg_roles
    WHERE rolname NOT IN (session_user, :role_name) AND pg_has_role(session_user, oid, 'MEMBER')
""")

# Objects of the server itself, of extensions, and sessions' own temporary tables are not ours to judge.
_RELATION_PRIVILEGES = text("""
    WITH relations AS (
        SELECT c.oid, c.relname::text AS name, c.relkind = 'S' AS is_sequence
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
            AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    )
    SELECT verb, name || '.' || attname AS target
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND attnum > 0 AND NOT attisdropped
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS verb
    WHERE NOT is_sequence AND has_column_privilege(session_user, r.oid, attnum, verb)
    UNION ALL
    SELECT verb, name
    FROM relations r CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) AS verb
    WHERE NOT is_sequence AND has_table_privilege(session_user, r.oid, verb)
    UNION ALL
    SELECT verb, name
    FROM relations r CROSS JOIN unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS verb
    WHERE is_sequence AND has_sequence_privilege(session_user, r.oid, verb)
""")

_FUNCTION_PRIVILEGES = text("""
    SELECT 'EXECUTE' AS verb, p.proname::text AS target
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        AND has_function_privilege(session_user, p.oid, 'EXECUTE')
""")

_CREATE_PRIVILEGES = text("""
    SELECT 'CREATE' AS verb, 'schema ' || nspname AS target FROM pg_namespace
    WHERE nspname NOT LIKE 'pg@_temp@_%' ESCAPE '@' AND has_schema_privilege(session_user, oid, 'CREATE')
    UNION ALL
    SELECT 'CREATE', 'database' WHERE has_database_privilege(session_user, current_database(), 'CREATE')
""")

_QUERIES = (_RELATION_PRIVILEGES, _FUNCTION_PRIVILEGES, _CREATE_PRIVILEGES)


def excess_privileges(connection: Connection, role_name: str) -> list[str]:
    """Gives what this connection's login can do beyond the named process role, one line each.

    A worker refuses to start unless the list is empty.
    """
    return _lines(held_privileges(connection, role_name) - allowed_privileges(role_name))


def held_privileges(connection: Connection, role_name: str) -> set[Privilege]:
    """Gives everything the connection's login can do, other than being the named role."""
    attributes = connection.execute(_ATTRIBUTES).mappings().one()
    held: set[Privilege] = {("ROLE", str(name)) for name, is_set in attributes.items() if is_set}
    members = connection.execute(_MEMBERSHIPS, {"role_name": role_name})
    held.update((row.verb, row.target) for row in members)
    for query in _QUERIES:
        held.update((row.verb, row.target) for row in connection.execute(query))
    return held


def allowed_privileges(role_name: str) -> set[Privilege]:
    """Gives everything the named process role needs."""
    allowed: set[Privilege] = set(_OBJECTS[role_name])
    allowed.add(("SELECT", "alembic_version.version_num"))
    for table in _READ_WHOLE[role_name].split():
        allowed.update(("SELECT", column) for column in _columns_of(table))
    for table in _INSERT_WHOLE[role_name].split():
        allowed.update(("INSERT", column) for column in _columns_of(table))
    for verb, table, columns in _COLUMNS[role_name]:
        allowed.update((verb, f"{table}.{column}") for column in columns.split())
    return allowed


def _columns_of(table: str) -> Iterator[str]:
    return (f"{table}.{column.name}" for column in metadata.tables[table].columns)


def _lines(privileges: set[Privilege]) -> list[str]:
    return [f"{verb} {target}" for verb, target in sorted(privileges)]
