"""Signed decisions judged again from their exact texts, by the rules and the trust the auditor pins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from activities.canonical import canonical, text_digest
from activities.contracts.shapes import MAIN_TRANCHE
from activities.evidence.check_plan import policy_decision, readable_policy, readable_request, requester_key
from activities.evidence.facts import AuditFacts, BundleFacts, Entry
from activities.evidence.reader import loose_json
from activities.evidence.report import CheckFailedError, CheckSkippedError, require
from activities.evidence.rows import AttemptRow, GateRow
from activities.policy.decision import Decision
from activities.policy.shape import Policy
from activities.trust.gates import GateRule
from activities.trust.judging import Attempt, Gate, GateContext, GateState, Requester, judge_attempt, tally
from activities.trust.reasons import Reason
from activities.trust.statements import parse_instant
from activities.trust.trust_file import Trust

HOLD: Final = "hold"

_COUNTING_MAX: Final = timedelta(minutes=5)
"""Longest time between an attempt's moment and its entry: both are of one transaction."""

_UNSTORABLE: Final = (Reason.MALFORMED_STATEMENT, Reason.MALFORMED_SIGNATURE)
"""Reasons under which a text may have been one that the store kept with replacement characters."""

_CLOCK_GRAIN: Final = timedelta(milliseconds=1)
"""Both moments are read from one clock, the log's cut to microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What decisions of this batch are judged against."""

    trust: Trust
    policy: Policy
    decision: Decision
    context: GateContext
    counted: Mapping[tuple[str, str], list[AttemptRow]]
    """Counted attempts by the gate and digest their statements name, by arrival."""
    refused: Mapping[tuple[str, str], list[AttemptRow]]
    """Those refused while their gate was open: what the record says of a no does not take it back."""

    def rule(self, gate: str) -> GateRule:
        """Whom the policy asks for at a gate; `wave/3` and `resume/3` are kinds of gates."""
        rule = self.decision.gates.get(gate.partition("/")[0])
        if rule is None:
            raise CheckFailedError("the policy does not know a gate that was opened or decided on")
        return rule

    def terms(self, gate: str) -> dict[str, Any]:
        """A gate's terms by the policy: whom it asks for and how long it waits."""
        times = self.policy.approvals
        return {
            "roles": dict(self.rule(gate).seats),
            "wait_hours": times.wait_hours,
            "remind_hours": times.remind_hours,
            "escalate_hours": times.escalate_hours,
        }

    def stands(self, gate: str, digest: str, *, at: str) -> GateState:
        """How a gate stood at a moment, counted from the raw statements."""
        counted = [row for row in self.counted.get((gate, digest), []) if row.received_at <= at]
        return tally(
            Gate(name=gate, digest=digest, rule=self.rule(gate)),
            [_attempt(row) for row in (*counted, *self.refused.get((gate, digest), []))],
            trust=self.trust,
            context=self.context,
            now=parse_instant(at),
        )


def bench(facts: BundleFacts, found: AuditFacts) -> Bench:
    """Sets up the judging; skipped without pinned trust or without a plan."""
    if facts.trust is None:
        raise CheckSkippedError("the approvers' keys are not pinned")
    decision, policy = policy_decision(facts, found), readable_policy(facts)
    if decision is None or policy is None:
        raise CheckSkippedError("the batch ended before it was planned")
    request = readable_request(facts)
    context = GateContext(
        tenant=request.tenant,
        batch_id=request.batch_id,
        requester=Requester(name=request.requested_by, key_fingerprint=requester_key(facts, found)),
        validity_max=timedelta(hours=policy.approvals.validity_hours_max),
        gates=(),
    )
    return Bench(
        trust=facts.trust,
        policy=policy,
        decision=decision,
        context=context,
        counted=_by_gate([row for row in facts.attempts if row.counted]),
        refused=_refused_in_time(facts, found),
    )


def check_attempts(facts: BundleFacts, found: AuditFacts) -> str:
    """Every attempt is in the audit log, and every one that counted counts again."""
    order = [row.received_at for row in facts.attempts]
    require(order == sorted(order), "approvals.jsonl is not in its order")
    _require_recorded(facts, found)
    on = bench(facts, found)
    seen: set[str] = set()
    for (gate, digest), attempts in on.counted.items():
        for row in attempts:
            _require_counts(on, gate, digest, row, seen)
    refused = sum(not row.counted for row in facts.attempts)
    return f"{len(seen)} decisions count again, {refused} refused attempts are on record"


def check_gates(facts: BundleFacts, found: AuditFacts) -> str:
    """Each gate ended as its statements say, and nothing went on without the gates it needed."""
    on = bench(facts, found)
    opened = [
        (entry.facts.get("gate"), entry.facts.get("digest"), parse_instant(entry.facts.get("expires_at")))
        for entry in found.of_kind("gate.opened")
    ]
    held = [(row.gate, row.digest, parse_instant(row.expires_at)) for row in facts.gates]
    require(held == opened, "the gates differ from those in the audit log")
    ends = found.of_kind("gate.closed")
    closed = {_over(entry): (str(entry.facts.get("outcome")), entry.recorded_at) for entry in ends}
    for row in facts.gates:
        _require_gate(facts, on, row, closed.get((row.gate, row.digest)))
    known = len(closed) == len(ends) and set(closed) <= {(row.gate, row.digest) for row in facts.gates}
    require(known, "the audit log tells of a gate that is missing, or of an end twice")
    passed = {(row.gate, row.digest) for row in facts.gates if row.outcome == "approved"}
    needed = _needed(facts, on)
    require(needed <= passed, "something went on without a gate that the policy asks for")
    _require_waited(facts, found, needed)
    return f"{len(passed)} gates passed, {len(needed)} of them needed for what was done"


def check_holds(facts: BundleFacts, found: AuditFacts) -> str:
    """Every settled hold carries the decisions that the policy asks for."""
    settled = [row for row in facts.adjudications.values() if row.decision != "cancelled"]
    told = {
        (entry.facts.get("ordinal"), entry.facts.get("hold_digest"), entry.facts.get("decision"))
        for entry in found.of_kind("hold.settled")
        if entry.facts.get("decision") != "cancelled"
    }
    same = told == {(row.ordinal, row.hold_digest, row.decision) for row in settled}
    require(same, "the settled holds differ from those in the audit log")
    cancelled = sum(int(entry.facts["cancelled"]) for entry in found.of_kind("undo.screening"))
    same = cancelled == len(facts.adjudications) - len(settled)
    require(same, "the audit log tells of other cancelled holds")
    if not settled:
        raise CheckSkippedError("no hold was settled by people")
    on = bench(facts, found)
    for row in settled:
        state = on.stands(HOLD, row.hold_digest, at=facts.table.made_at)
        fits = state.satisfied if row.decision == "clear" else bool(state.rejected_by)
        require(fits, "a hold was settled without the decisions it needs")
    return f"{len(settled)} holds settled by signed decisions"


def _require_recorded(facts: BundleFacts, found: AuditFacts) -> None:
    entries = (*found.of_kind("attempt.counted"), *found.of_kind("attempt.refused"))
    told = {str(entry.facts.get("attempt_key")): entry for entry in entries}
    require(len(told) == len(entries), "the audit log tells of an attempt twice")
    held = {row.attempt_key for row in facts.attempts}
    whole = len(held) == len(facts.attempts) and held == set(told)
    require(whole, "the attempts differ from those in the audit log")
    for row in facts.attempts:
        entry = told[row.attempt_key]
        said = entry.facts
        counted = entry.kind == "attempt.counted"
        same = (counted, said.get("reason_code")) == (row.counted, row.reason_code)
        require(same, "an attempt ended otherwise than the audit log says")
        late = parse_instant(entry.recorded_at) - parse_instant(row.received_at)
        require(-_CLOCK_GRAIN <= late <= _COUNTING_MAX, "an attempt came at another time than it was logged")
        came = row.statement is not None
        whole = came == ("statement_sha256" in said) and came == (row.signature is not None)
        require(whole, "an attempt lacks its statement or signature, or has one it did not come with")
        altered = row.reason_code in _UNSTORABLE[:1] and "\ufffd" in str(row.statement)
        if row.statement is not None and not altered:
            exact = text_digest(row.statement) == said.get("statement_sha256")
            require(exact, "an attempt's statement differs from the one in the audit log")
        _require_arrival(row, said)


def _require_arrival(row: AttemptRow, said: Mapping[str, Any]) -> None:
    """What logs of before do not say, and every newer one does."""
    signature = str(row.signature)
    altered = row.reason_code in _UNSTORABLE and "\ufffd" in signature
    if "signature_sha256" in said and not altered:
        exact = text_digest(signature) == said["signature_sha256"]
        require(exact, "an attempt's signature differs from the one in the audit log")
    same = all(getattr(row, name) == said[name] for name in ("message", "received_at") if name in said)
    require(same, "an attempt came in another message or at another time than was logged")


def _require_counts(on: Bench, gate: str, digest: str, row: AttemptRow, seen: set[str]) -> None:
    opened = Gate(name=gate, digest=digest, rule=on.rule(gate))
    judged = judge_attempt(
        str(row.statement),
        str(row.signature),
        trust=on.trust,
        context=replace(on.context, gates=(opened,)),
        now=parse_instant(row.received_at),
        seen_nonces=seen,
    )
    require(judged.counted, f"a counted decision does not count: {judged.reason.value}")
    if judged.statement is not None:
        seen.add(judged.statement.nonce)


def _require_gate(facts: BundleFacts, on: Bench, row: GateRow, told: tuple[str, str] | None) -> None:
    digests = {facts.plan_digest, *facts.evidence_digests.values()}
    require(row.digest in digests, "a gate is over a digest that is neither the plan's nor the evidence's")
    # Spelt, not compared: to Python true is 1.
    same = canonical(row.terms) == canonical(on.terms(row.gate))
    require(same, "a gate asked for others than the policy")
    if not row.outcome:
        require(told is None, "a gate's end differs from the audit log")
        return
    require(told is not None and told[0] == row.outcome, "a gate's end differs from the audit log")
    state = on.stands(row.gate, row.digest, at=told[1] if told else "")
    if row.outcome == "approved":
        require(not state.rejected_by, "a gate passed over a decision against it that stands")
        require(state.satisfied, "a gate passed without the decisions it needs")
    elif row.outcome == "rejected":
        require(state.rejected_by, "a gate was rejected by nobody who may")


def _needed(facts: BundleFacts, on: Bench) -> set[tuple[str, str]]:
    """The gates that what was done needed: addresses need both decisions, waves their own."""
    derived = {row.tranche for row in facts.slices if row.stage == "derive"}
    needed: set[tuple[str, str]] = set()
    if "compliance" in on.decision.gates and (facts.stage("screen") or derived):
        needed.add(("compliance", facts.plan_digest))
    if "issuance" in on.decision.gates:
        needed |= {("issuance", facts.evidence_digests.get(tranche, "")) for tranche in derived}
    first = on.decision.rollout.approve_from_wave
    for wave in facts.waves.values():
        if first and wave.wave >= first:
            needed.add((f"wave/{wave.wave}", facts.evidence_digests.get(wave.tranche, "")))
    return needed


def _require_waited(facts: BundleFacts, found: AuditFacts, needed: set[tuple[str, str]]) -> None:
    """What a gate was needed for stands after the gate's end in the batch's own chain."""
    ends = {_over(entry): entry.seq for entry in found.of_kind("gate.closed")}
    starts = {f"wave/{entry.facts.get('wave')}": entry.seq for entry in found.of_kind("wave.opened")}
    for gate, kind in (("compliance", "lists.pinned"), ("issuance", "keyring.opened")):
        if begun := found.of_kind(kind):
            starts[gate] = begun[0].seq
    for gate, over in needed:
        late = gate == "issuance" and over != facts.evidence_digests.get(MAIN_TRANCHE)
        start = starts.get(gate)
        waited = late or start is None or ends.get((gate, over), start) < start
        require(waited, "something went on before the gate it needed had passed")


def _by_gate(attempts: Iterable[AttemptRow]) -> dict[tuple[str, str], list[AttemptRow]]:
    by_gate: dict[tuple[str, str], list[AttemptRow]] = {}
    for row in attempts:
        if row.message == "pause" and row.statement is None:
            continue
        said = loose_json(str(row.statement)) or {}
        by_gate.setdefault((str(said.get("gate")), str(said.get("digest"))), []).append(row)
    return by_gate


def _refused_in_time(facts: BundleFacts, found: AuditFacts) -> dict[tuple[str, str], list[AttemptRow]]:
    """Refused attempts that came after their gate had opened and before its end, by the log's own order."""
    came = {str(entry.facts.get("attempt_key")): entry.seq for entry in found.of_kind("attempt.refused")}
    # Told twice, a gate was open for the longer of the times.
    opened = {_over(entry): entry for entry in reversed(found.of_kind("gate.opened"))}
    ended = {_over(entry): entry.seq for entry in found.of_kind("gate.closed")}
    for entry in found.of_kind("hold.settled"):
        ended[HOLD, str(entry.facts.get("hold_digest"))] = entry.seq

    def is_in_time(over: tuple[str, str], row: AttemptRow) -> bool:
        seq = came[row.attempt_key]
        if seq > ended.get(over, seq):
            return False
        if over[0] == HOLD:  # open from its verdict on: nobody can name its digest before
            return True
        gate = opened.get(over)
        return gate is not None and gate.seq < seq and _is_before_expiry(row, gate)

    by_gate = _by_gate([row for row in facts.attempts if row.attempt_key in came])
    return {over: [row for row in rows if is_in_time(over, row)] for over, rows in by_gate.items()}


def _is_before_expiry(row: AttemptRow, gate: Entry) -> bool:
    return parse_instant(row.received_at) < parse_instant(gate.facts.get("expires_at"))


def _over(entry: Entry) -> tuple[str, str]:
    return str(entry.facts.get("gate")), str(entry.facts.get("digest"))


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        statement=str(row.statement),
        signature=str(row.signature),
        counted_at=parse_instant(row.received_at),
        refused=not row.counted,
    )
