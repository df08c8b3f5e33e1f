"""What `status`, the UI's current details and the search attributes show of a batch; counts only."""

import string
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from workflows.batch_state import BatchState

BATCH_STAGE = SearchAttributeKey.for_keyword("BatchStage")
BATCH_TENANT = SearchAttributeKey.for_keyword("BatchTenant")
BATCH_PURPOSE = SearchAttributeKey.for_keyword("BatchPurpose")
BATCH_JURISDICTION = SearchAttributeKey.for_keyword("BatchJurisdiction")
BATCH_WAITING_FOR = SearchAttributeKey.for_keyword("BatchWaitingFor")
BATCH_WALLETS = SearchAttributeKey.for_int("BatchWallets")

_ESCAPED = str.maketrans({c: f"\\{c}" for c in string.punctuation})
"""All of it: where a colon or a slash stays, readers that link bare addresses find one."""


class Showing:
    """Shows one batch in the UI and in the search attributes; an unchanged attribute costs nothing."""

    def __init__(self, state: BatchState) -> None:
        self._state = state
        self._shown: dict[str, object] = {}

    def publish(self) -> None:
        """Sets the current details, and upserts the search attributes that changed."""
        workflow.set_current_details(details_of(self._state))
        updates = []
        for key, value in _attributes(self._state):
            if value and self._shown.get(key.name) != value:
                self._shown[key.name] = value
                updates.append(key.value_set(value))
        if updates:
            workflow.upsert_search_attributes(updates)


def status_of(state: BatchState) -> dict[str, Any]:
    """Gives the JSON object of the query `status`; held subjects count as `in_review`."""
    shown = {
        "batch_id": state.batch_id,
        "tenant": state.request.get("tenant", ""),
        "requested_by": state.request.get("requested_by", ""),
        "purpose": state.request.get("purpose", ""),
        "jurisdiction": state.request.get("jurisdiction", ""),
        "chains": state.request.get("chains", []),
        "stage": state.stage,
        "outcome": state.outcome or None,
        "cause": state.cause or None,
        "reasons": state.reasons,
        "counts": counts_of(state),
        "plan_digest": state.plan.plan_digest if state.plan else None,
        "evidence_digest": _evidence_digest(state),
        "waiting_for": waiting_of(state),
        "paused": state.paused,
        "gates": _gates(state),
        "approvals": state.approvals,
        "messages_refused": [
            {"message": r.message, "reason_code": r.reason_code, "reason": r.reason, "at": r.at}
            for r in state.refusals
        ],
        "waves": [
            {"wave": w.wave, "percent": w.percent, "wallets": w.wallets, "state": w.state}
            for w in state.waves
        ],
        "documents": _documents(state),
    }
    return shown | state.recorded


def counts_of(state: BatchState) -> dict[str, int]:
    """Gives the counts people may see: no word tells a held subject from one still being looked at."""
    if state.recorded:
        return dict(state.recorded["counts"])
    counts = state.counts
    return {
        "rows": state.row_count,
        "bad_rows": state.bad_row_count,
        "subjects": state.subject_count,
        "clear": counts.get("clear", 0) + counts.get("cleared", 0),
        "in_review": state.open_holds,
        "not_eligible": counts.get("not_eligible", 0),
        "ready": counts.get("ready", 0),
        "active": counts.get("active", 0),
        "frozen": counts.get("frozen", 0),
        "revoked": counts.get("revoked", 0),
    }


def waiting_of(state: BatchState) -> dict[str, str] | None:
    """Gives what the batch waits for, a service before anything else, and until when."""
    if state.services:
        return {"kind": "service", "name": ", ".join(sorted(set(state.services.values()))), "until": ""}
    if state.waiting.kind == "none":
        return None
    return {"kind": state.waiting.kind, "name": state.waiting.name, "until": state.waiting.until}


def details_of(state: BatchState) -> str:
    """Gives the same as markdown for the UI; everything a stranger wrote is escaped."""
    waiting = waiting_of(state)
    lines = [
        f"**Stage** {state.stage}" + (f", **outcome** {state.outcome}" if state.outcome else ""),
        f"**Tenant** {escaped(state.request.get('tenant', ''))}",
        f"**Requested by** {escaped(state.request.get('requested_by', ''))}",
    ]
    if waiting:
        until = f" until {waiting['until']}" if waiting["until"] else ""
        lines.append(f"**Waits for** {waiting['kind']} {escaped(waiting['name'])}{until}")
    lines += ["", "| count | |", "| --- | ---: |"]
    lines += [f"| {name} | {count:,} |" for name, count in counts_of(state).items()]
    if state.waves:
        lines += ["", "| wave | percent | wallets | state |", "| ---: | ---: | ---: | --- |"]
        lines += [f"| {w.wave} | {w.percent} | {w.wallets:,} | {w.state} |" for w in state.waves]
    if state.refusals:
        lines += [
            "",
            f"{len(state.refusals)} message(s) refused, the last: {escaped(state.refusals[-1].reason)}",
        ]
    return "\n".join(lines)


def escaped(text: object) -> str:
    """Gives text that markdown shows as it is, on one line, cut to 200 characters."""
    flat = "".join(c if c.isprintable() else " " for c in str(text))[:200]
    return flat.translate(_ESCAPED)


def _attributes(state: BatchState) -> list[tuple[SearchAttributeKey[Any], Any]]:
    waiting = waiting_of(state)
    return [
        (BATCH_STAGE, state.stage),
        (BATCH_TENANT, state.request.get("tenant", "")),
        (BATCH_PURPOSE, state.request.get("purpose", "")),
        (BATCH_JURISDICTION, state.request.get("jurisdiction", "")),
        (BATCH_WAITING_FOR, waiting["kind"] if waiting else "none"),
        (BATCH_WALLETS, state.subject_count * len(state.request.get("chains", []))),
    ]


def _evidence_digest(state: BatchState) -> str | None:
    newest = max(state.evidence, default=None)
    return state.evidence[newest].evidence_digest if newest is not None else None


def _gates(state: BatchState) -> list[dict[str, Any]]:
    return [
        {
            "gate": name,
            "digest": standing.digest,
            "approved_by": standing.approved_by,
            "rejected_by": standing.rejected_by or None,
            "still_needed": standing.still_needed,
            "until": state.gate_until.get(name, ""),
            "passed": f"{name}:{standing.digest}" in state.gates_passed,
        }
        for name, standing in state.gates.items()
    ]


def _documents(state: BatchState) -> dict[str, dict[str, Any]]:
    documents = dict(state.plan.documents) if state.plan else {}
    for sealed in state.evidence.values():
        documents.update(sealed.documents)
    return {name: {"uri": d.uri, "sha256": d.sha256, "size": d.size} for name, d in sorted(documents.items())}
