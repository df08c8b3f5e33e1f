"""What must hold of a batch whatever happened on its way; knows nothing of any fault.

Each check reads the store anew and gives what is wrong, in sentences; nothing means that it holds. None
of them shares code with what wrote the rows, but the second derivation path, which exists to check.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final, LiteralString

from activities.custody.keyrings import PURPOSE
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed
from activities.custody.second_path_run import SecondPathJob, run_second_path
from tests.chaos.approved import nothing_went_on_unapproved
from tests.chaos.case import Case


def it_completed(case: Case) -> Iterator[str]:
    """The batch ended, once, as completed."""
    (batch,) = case.rows("SELECT outcome, result FROM batches WHERE batch_no = %(batch)s")
    if batch.outcome not in {"completed", "completed_with_exceptions"}:
        yield f"the batch ended {batch.outcome}"
    if batch.result is None or batch.result.get("outcome") != batch.outcome:
        yield "the recorded result does not say how the batch ended"


def nobody_has_two_wallets(case: Case) -> Iterator[str]:
    """A subject has one wallet a chain, whatever its row is called."""
    for row in case.rows(
        "SELECT subject_id, chain, count(*) AS n FROM wallets JOIN subjects USING (batch_no, ordinal)"
        " WHERE batch_no = %(batch)s GROUP BY subject_id, chain HAVING count(*) > 1"
    ):
        yield f"subject {row.subject_id} has {row.n} wallets on {row.chain}"
    for row in case.rows(
        "SELECT address, count(DISTINCT ordinal) AS n FROM wallets WHERE batch_no = %(batch)s"
        " GROUP BY address HAVING count(DISTINCT ordinal) > 1"
    ):
        yield f"address {row.address} stands for {row.n} subjects"


def nobody_unclear_has_a_wallet(case: Case) -> Iterator[str]:
    """Behind every wallet stands a clear verdict, or a hold that people cleared."""
    for row in case.rows(
        "SELECT w.ordinal, v.verdict, a.decision FROM wallets w"
        " LEFT JOIN verdicts v USING (batch_no, ordinal)"
        " LEFT JOIN adjudications a USING (batch_no, ordinal)"
        " WHERE w.batch_no = %(batch)s AND NOT coalesce(v.verdict = 'clear'"
        " OR (v.verdict = 'held' AND a.decision = 'clear' AND a.hold_digest = v.hold_digest), false)"
    ):
        yield f"ordinal {row.ordinal} has a wallet with verdict {row.verdict} and decision {row.decision}"


def no_index_serves_twice(case: Case) -> Iterator[str]:
    """In the whole store an index of an account is one subject's for ever, and a batch has one keyring."""
    for row in case.rows(
        "SELECT keyring_no, account, address_index FROM wallets GROUP BY keyring_no, account, address_index"
        " HAVING count(DISTINCT (batch_no, ordinal)) > 1 OR count(*) > count(DISTINCT chain)"
    ):
        yield f"index {row.address_index} of keyring {row.keyring_no} was used twice"
    (keyrings,) = case.rows("SELECT count(*) AS n FROM keyrings WHERE batch_no = %(batch)s")
    if keyrings.n != 1:
        yield f"the batch has {keyrings.n} keyrings"


def every_address_comes_from_its_seed(case: Case) -> Iterator[str]:
    """A fresh process opens the stored seed and finds every address again by the second path."""
    (keyring,) = case.rows("SELECT * FROM keyrings WHERE batch_no = %(batch)s")
    wallets = case.rows(
        "SELECT DISTINCT address_index, address FROM wallets WHERE batch_no = %(batch)s ORDER BY 1, 2"
    )
    report = run_second_path(
        SecondPathJob(
            key_service=case.key_service,
            sealed=SealedSeed(
                ciphertext=keyring.ciphertext,
                nonce=keyring.nonce,
                wrapped_key=keyring.wrapped_key,
                provider=keyring.provider,
            ),
            scope=SealScope(tenant=keyring.tenant, keyring_id=keyring.keyring_id, purpose=PURPOSE),
            family="evm",
            account=0,
            count=len(wallets),
            expected=[(row.address_index, row.address) for row in wallets],
        )
    )
    if report.mismatch_count:
        yield f"{report.mismatch_count} addresses do not come from the seed, first at {report.mismatches[:3]}"


def audit_is_whole(case: Case) -> Iterator[str]:
    """Every chain of the store hashes from its first entry to its head without a gap."""
    heads = {row.chain: row for row in case.rows("SELECT chain, seq, head FROM audit_heads")}
    entries = case.rows("SELECT * FROM audit_entries ORDER BY chain, seq")
    for chain, own in groupby(entries, lambda entry: entry.chain):
        seq, last, moment = 0, bytes(32), ""
        for entry in own:
            seq += 1
            said = f"{entry.recorded_at}\n{entry.body}".encode()
            stated = (entry.seq, entry.prev) == (seq, last) and entry.recorded_at >= moment
            last, moment = hashlib.sha256(last + seq.to_bytes(8, "big") + said).digest(), entry.recorded_at
            if not stated or last != entry.hash:
                yield f"chain {chain} breaks at {entry.seq}"
                break
        head = heads.pop(chain, None)
        if head is None or (head.seq, head.head) != (seq, last):
            yield f"chain {chain} does not end at its head"
    yield from (f"chain {chain} has a head and no entries" for chain in heads)


def every_outcome_was_intended(case: Case) -> Iterator[str]:
    """Before each outcome its chain holds the intent, and the keyring's before the keyring."""
    intended: set[tuple[Any, ...]] = set()
    for chain, body in case.audit():
        verb, _, end = body["kind"].rpartition(".")
        slice_of = tuple(body.get(name) for name in ("stage", "tranche", "slice_index"))
        what = (chain, verb, *(slice_of if verb == "slice" else ()))
        if end == "intent":
            intended.add(what)
        elif (end == "outcome" or body["kind"] == "keyring.opened") and what not in intended:
            yield f"{body['kind']} {slice_of} in {chain} was never intended"


def every_effect_happened_once(case: Case) -> Iterator[str]:
    """What was tried again after a kill left one record, and the records are those of the rows."""
    once: Counter[tuple[Any, ...]] = Counter()
    roots: dict[tuple[Any, ...], str] = {}
    for _, body in case.audit():
        if body["kind"] in _ONCE:
            once[body["kind"], *(body.get(name) for name in _ONCE[body["kind"]])] += 1
        if body["kind"] == "slice.outcome":
            roots[body["stage"], body.get("tranche", 0), body["slice_index"]] = body["root"]
    yield from (f"{what} is on record {count} times" for what, count in once.items() if count > 1)
    stored = {
        (row.stage, row.tranche, row.slice_index): row.root.hex()
        for row in case.rows("SELECT * FROM slices WHERE batch_no = %(batch)s AND stage <> 'verify'")
    }
    if stored != roots:
        yield f"slices and their records differ: {sorted(stored.items() ^ roots.items())[:3]}"


def counts_agree(case: Case) -> Iterator[str]:
    """Subjects, verdicts, wallets, waves, announcements and the told result tell the same numbers."""
    (batch,) = case.rows("SELECT result, chains FROM batches WHERE batch_no = %(batch)s")
    told = batch.result["counts"]
    expected = {
        "subjects": case.subject_count,
        "verdicts": case.subject_count,
        "eligible": told["clear"],
        "not_eligible": told["not_eligible"],
        "active": told["clear"] * len(batch.chains),
        "others": 0,
        "told_active": told["active"],
        "in_waves": told["active"],
        "undelivered": 0,
    }
    for name, sql in _COUNTED.items():
        (row,) = case.rows(sql)
        if row.n != expected[name]:
            yield f"{name}: the store has {row.n}, {expected[name]} are expected"
    if told["clear"] + told["not_eligible"] + told["in_review"] != case.subject_count:
        yield "the told counts do not add up to the subjects"


def every_active_wallet_was_derived_twice(case: Case) -> Iterator[str]:
    """Before a wave opened, a second path had found again every address of every range it activates."""
    verified: dict[int, list[tuple[int, int]]] = {}
    for _, body in case.audit():
        if body["kind"] == "range.verified":
            first = body["first_position"]
            verified.setdefault(body["tranche"], []).append((first, first + body["length"]))
    for wave in case.rows("SELECT * FROM waves WHERE batch_no = %(batch)s ORDER BY wave"):
        end = wave.first_position
        for first, last in sorted(verified.get(wave.tranche, [])):
            end = max(end, last) if first <= end else end
        if end < wave.first_position + wave.length:
            yield f"wave {wave.wave} holds positions from {end} on that no second path has looked at"
    for row in case.rows(
        "SELECT min(w.opened_at) AS opened, max(s.done_at) AS done FROM waves w"
        " JOIN slices s ON (s.batch_no, s.tranche, s.stage) = (w.batch_no, w.tranche, 'verify')"
        " WHERE w.batch_no = %(batch)s GROUP BY w.tranche"
    ):
        if row.opened < row.done:
            yield f"a wave opened at {row.opened}, before the second path had ended at {row.done}"


def announcements_arrived(case: Case) -> Iterator[str]:
    """Every announcement came to the receiver, under its one id with one content; nothing else came."""
    stored = {str(row.event_id) for row in case.rows("SELECT event_id FROM outbox")}
    yield from (f"announcement {event} never arrived" for event in sorted(stored - set(case.received)))
    yield from (f"{event} arrived and is in no outbox" for event in sorted(set(case.received) - stored))
    for event, contents in case.received.items():
        if len(contents) > 1:
            yield f"announcement {event} came with {len(contents)} contents"


def nobody_can_still_decide(case: Case) -> Iterator[str]:
    """No gate and no hold is left open behind an ended batch."""
    gates = case.rows("SELECT gate FROM gates WHERE batch_no = %(batch)s AND outcome IS NULL")
    yield from (f"gate {row.gate} is open although the batch has ended" for row in gates)
    (holds,) = case.rows(
        "SELECT count(*) AS n FROM verdicts LEFT JOIN adjudications a USING (batch_no, ordinal)"
        " WHERE batch_no = %(batch)s AND verdict = 'held' AND a.decision IS NULL"
    )
    if holds.n:
        yield f"{holds.n} holds are open although the batch has ended"


CHECKS: Final[tuple[Callable[[Case], Iterator[str]], ...]] = (
    it_completed,
    nobody_has_two_wallets,
    nobody_unclear_has_a_wallet,
    no_index_serves_twice,
    every_address_comes_from_its_seed,
    nothing_went_on_unapproved,
    audit_is_whole,
    every_outcome_was_intended,
    every_effect_happened_once,
    counts_agree,
    every_active_wallet_was_derived_twice,
    announcements_arrived,
    nobody_can_still_decide,
)


def violations(case: Case) -> dict[str, list[str]]:
    """Everything that does not hold, by the name of the check."""
    found = {check.__name__: list(check(case)) for check in CHECKS}
    return {name: wrong for name, wrong in found.items() if wrong}


_ONCE: Final[Mapping[str, tuple[str, ...]]] = {
    "batch.claimed": (),
    "batch.planned": (),
    "lists.pinned": (),
    "evidence.sealed": ("tranche",),
    "keyring.opened": (),
    "slice.outcome": ("stage", "tranche", "slice_index"),
    "range.verified": ("tranche", "slice_index"),
    "gate.opened": ("gate", "digest"),
    "gate.closed": ("gate", "digest"),
    "wave.opened": ("wave",),
    "wave.closed": ("wave",),
    "announcement.delivered": ("event_id",),
    "hold.settled": ("ordinal",),
    "attempt.counted": ("statement_sha256",),
    "batch.ended": (),
}
"""Records of effects, and the facts that tell one from another of its kind."""

_COUNTED: Final[Mapping[str, LiteralString]] = {
    "subjects": "SELECT count(*) AS n FROM subjects WHERE batch_no = %(batch)s",
    "verdicts": "SELECT count(*) AS n FROM verdicts WHERE batch_no = %(batch)s",
    "eligible": (
        "SELECT count(*) AS n FROM verdicts LEFT JOIN adjudications a USING (batch_no, ordinal)"
        " WHERE batch_no = %(batch)s AND (verdict = 'clear' OR a.decision = 'clear')"
    ),
    "not_eligible": (
        "SELECT count(*) AS n FROM verdicts LEFT JOIN adjudications a USING (batch_no, ordinal)"
        " WHERE batch_no = %(batch)s AND (verdict = 'refused' OR a.decision IN ('refuse', 'cancelled'))"
    ),
    "active": "SELECT count(*) AS n FROM wallets WHERE batch_no = %(batch)s AND state = 'active'",
    "others": "SELECT count(*) AS n FROM wallets WHERE batch_no = %(batch)s AND state <> 'active'",
    "told_active": (
        "SELECT coalesce(sum((body::jsonb->>'active')::int), 0) AS n FROM audit_entries"
        " WHERE chain = %(chain)s AND body::jsonb->>'kind' = 'wave.closed'"
    ),
    "in_waves": (
        "SELECT coalesce(sum((counts->>'active')::int), 0) AS n FROM slices"
        " WHERE batch_no = %(batch)s AND stage LIKE 'wave/%%'"
    ),
    "undelivered": "SELECT count(*) AS n FROM outbox WHERE batch_no = %(batch)s AND delivered_at IS NULL",
}
"""Numbers that must agree, each counted from other rows."""
