"""Whether people approved what went on, by the raw signatures alone: OpenSSH itself verifies them."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.demo.cast import CAST, REQUESTER
from infra.demo.staging import Stage
from tests.chaos.case import Case


def nothing_went_on_unapproved(case: Case) -> Iterator[str]:
    """Compliance before screening, issuance before keys, each gated wave before it opens: by signatures."""
    (plan,) = case.rows("SELECT plan_digest, decision FROM plans WHERE batch_no = %(batch)s")
    evidence = {
        row.tranche: row.evidence_digest
        for row in case.rows("SELECT tranche, evidence_digest FROM evidence WHERE batch_no = %(batch)s")
    }
    gates = plan.decision["gates"]
    if screened := _first_done(case, "screen", 0):
        yield from _unapproved(case, "compliance", plan.plan_digest, gates["compliance"]["roles"], screened)
    for tranche, digest in evidence.items():
        if derived := _first_done(case, "derive", tranche):
            yield from _unapproved(case, "issuance", digest, gates["issuance"]["roles"], derived)
    for wave in case.rows("SELECT wave, tranche, opened_at FROM waves WHERE batch_no = %(batch)s"):
        if wave.wave >= plan.decision["approve_from_wave"]:
            digest, roles = evidence[wave.tranche], gates["wave"]["roles"]
            yield from _unapproved(case, f"wave/{wave.wave}", digest, roles, wave.opened_at)


def _first_done(case: Case, stage: str, tranche: int) -> datetime | None:
    done = case.rows(
        "SELECT min(done_at) AS at FROM slices"
        " WHERE batch_no = %(batch)s AND stage = %(stage)s AND tranche = %(tranche)s",
        stage=stage,
        tranche=tranche,
    )
    first: datetime | None = done[0].at
    return first


def _unapproved(
    case: Case, gate: str, digest: bytes, roles: Mapping[str, int], before: datetime
) -> Iterator[str]:
    """A gate that went on without enough distinct persons' own signatures; OpenSSH itself verifies them."""
    attempts = case.rows(
        "SELECT statement, signature, received_at FROM attempts"
        " WHERE batch_no = %(batch)s AND counted AND statement IS NOT NULL"
    )
    signed: dict[str, set[str]] = {}
    for attempt in attempts:
        said = json.loads(attempt.statement)
        if (said["gate"], said["digest"], said["decision"]) != (gate, digest.hex(), "approve"):
            continue
        if attempt.received_at < before and _is_genuine(case.stage, attempt, said["approver"]):
            for role in _roles_of(said["approver"]):
                signed.setdefault(role, set()).add(said["approver"])
    for role, needed in roles.items():
        if len(signed.get(role, ())) < needed:
            yield f"gate {gate} went on with {len(signed.get(role, ()))} of {needed} approvals by {role}"


def _roles_of(name: str) -> tuple[str, ...]:
    if name == REQUESTER.name:
        return ()
    return next((member.roles for member in CAST if member.name == name), ())


def _is_genuine(stage: Stage, attempt: Any, approver: str) -> bool:
    signers = "\n".join(f"{m.name} {stage.key(m).with_suffix('.pub').read_text().strip()}" for m in CAST)
    with tempfile.TemporaryDirectory() as folder:
        allowed, signature = Path(folder, "allowed"), Path(folder, "signature")
        allowed.write_text(signers + "\n")
        signature.write_text(attempt.signature)
        command = ["ssh-keygen", "-Y", "verify", "-n", "walletworks-approval", "-I", approver]
        command += ["-f", str(allowed), "-s", str(signature)]
        done = subprocess.run(command, input=attempt.statement.encode(), capture_output=True, check=False)
    return done.returncode == 0
