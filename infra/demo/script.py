"""The script that demo and tour share: a file of people becomes active wallets and a verified bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.demo.cast import AUDITOR, COMPLIANCE, REQUESTER, TENANT, WALLETS, Member
from infra.demo.play import Command, Matter, Play, newest_gate
from infra.demo.progress import Status

CHAINS = "ethereum,bsc,polygon"
ENDED = (0, 1, 4)
"""`watch` ends with 4 when somebody was refused, as the demo's one true hit is; 1 when people say no."""

SIGNERS = {"compliance_officer": COMPLIANCE, "wallet_officer": WALLETS}

REQUEST = (
    "The request",
    "A product team asks for wallets for the people in a file. The dry run says what would happen;",
    "the second command hashes the file, signs the request and starts the batch.",
)
REVIEW = (
    "Compliance review",
    "Nothing is made before people agree. Each approver looks at the plan, whose digest is computed again",
    "on their own machine, and signs that digest with their own SSH key. Two different roles must.",
)
SCREENING = (
    "Screening",
    "Everybody was compared with the sanctions lists, and the lists' digests were pinned. Three resemble",
    "a listed person: they are held, and an officer decides on each. Two only share a name; one is refused.",
)
KEYS = (
    "Keys",
    "The approval is over the evidence digest: plan, lists and verdicts together. Only then custody makes",
    "the seed, seals it, derives every address, and derives them all again by a second, foreign path.",
)
ROLLOUT = (
    "Rollout in waves",
    "Addresses become active wave by wave: 1 %, 10 %, 50 %, 100 %, signed for from the second wave on.",
    "The two who were cleared after the evidence was sealed get evidence, approval and a last wave of",
    "their own.",
)
RECORD = (
    "The record",
    "The requester takes the table away and asks why one wallet is where it is. The auditor takes one file",
    "away and checks everything in it offline, trusting only a trust file and a key of her own.",
)


def perform(play: Play, *, batch: str, people: Path) -> Status:
    """Plays the whole batch, or as far as people let it go; gives its last status."""
    with play.part(*REQUEST):
        _submit(play, batch, people)
        status = play.await_turn(batch)
    with play.part(*REVIEW):
        looks = (("inbox",), ("show", batch, "--brief"))
        status = _pass_gate(play, status, looks=looks, reason="plan and policy read")
    if status["counts"]["in_review"]:
        with play.part(*SCREENING):
            play.decide(COMPLIANCE, _holds(play, batch))
            status = play.await_turn(batch)
    if status["stage"] != "ended":
        with play.part(*KEYS):
            status = _pass_gate(play, status, looks=(("show", batch, "--brief"),), reason="evidence read")
    if status["stage"] != "ended":
        with play.part(*ROLLOUT):
            status = _roll_out(play, batch, status)
    with play.part(*RECORD):
        _take_away(play, batch, status)
    return status


def _submit(play: Play, batch: str, people: Path) -> None:
    command = ["submit", people.name, "--tenant", TENANT, "--chains", CHAINS, "--jurisdiction", "SG"]
    command += ["--batch-id", batch, "--waves", "1,10,50,100"]
    play.act(REQUESTER, *command, "--dry-run")
    play.act(REQUESTER, *command)


def _roll_out(play: Play, batch: str, status: Status) -> Status:
    while status["stage"] != "ended":
        status = _pass_gate(play, status, reason="earlier waves looked at")
    play.act(REQUESTER, "watch", batch, expect=ENDED)
    return status


def _pass_gate(play: Play, status: Status, *, looks: tuple[Command, ...] = (), reason: str) -> Status:
    """Whom the gate still asks for signs it, one by one; the first looks for the audience too."""
    gate = here = newest_gate(status)
    while gate and here and _key(here) == _key(gate):
        member = SIGNERS[next(iter(here["still_needed"]))]
        play.decide(member, _approval(member, status["batch_id"], gate, looks=looks, reason=reason))
        looks = ()
        status = play.await_turn(status["batch_id"])
        here = newest_gate(status)
    return status


def _key(gate: dict[str, Any]) -> tuple[str, str]:
    return gate["gate"], gate["digest"]


def _approval(
    member: Member, batch: str, gate: dict[str, Any], *, looks: tuple[Command, ...], reason: str
) -> Matter:
    command = ("approve", batch, "--gate", gate["gate"], "--reason", reason, "--yes")
    return Matter(
        batch=batch,
        task=f"The gate {gate['gate']} waits for your signature over the digest {gate['digest'][:16]}...",
        looks=looks,
        commands=lambda: [command],
        settled=_signed_by(member, gate),
    )


def _signed_by(member: Member, gate: dict[str, Any]) -> Callable[[Status], bool]:
    """Settled once the member counts at the gate, or the batch waits there no more."""

    def settled(status: Status) -> bool:
        waits = (status["waiting_for"] or {}).get("name") == gate["gate"]
        same = [g for g in status["gates"] if _key(g) == _key(gate)]
        return not waits or any(member.name in g["approved_by"] for g in same)

    return settled


def _holds(play: Play, batch: str) -> Matter:
    return Matter(
        batch=batch,
        task="People who resemble somebody on a list are held until you decide: clear or refuse. The same"
        " name with another birth date is another person; the same birth date is a true hit.",
        looks=(("holds", batch),),
        commands=lambda: [_decision(batch, hold) for hold in play.ask(COMPLIANCE, "holds", batch)],
        settled=lambda status: not status["counts"]["in_review"],
    )


def _decision(batch: str, hold: dict[str, Any]) -> Command:
    listed = any(hit["birth_date"] == "agrees" for hit in hold["hits"])
    decision, reason = ("refuse", "birth date agrees") if listed else ("clear", "birth date differs")
    digest = hold["hold_digest"]
    return ("adjudicate", batch, "--hold", digest, "--decision", decision, "--reason", reason)


def _take_away(play: Play, batch: str, status: Status) -> None:
    folder = play.stage.folder
    if status["counts"]["active"]:
        table = f"{batch}-wallets.csv"
        play.act(REQUESTER, "wallets", batch, "--out", table)
        play.act(REQUESTER, "why", batch, _first_subject(folder / table))
    play.act(AUDITOR, "bundle", batch, "--out", f"{batch}.zip")
    key = play.stage.key(AUDITOR).relative_to(folder)
    trust = play.stage.auditor_trust.relative_to(folder)
    play.act(AUDITOR, "verify", f"{batch}.zip", "--trust", str(trust), "--key", str(key))


def _first_subject(table: Path) -> str:
    with table.open() as file:
        return [file.readline(), file.readline()][1].partition(",")[0]
