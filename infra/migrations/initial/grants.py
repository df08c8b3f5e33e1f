"""Grants of the first revision: each process role gets what its stages need and nothing else.

`activities.store.permissions` says the same as data; a worker whose role can do more refuses to start.
"""

from alembic import op

_PROVISIONING = "walletworks_provisioning"
_CUSTODY = "walletworks_custody"
_CONSOLE = "walletworks_console"

_PUBLIC_VERDICT = "batch_no, ordinal, verdict, score, leaf, hold_digest"
_PUBLIC_KEYRING = "keyring_no, keyring_id, scope, tenant, batch_no, created_at"
_REQUEST = (
    "batch_id, tenant, requested_by, purpose, custody, jurisdiction, chains, request, request_digest,"
    " claimed_by_run"
)
_DERIVED = "batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche"
_SLICE = (
    "batch_no, stage, tranche, slice_index, first_position, length, row_count, counts, root, source_cursor,"
    " done_at"
)

_READ = {
    _PROVISIONING: (
        "alembic_version batches pii_keys plans subjects slices list_versions batch_lists verdicts"
        " withholdings adjudications evidence gates attempts keyring_accounts wallets waves outbox"
        " audit_heads audit_entries attestations"
    ),
    _CUSTODY: (
        "alembic_version batches plans slices batch_lists adjudications evidence gates attempts keyrings"
        " keyring_accounts wallets audit_heads audit_entries attestations"
    ),
    _CONSOLE: (
        "alembic_version batches plans slices list_versions batch_lists adjudications evidence gates"
        " attempts keyring_accounts wallets waves outbox audit_heads audit_entries attestations"
    ),
}

_GRANTS = {
    _PROVISIONING: (
        f"SELECT ({_PUBLIC_KEYRING}) ON keyrings",
        f"INSERT ({_REQUEST}) ON batches",
        f"INSERT ({_SLICE}) ON slices",
        "INSERT ON pii_keys, plans, subjects, list_versions, batch_lists, verdicts, withholdings",
        "INSERT ON adjudications, evidence, gates, attempts, waves, outbox",
        "UPDATE (fence, outcome, result, ended_at) ON batches",
        "UPDATE (salt) ON subjects",
        "UPDATE (tranche) ON adjudications",
        "UPDATE (outcome, closed_at) ON gates",
        "UPDATE (state, wave, activated_at) ON wallets",
        "UPDATE (outcome, closed_at) ON waves",
        "UPDATE (delivered_at) ON outbox",
        "DELETE ON subjects",
    ),
    _CUSTODY: (
        f"SELECT ({_PUBLIC_VERDICT}) ON verdicts",
        "INSERT ON keyrings, slices, attestations",
        "INSERT (keyring_no, coin_type, account, batch_no) ON keyring_accounts",
        f"INSERT ({_DERIVED}) ON wallets",
        "UPDATE (burned_at) ON keyring_accounts",
        "UPDATE (state) ON wallets",
    ),
    _CONSOLE: (
        "SELECT (batch_no, ordinal, subject_id, leaf) ON subjects",
        f"SELECT ({_PUBLIC_VERDICT}) ON verdicts",
        "SELECT (batch_no, ordinal, list_id, list_digest, before_wave, withheld_at) ON withholdings",
        f"SELECT ({_PUBLIC_KEYRING}) ON keyrings",
    ),
}


def create() -> None:
    """Makes every grant."""
    for role, grants in _GRANTS.items():
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        op.execute(f"GRANT SELECT ON {', '.join(_READ[role].split())} TO {role}")
        for grant in grants:
            op.execute(f"GRANT {grant} TO {role}")
    for role in (_PROVISIONING, _CUSTODY):
        op.execute(f"GRANT EXECUTE ON FUNCTION hold_fence(text, bigint), audit_append(text, text) TO {role}")
