"""True bundles of batches that went another way, each an edit of the one that went all the way."""

from typing import Final

from activities.canonical import text_digest
from activities.contracts.shapes import SLICE_SIZE
from activities.evidence import layout
from tests.integration.pages import Row
from tests.integration.resealing import Dossier

MANY: Final = SLICE_SIZE + 12
"""Subjects that fill a slice and begin another."""

_SCREENED: Final = (
    "verdict",
    "score",
    "verdict_leaf",
    "hold_digest",
    "verdict_detail",
    "withholding_detail",
)


def ended_at_the_door(made: Dossier) -> None:
    """Claimed and never planned."""
    _cut(made, "failed", at="slice.intent")


def refused_by_policy(made: Dossier) -> None:
    """Planned, and refused for what the bundle does not show."""
    _cut(made, "refused", at="gate.opened")
    made.told("policy.decided")["outcome"] = "refused"


def rejected(made: Dossier) -> None:
    """Planned, and rejected by the first who looked at the plan."""
    _cut(made, "rejected", at="lists.pinned")
    no = made.attempt("compliance")
    no["message"] = made.told("attempt.counted")["message"] = "reject"
    made.state(no, decision="reject")
    made.row(layout.GATES, gate="compliance")["outcome"] = "rejected"
    made.told("gate.closed", gate="compliance")["outcome"] = "rejected"


def aborted_when_screened(made: Dossier) -> None:
    """Screened, its evidence sealed and approved, and aborted before there was a key."""
    _cut(made, "aborted", at="keyring.intent")


def of_many_subjects(made: Dossier) -> None:
    """The same with more subjects than a slice holds; the further ones are all clear."""
    aborted_when_screened(made)
    few = len(made.subjects)
    made.subjects += [{**made.subjects[0], "ordinal": at, "salt": f"{at:032x}"} for at in range(few, MANY)]
    for stage, clear in (("intake", 0), ("screen", 1)):
        _in_two_slices(made, made.row(layout.SLICES, stage=stage), clear)
    made.plan["subject_count"] = MANY
    made.parts[layout.EVIDENCE[0]]["counts"]["clear"] += MANY - few
    made.reroot_subjects()


def of_an_unsigned_request(made: Dossier) -> None:
    """The requester did not sign: every gate asked for one person more, and had one."""
    del made.request["signature"]
    ask_one_more(made)


def ask_one_more(made: Dossier) -> None:
    """Every gate asks for one person more and every hold had one."""
    for row in made.parts[layout.GATES]:
        seats = row["terms"]["roles"]
        seats["compliance_officer|wallet_officer"] = 1
        made.told("gate.opened", gate=row["gate"], digest=row["digest"])["roles"] = seats
    over = {(made.said(row)["gate"], made.said(row)["digest"]): row for row in _counted(made)}
    for row in over.values():
        made.decide(row, by=made.office.third)


def without_a_late_tranche(made: Dossier) -> None:
    """The last hold was cleared when nothing was issued any more."""
    late = made.evidence_digest(1)
    for row in made.rows(layout.GATES, digest=late):
        for kind in ("gate.opened", "gate.closed"):
            made.untell(kind, gate=row["gate"], digest=late)
    made.drop(layout.GATES, digest=late)
    for row in list(made.parts[layout.APPROVALS]):
        if made.said(row)["digest"] == late:
            made.forget_attempt(row)
    for name in (layout.SLICES, layout.WALLETS):
        made.drop(name, tranche=1)
    made.row(layout.ADJUDICATIONS, tranche=1)["tranche"] = None
    del made.parts[layout.EVIDENCE[1]]
    made.parts[layout.WAVES]["waves"].pop()
    made.untell("evidence.sealed", tranche=1)
    made.untell("wave.opened", wave=3)
    made.untell("wave.closed", wave=3)
    for shard in ("derive-1/0000", "wave-3-1/0000"):
        made.forget_chain(f"{made.chain}/{shard}")


def _counted(made: Dossier) -> list[Row]:
    return made.rows(layout.APPROVALS, counted=True)


def _cut(made: Dossier, outcome: str, *, at: str) -> None:
    """Ends the batch ahead of the first entry of a kind; the members keep what the log then still tells."""
    end = made.entries(at)[0]
    log = [row for row in made.parts[layout.AUDIT] if row["recorded_at"] < end["recorded_at"]]
    shards = {row["chain"] for row in log}
    closing = [row for row in made.entries("shard.closed") if row["body"]["chain"] in shards]
    own = [row for row in log if row["chain"] == made.chain]
    rest = [row for row in log if row["chain"] != made.chain]
    made.parts[layout.AUDIT] = [*own, *closing, *made.entries("batch.ended"), *rest]
    made.told("batch.ended")["outcome"] = made.table["outcome"] = outcome
    _keep(made, layout.GATES, "gate.opened", "gate", "digest")
    _keep(made, layout.SLICES, "slice.outcome", "stage", "slice_index")
    _keep(made, layout.ADJUDICATIONS, "hold.settled", "ordinal")
    told = {entry["body"]["attempt_key"] for entry in _attempts(made)}
    made.parts[layout.APPROVALS] = [row for row in made.parts[layout.APPROVALS] if row["attempt_key"] in told]
    made.parts[layout.WITHHOLDINGS], made.parts[layout.WALLETS] = [], []
    made.parts[layout.WAVES] = {"waves": []}
    _without_later_documents(made)


def _attempts(made: Dossier) -> list[Row]:
    return [*made.entries("attempt.counted"), *made.entries("attempt.refused")]


def _keep(made: Dossier, name: str, kind: str, *fields: str) -> None:
    told = {tuple(entry["body"].get(each) for each in fields) for entry in made.entries(kind)}
    made.parts[name] = [row for row in made.parts[name] if tuple(row[each] for each in fields) in told]


def _without_later_documents(made: Dossier) -> None:
    planned, pinned = made.entries("batch.planned"), made.entries("lists.pinned")
    for tranche, name in enumerate(layout.EVIDENCE):
        if not made.entries("evidence.sealed", tranche=tranche):
            del made.parts[name]
    lists = [row for row in made.parts[layout.LISTS]["lists"] if pinned and not row["applied_in_wave"]]
    made.parts[layout.LISTS] = {"lists": lists}
    if not planned:
        del made.parts[layout.PLAN], made.parts[layout.POLICY]
    gone = _SCREENED if not pinned else ("withholding_detail",)
    made.subjects = [{**row, **dict.fromkeys(gone)} for row in made.subjects if planned]


def _in_two_slices(made: Dossier, row: Row, clear: int) -> None:
    """The slice filled, and a second one; so many of each further subject are clear."""
    slices, log, size = made.parts[layout.SLICES], made.parts[layout.AUDIT], MANY - SLICE_SIZE
    outcome = made.entries("slice.outcome", stage=row["stage"])[0]
    intent = made.entries("slice.intent", stage=row["stage"])[0]
    # Another root for the time being: both are made anew, and neither must follow the other.
    second = {"slice_index": 1, "root": text_digest(row["stage"]), "row_count": size}
    second["counts"] = {name: size * clear * (name == "clear") for name in row["counts"]}
    slices.insert(slices.index(row) + 1, {**row, **second, "first_position": SLICE_SIZE, "length": size})
    later = [{**outcome, "body": {**like["body"], **second}} for like in (intent, outcome)]
    log[log.index(outcome) + 1 : log.index(outcome) + 1] = later
    added = (SLICE_SIZE - row["row_count"]) * clear
    counts = {name: count + added * (name == "clear") for name, count in row["counts"].items()}
    row |= {"row_count": SLICE_SIZE, "length": SLICE_SIZE, "counts": counts}
    outcome["body"] |= {"row_count": SLICE_SIZE, "counts": counts}
