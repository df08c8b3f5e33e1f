"""True bundles of batches that went another way, each an edit of the one that went all the way."""

from activities.evidence import layout
from tests.integration.resealing import Dossier

_SCREENED = ("verdict", "score", "verdict_leaf", "hold_digest", "verdict_detail", "withholding_detail")


def ended_at_the_door(made: Dossier) -> None:
    """Claimed and never planned."""
    _ended(made, "failed", planned=False)


def refused_by_policy(made: Dossier) -> None:
    """Planned, and refused for what the bundle does not show."""
    _ended(made, "refused", planned=True)
    made.told("policy.decided")["outcome"] = "refused"
    for name in (layout.GATES, layout.APPROVALS):
        made.parts[name] = []
    for kind in ("gate.opened", "gate.closed", "attempt.counted", "attempt.refused"):
        made.untell(kind)


def rejected(made: Dossier) -> None:
    """Planned, and rejected by the first who looked at the plan."""
    _ended(made, "rejected", planned=True)
    no = made.attempt("compliance")
    no["message"] = made.told("attempt.counted")["message"] = "reject"
    made.state(no, decision="reject")
    made.row(layout.GATES, gate="compliance")["outcome"] = "rejected"
    made.told("gate.closed", gate="compliance")["outcome"] = "rejected"


def of_an_unsigned_request(made: Dossier) -> None:
    """The requester did not sign: every gate asked for one person more, and had one."""
    del made.request["signature"]
    for row in made.parts[layout.GATES]:
        seats = row["terms"]["roles"]
        seats["compliance_officer|wallet_officer"] = 1
        made.told("gate.opened", gate=row["gate"], digest=row["digest"])["roles"] = seats
    first = {}
    for row in made.rows(layout.APPROVALS, counted=True):
        first[made.said(row)["gate"], made.said(row)["digest"]] = row
    for row in first.values():
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
            made.drop(layout.APPROVALS, attempt_key=row["attempt_key"])
            made.untell(
                "attempt.counted" if row["counted"] else "attempt.refused", attempt_key=row["attempt_key"]
            )
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


def _ended(made: Dossier, outcome: str, *, planned: bool) -> None:
    """Keeps what was before the lists were pinned, or before the plan was made."""
    for name in (*layout.EVIDENCE, *(() if planned else (layout.PLAN, layout.POLICY))):
        del made.parts[name]
    for name in (layout.ADJUDICATIONS, layout.WITHHOLDINGS, layout.WALLETS):
        made.parts[name] = []
    made.parts[layout.LISTS], made.parts[layout.WAVES] = {"lists": []}, {"waves": []}
    made.parts[layout.SLICES] = made.rows(layout.SLICES, stage="intake") if planned else []
    for name in (layout.GATES, layout.APPROVALS):
        about = made.said if name == layout.APPROVALS else dict
        made.parts[name] = [
            row for row in made.parts[name] if planned and about(row)["digest"] == made.plan_digest
        ]
    last = made.entries("lists.pinned" if planned else "slice.intent")[0]["seq"]
    made.parts[layout.AUDIT] = [
        row
        for row in made.parts[layout.AUDIT]
        if row["chain"] == made.chain and (row["seq"] < last or row["body"]["kind"] == "batch.ended")
    ]
    made.told("batch.ended")["outcome"] = made.table["outcome"] = outcome
    made.subjects = [{**row, **dict.fromkeys(_SCREENED)} for row in made.subjects if planned]
