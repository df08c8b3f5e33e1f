"""The demo's script: a file of people becomes active wallets and a bundle that verifies offline."""

from pathlib import Path
from typing import Any

from infra.demo.cast import AUDITOR, COMPLIANCE, REQUESTER, TENANT, WALLETS
from infra.demo.play import Play

CHAINS = "ethereum,bsc,polygon"
DONE = (0, 4)
"""`watch` ends with 4 when somebody was refused, as the demo's one true hit is."""

SIGNERS = {"compliance_officer": COMPLIANCE, "wallet_officer": WALLETS}


def perform(play: Play, *, batch: str, people: Path, results: Path) -> dict[str, Any]:
    """Plays the whole batch; gives its last status."""
    _submit(play, batch, people)
    play.act(COMPLIANCE, "watch", batch, "--until", "approval")
    play.act(COMPLIANCE, "inbox")
    play.act(COMPLIANCE, "show", batch)
    _approve(play, batch, reason="plan and policy read")
    settled = False
    while True:
        status = play.ask(REQUESTER, "watch", batch, "--until", "approval", expect=(*DONE, 1))
        if status["stage"] == "ended":
            break
        if not settled:
            settled = True
            _settle_holds(play, batch)
        _approve(play, batch, reason="evidence read")
    play.act(REQUESTER, "watch", batch, expect=DONE)
    _take_away(play, batch, results)
    return dict(status)


def _submit(play: Play, batch: str, people: Path) -> None:
    command = ["submit", str(people), "--tenant", TENANT, "--chains", CHAINS, "--jurisdiction", "SG"]
    command += ["--batch-id", batch, "--waves", "1,10,50,100"]
    play.act(REQUESTER, *command, "--dry-run")
    play.act(REQUESTER, *command)


def _approve(play: Play, batch: str, *, reason: str) -> None:
    """Everybody whom the gate still asks for signs it."""
    status = play.ask(REQUESTER, "status", batch)
    gate = status["waiting_for"]["name"]
    needed = next(g["still_needed"] for g in status["gates"] if g["gate"] == gate)
    for role in needed:
        play.act(SIGNERS[role], "approve", batch, "--gate", gate, "--reason", reason, "--yes")


def _settle_holds(play: Play, batch: str) -> None:
    """Same name and another birth date is another person; the same birth date is a true hit."""
    play.act(COMPLIANCE, "holds", batch)
    for hold in play.ask(COMPLIANCE, "holds", batch):
        decision = "refuse" if _is_listed_person(hold) else "clear"
        reason = f"birth date {'agrees' if decision == 'refuse' else 'differs'}"
        command = ("adjudicate", batch, "--hold", hold["hold_digest"], "--decision", decision)
        play.act(COMPLIANCE, *command, "--reason", reason)


def _is_listed_person(hold: dict[str, Any]) -> bool:
    return any(hit["birth_date"] == "agrees" for hit in hold["hits"])


def _take_away(play: Play, batch: str, results: Path) -> None:
    table, bundle = results / f"{batch}-wallets.csv", results / f"{batch}.zip"
    play.act(REQUESTER, "wallets", batch, "--out", str(table))
    play.act(REQUESTER, "why", batch, _first_subject(table))
    play.act(AUDITOR, "bundle", batch, "--out", str(bundle))
    trust = str(play.stage.auditor_trust)
    play.act(AUDITOR, "verify", str(bundle), "--trust", trust, "--key", str(play.stage.key(AUDITOR)))


def _first_subject(table: Path) -> str:
    with table.open() as file:
        return [file.readline(), file.readline()][1].partition(",")[0]
