"""Named locks that a transaction holds until it ends: for effects of which one attempt may run at a time."""

from sqlalchemy import Connection, text

from activities.contracts.shapes import SliceStep


def lock(connection: Connection, name: str) -> None:
    """Waits until no other transaction holds the name, then holds it."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def lock_gates(connection: Connection, batch_id: str) -> None:
    """Lets one transaction at a time count, settle or end for a batch."""
    lock(connection, f"gates/{batch_id}")


def lock_slice(connection: Connection, stage: str, step: SliceStep) -> None:
    """Lets one attempt at a slice go on, so that the next one finds what it committed."""
    lock(connection, f"slice/{step.batch_id}/{stage}/{step.tranche}/{step.slice_index}")
