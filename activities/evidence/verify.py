"""Verifies a bundle offline: everything is recomputed from the file and the trust the auditor pins.

Reaches no database, no network and no Temporal. Never raises for what a stranger put into the file: it
answers with a report.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from activities.evidence import layout, rows
from activities.evidence.check_approvals import check_attempts, check_gates, check_holds
from activities.evidence.check_audit import (
    check_chains,
    check_heads,
    check_histories,
    check_kept,
    check_outcome,
    check_slices,
    check_waves,
)
from activities.evidence.check_evidence import check_evidence, check_lists
from activities.evidence.check_plan import (
    check_plan,
    check_policy,
    check_request,
    check_request_signature,
)
from activities.evidence.check_restricted import check_restricted
from activities.evidence.check_wallets import WalletWalk, check_signatures, check_states
from activities.evidence.facts import AuditFacts, BundleFacts, load_facts
from activities.evidence.reader import BundleReader, parsed
from activities.evidence.report import CheckFailedError, Findings, VerificationReport
from activities.trust.trust_file import Trust

UNPINNED: Final = "no trust file was given: nothing says whose signatures these should be"


def verify_bundle(
    path: Path, trust: Trust | None, *, restricted_identity: Any = None, kept: Path | None = None
) -> VerificationReport:
    """Checks everything a bundle claims.

    Args:
        path: the zip.
        trust: the auditor's own pinned copy; without it the report is never ok.
        restricted_identity: a key that opens the restricted part (`restricted.load_identity`).
        kept: an earlier bundle of the same batch, whose signed heads the log must still hold. Without one
            a whole older bundle cannot be told from the newest.
    """
    findings = Findings()
    batch_id = ""
    try:
        with BundleReader(path) as reader:
            batch_id = _verify(reader, trust, findings, restricted_identity, kept)
    except CheckFailedError as reason:
        findings.run("container", partial(_failed, str(reason)))
    return VerificationReport(
        pinned=trust is not None,
        checks=tuple(findings.checks),
        counts=dict(findings.counts),
        batch_id=batch_id,
    )


def _verify(
    reader: BundleReader, trust: Trust | None, findings: Findings, identity: Any, kept: Path | None
) -> str:
    if not findings.run("container", reader.require_layout):
        return ""
    loaded: list[BundleFacts] = []
    members = partial(_load, reader, trust, loaded)
    if not findings.run("members", members):
        return ""
    facts = loaded[0]
    _pin(facts, findings)
    found = AuditFacts()
    if findings.run("audit_chains", partial(check_chains, facts, found)):
        if kept is not None:
            findings.run("kept_heads", lambda: check_kept(facts, found, _heads_of(kept)))
        _verify_against_log(facts, found, findings)
    findings.run("histories", partial(check_histories, facts))
    walk = WalletWalk(facts)
    findings.run("wallet_signatures", partial(check_signatures, facts))
    if findings.run("wallets", walk.run):
        findings.run("wallet_states", partial(check_states, facts, found, walk))
        findings.run("restricted", partial(check_restricted, facts, walk, identity))
    findings.counts.update(_counts(facts, walk))
    return facts.table.batch_id


def _verify_against_log(facts: BundleFacts, found: AuditFacts, findings: Findings) -> None:
    checks: dict[str, Callable[[BundleFacts, AuditFacts], str]] = {
        "audit_head": check_heads,
        "audit_slices": check_slices,
        "outcome": check_outcome,
        "waves": check_waves,
        "request": check_request,
        "request_signature": check_request_signature,
        "plan": check_plan,
        "policy": check_policy,
        "evidence": check_evidence,
        "lists": check_lists,
        "approvals": check_attempts,
        "gates": check_gates,
        "holds": check_holds,
    }
    for name, check in checks.items():
        findings.run(name, partial(check, facts, found))


def _heads_of(kept: Path) -> list[rows.HeadRow]:
    with BundleReader(kept) as reader:
        reader.require_layout()
        return parsed(rows.Heads, reader.document(layout.HEADS), what=layout.HEADS).heads


def _load(reader: BundleReader, trust: Trust | None, loaded: list[BundleFacts]) -> str:
    table = parsed(rows.BundleTable, reader.document(layout.BUNDLE), what=layout.BUNDLE)
    sentence = reader.require_table(table)
    loaded.append(load_facts(reader, table, trust))
    return sentence


def _pin(facts: BundleFacts, findings: Findings) -> None:
    if facts.trust is None:
        findings.skip("trust", UNPINNED)
        return
    findings.run("trust", partial(_pinned, facts, facts.trust))


def _pinned(facts: BundleFacts, trust: Trust) -> str:
    if trust.deployment != facts.table.deployment:
        raise CheckFailedError("the bundle is of another deployment than the trust file")
    if not trust.attest_keys:
        raise CheckFailedError("the trust file pins no key of custody")
    return f"pinned to trust file {trust.digest}"


def _counts(facts: BundleFacts, walk: WalletWalk) -> dict[str, int]:
    return {
        "subjects": facts.plan.subject_count if facts.plan else 0,
        "wallets": walk.total,
        **{f"wallets_{state}": count for state, count in sorted(walk.states.items())},
        "attempts": len(facts.attempts),
        "slices": len(facts.slices),
    }


def _failed(sentence: str) -> str:
    raise CheckFailedError(sentence)
