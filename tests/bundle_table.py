"""The member of an evidence bundle that lists the others, for bundles that a test puts together."""

from collections.abc import Mapping

from activities.canonical import canonical, sha256_hex


def table_of(parts: Mapping[str, bytes]) -> bytes:
    """Gives the table that agrees with these members."""
    members = [{"name": name, "sha256": sha256_hex(part), "size": len(part)} for name, part in parts.items()]
    facts = {
        "v": 1,
        "deployment": "acme-prod",
        "batch_id": "b",
        "tenant": "acme",
        "outcome": "",
        "made_at": "2026-01-01T00:00:00.000000Z",
    }
    return canonical({**facts, "members": members})
