"""The matter an approver signs: fetched by link, its digests computed here again, nothing taken on trust."""

import tomllib
from typing import Any

from activities.canonical import sha256_hex
from activities.edges import strict_json
from workers.cli.exits import CommandError
from workers.cli.output import console, print_pairs, print_text
from workers.cli.session import Session, fetch
from workers.cli.standing import TERMINATED, standing
from workers.cli.watching import describe_waiting

_DOCUMENT_BYTES_MAX = 1 << 20


async def matter_of(session: Session, batch: str) -> dict[str, Any]:
    """Gives what is to be decided on a batch.

    Raises: CommandError when a document differs from the digest that is to be signed.
    """
    status = await standing(session, batch)
    documents, plan_digest = status["documents"], status["plan_digest"]
    if status["cause"] == TERMINATED:
        raise CommandError(
            "the batch was terminated, nothing is left to decide: `walletworks status` tells more"
        )
    if plan_digest is None and status["stage"] == "ended":
        raise CommandError("the batch has ended without a plan: `walletworks status` tells why")
    if plan_digest is None:
        raise CommandError("the batch has no plan yet: `walletworks watch` tells when it has")
    if "plan" not in documents:
        raise CommandError("the batch has ended and only its record is left: `walletworks bundle` gives it")
    plan_text = fetch(documents["plan"])
    _require(sha256_hex(plan_text) == plan_digest, "the plan")
    plan = strict_json(plan_text.decode(), what="The plan", bytes_max=_DOCUMENT_BYTES_MAX)
    policy_text = fetch(documents["policy"])
    _require(sha256_hex(policy_text) == plan["policy_digest"], "the policy's text")
    evidence = _evidence(status)
    request = {name: value for name, value in plan["request"].items() if name != "signature"}
    return {
        "batch_id": batch,
        "request": request,
        "request_signed": bool(plan["request"].get("signature")),
        "subject_count": plan["subject_count"],
        "plan_digest": plan_digest,
        "policy": policy_text.decode(),
        "evidence": evidence,
        "evidence_digest": status["evidence_digest"],
        "counts": status["counts"],
        "gates": status["gates"],
        "waiting_for": status["waiting_for"],
        "waves": status["waves"],
    }


def gate_to_sign(matter: dict[str, Any], wanted: str) -> dict[str, Any]:
    """Gives the open gate of a name; `resume` means the newest, an empty name the one that is waited at.

    Raises: CommandError when no such gate is open, or when its digest is not one of the matter's.
    """
    waiting = matter["waiting_for"] or {}
    name = wanted or (waiting.get("name", "") if waiting.get("kind") == "approval" else "")
    gates = [g for g in matter["gates"] if g["gate"] == name or g["gate"].startswith(f"{name}/")]
    if not name or not gates:
        raise CommandError(
            f"the batch waits for no such approval; it waits for {describe_waiting(matter['waiting_for'])}"
        )
    gate: dict[str, Any] = gates[-1]
    _require(gate["digest"] in {matter["plan_digest"], matter["evidence_digest"]}, f"gate {gate['gate']}")
    return gate


def print_matter(matter: dict[str, Any], *, brief: bool = False) -> None:
    """Prints who asks for what, what the policy says (its text, or briefly), what screening found."""
    request = matter["request"]
    print_pairs(
        f"batch {matter['batch_id']}",
        [
            ("tenant", request["tenant"]),
            ("requested by", f"{request['requested_by']}{'' if matter['request_signed'] else ' (unsigned)'}"),
            ("purpose", request["purpose"]),
            ("custody", request["custody"]),
            ("jurisdiction", request["jurisdiction"]),
            ("chains", ", ".join(request["chains"])),
            ("subjects", f"{matter['subject_count']:,}"),
            ("waves", ", ".join(f"{wave['percent']} %" for wave in matter["waves"])),
            ("screening", _screening(matter)),
            ("plan digest", f"{matter['plan_digest']} (computed here)"),
            ("evidence digest", _digest_line(matter)),
            ("waits for", describe_waiting(matter["waiting_for"])),
        ],
    )
    if brief:
        print_pairs("policy, in brief", _policy_in_brief(matter["policy"]))
    else:
        console.print("[bold]policy[/bold]")
        print_text(matter["policy"])


def _policy_in_brief(text: str) -> list[tuple[str, object]]:
    """The rules an approver's eye looks for; what was stored with the plan was a valid policy."""
    policy = tomllib.loads(text)
    screening, signed_from = policy["screening"], policy["rollout"].get("approve_from_wave_max")
    return [
        ("jurisdiction", f"{policy['jurisdiction']}, version {policy['version']}"),
        *((f"gate {name}", _roles(gate["roles"])) for name, gate in policy.get("gates", {}).items()),
        ("lists", f"{', '.join(screening['lists'])}, held from score {screening['threshold']} on"),
        ("waves signed", f"from wave {signed_from} on at the latest" if signed_from else "none"),
        ("purposes", ", ".join(policy["purposes"])),
    ]


def _roles(roles: dict[str, int]) -> str:
    return ", ".join(f"{count} {role}" for role, count in roles.items())


def _evidence(status: dict[str, Any]) -> dict[str, Any] | None:
    """The newest evidence, whose document must have the digest that `status` names."""
    digest = status["evidence_digest"]
    if digest is None:
        return None
    texts = [
        text
        for name, document in status["documents"].items()
        if name.startswith("evidence")
        for text in [fetch(document)]
        if sha256_hex(text) == digest
    ]
    _require(bool(texts), "the evidence")
    evidence: dict[str, Any] = strict_json(
        texts[0].decode(), what="The evidence", bytes_max=_DOCUMENT_BYTES_MAX
    )
    _require(evidence["plan_digest"] == status["plan_digest"], "the evidence's plan")
    return evidence


def _screening(matter: dict[str, Any]) -> str:
    if matter["evidence"] is None:
        return "not done yet"
    return ", ".join(f"{count:,} {name}" for name, count in sorted(matter["evidence"]["counts"].items()))


def _digest_line(matter: dict[str, Any]) -> str:
    return f"{matter['evidence_digest']} (computed here)" if matter["evidence_digest"] else "-"


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CommandError(f"{what} is not what its digest says: do not sign, tell the operator")
