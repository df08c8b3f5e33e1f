"""A request that is well formed, for tests that need one or change one."""

from typing import Any


def a_request(batch_id: str = "spring-airdrop", **changes: Any) -> dict[str, Any]:
    """Gives a request of every required field; `changes` replaces or adds fields."""
    return {
        "batch_id": batch_id,
        "tenant": "acme",
        "requested_by": "ops@acme.example",
        "purpose": "airdrop",
        "custody": "custodial",
        "jurisdiction": "SG",
        "chains": ["ethereum"],
        "source": {"uri": "inbox://subjects.csv", "sha256": "ab" * 32},
        **changes,
    }
