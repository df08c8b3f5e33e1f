"""Which editions of which lists a batch is screened with: pinned once, changed only before a wave.

Reads rules from the policy the batch was planned under, never from a file.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from activities.contracts.shapes import batch_chain
from activities.failures import PolicyViolationError
from activities.policy.shape import Policy, ScreeningRules, load_policy
from activities.screening.editions import Edition, Editions, known_editions, record_edition
from activities.store import audit
from activities.store.database import Database
from activities.store.locks import lock
from activities.store.tables import batch_lists, list_versions, plans


def batch_policy(connection: Connection, batch_no: int) -> Policy:
    """Gives the policy the batch was planned under.

    Raises: PolicyViolationError when it has no plan.
    """
    policy_text = connection.execute(
        select(plans.c.policy_text).where(plans.c.batch_no == batch_no)
    ).scalar_one_or_none()
    if policy_text is None:
        raise PolicyViolationError("the batch has no plan to screen under")
    return load_policy(policy_text)


def screening_rules(connection: Connection, batch_no: int) -> ScreeningRules:
    """Gives the screening part of the batch's policy."""
    return batch_policy(connection, batch_no).screening


def pinned_lists(connection: Connection, batch_no: int) -> dict[str, str]:
    """Gives the lists of the verdicts: list id to digest (hex); empty before they are pinned."""
    rows = connection.execute(
        select(batch_lists.c.list_id, batch_lists.c.digest)
        .where(batch_lists.c.batch_no == batch_no, batch_lists.c.applied_in_wave == 0)
        .order_by(batch_lists.c.list_id)
    )
    return {row.list_id: bytes(row.digest).hex() for row in rows}


def applied_lists(connection: Connection, batch_no: int) -> dict[str, list[str]]:
    """Gives every edition (hex) a batch was screened with, by list, the latest last."""
    rows = connection.execute(
        select(batch_lists.c.list_id, batch_lists.c.digest)
        .where(batch_lists.c.batch_no == batch_no)
        .order_by(batch_lists.c.list_id, batch_lists.c.pinned_at)
    )
    applied: dict[str, list[str]] = {}
    for row in rows:
        applied.setdefault(row.list_id, []).append(bytes(row.digest).hex())
    return applied


def read_newest(database: Database, editions: Editions, rules: ScreeningRules) -> list[Edition]:
    """Gives the edition in the folder of every list the rules make mandatory.

    Raises: ServiceUnavailableError naming the first list that may not be believed.
    """
    with database.transaction() as connection:
        known = known_editions(connection, rules.lists)
    return [editions.newest(list_id, rules, known[list_id]) for list_id in rules.lists]


def record_accepted(connection: Connection, editions: Iterable[Edition], archive: Editions) -> None:
    """Writes down the editions that were not accepted before."""
    for edition in editions:
        if edition.listed is not None:
            uri = archive.archive_uri(edition.list_id, edition.digest)
            record_edition(connection, edition.listed, uri)


def pin(
    connection: Connection, batch_id: str, batch_no: int, *, editions: list[Edition], archive: Editions
) -> dict[str, str]:
    """Pins the editions for the verdicts, unless that was done before; gives what is pinned."""
    lock(connection, f"lists/{batch_id}")
    if pinned := pinned_lists(connection, batch_no):
        return pinned
    record_accepted(connection, editions, archive)
    digests = {edition.list_id: edition.digest for edition in editions}
    add_lists(connection, batch_no, digests, wave=0)
    facts = {"lists": digests, "editions": stated_editions(connection, digests)}
    audit.append(connection, batch_chain(batch_id), kind="lists.pinned", facts=facts)
    return digests


def stated_editions(connection: Connection, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What accepted editions say of themselves, by list: where from, of which day, how many entries."""
    own = list_versions.c
    wanted = [(list_id, bytes.fromhex(digest)) for list_id, digest in digests.items()]
    rows = connection.execute(
        select(own.list_id, own.source, own.published_on, own.entry_count).where(
            tuple_(own.list_id, own.digest).in_(wanted)
        )
    )
    names = ("source", "published_on", "entry_count")
    return {row.list_id: {name: getattr(row, name) for name in names} for row in rows}


def add_lists(connection: Connection, batch_no: int, digests: Mapping[str, str], *, wave: int) -> None:
    """Records the editions a batch is screened with from now on; wave 0 stands for the verdicts."""
    for list_id, digest in digests.items():
        connection.execute(
            insert(batch_lists).values(
                batch_no=batch_no,
                list_id=list_id,
                digest=bytes.fromhex(digest),
                applied_in_wave=wave,
            )
        )
