"""Who read what of a batch and why, on a chain of its own so that the attested head stays where it is."""

from sqlalchemy import Connection

from activities.store import audit


def reads_chain(batch_id: str) -> str:
    """The audit chain of a batch's readers."""
    return f"reads/{batch_id}"


def record_read(
    connection: Connection,
    batch_id: str,
    *,
    reader: str,
    reason: str,
    what: str = "",
    ordinal: int | None = None,
) -> None:
    """Appends one reading; must be committed before anything read is given out."""
    facts: dict[str, str | int] = {"batch_id": batch_id, "reader": reader, "reason": reason, "what": what}
    if ordinal is not None:
        facts["ordinal"] = ordinal
    audit.append(connection, reads_chain(batch_id), kind="record.read", facts=facts)
