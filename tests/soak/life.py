"""Batches that use every command well: one that ends with an exception, one rejected, one aborted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from infra.demo.cast import AUDITOR, COMPLIANCE, REQUESTER, TENANT, Member
from infra.demo.play import newest_gate
from infra.demo.script import SIGNERS
from tests.integration.batch.people import csv_of, people
from tests.soak.forms import GOOD, REFUSED, Form
from tests.soak.runner import Runner
from tests.waiting import eventually
from workers.cli.exits import Exit

SUBJECTS: Final = 5
TURN_WITHIN: Final = 120.0
_REASON: Final = ("--reason", "soaked")

Json = dict[str, Any]


class Life:
    """One batch, driven by the command line alone."""

    def __init__(self, runner: Runner, batch: str, *, held: int = 0) -> None:
        self._runner = runner
        self._batch = batch
        self._people = Path(f"{batch}.csv")
        rows = csv_of(people(batch, SUBJECTS, held=held))
        (runner.folder / self._people).write_text(rows)

    def complete(self) -> None:
        """From a dry run to a verified bundle; one subject is held and refused."""
        self._submit("--dry-run", detail="dry run")
        self._begin()
        again = ("--purpose", "campaign")
        self._submit(*again, form=REFUSED, code=Exit.REFUSED)
        self._good("inbox", member=COMPLIANCE)
        self._good("show", self._batch, member=COMPLIANCE)
        self._good("statement", self._batch, *_REASON, member=COMPLIANCE)
        self._pause_and_resume()
        self._pass_gates_until(lambda status: bool(status["counts"]["in_review"]))
        for hold in self._json("holds", self._batch, member=COMPLIANCE):
            chosen = ("--hold", hold["hold_digest"], "--decision", "refuse")
            self._good("adjudicate", self._batch, *chosen, *_REASON, member=COMPLIANCE)
        self._pass_gates_until(lambda _: False)
        self._watch_end(Exit.EXCEPTIONS)
        self._take_away()

    def be_rejected(self) -> None:
        """One rejection ends it."""
        self._begin()
        self._good("reject", self._batch, "--yes", *_REASON, member=COMPLIANCE)
        self._watch_end(Exit.REFUSED)

    def be_aborted(self) -> None:
        """Left early by a signed decision."""
        self._begin()
        self._good("abort", self._batch, *_REASON, member=COMPLIANCE)
        self._watch_end(Exit.REFUSED)

    def _begin(self) -> None:
        self._submit()
        self._json("watch", self._batch, "--until", "approval")

    def _submit(self, *more: str, form: str = GOOD, code: int = Exit.DONE, detail: str = "") -> None:
        use = (str(self._people), "--tenant", TENANT, "--chains", "ethereum", "--waves", "20,100")
        arguments = ("submit", *use, "--batch-id", self._batch, *more)
        self._runner.run(Form(arguments=arguments, form=form, code=code, detail=detail))

    def _pause_and_resume(self) -> None:
        self._good("pause", self._batch, *_REASON)
        for role in eventually(self._to_resume, TURN_WITHIN, what=f"{self._batch} can be resumed"):
            self._good("resume", self._batch, *_REASON, member=SIGNERS[role.partition("|")[0]])

    def _to_resume(self) -> list[str]:
        """Who is asked for at the gate of the pause."""
        gates = self._json("status", self._batch)["gates"]
        return [role for gate in gates if gate["gate"].startswith("resume/") for role in gate["still_needed"]]

    def _pass_gates_until(self, reached: Callable[[Json], bool]) -> None:
        """Signs what the batch waits for until something holds or it has ended."""
        while True:
            status = eventually(self._its_turn, TURN_WITHIN, what=f"{self._batch} waits or has ended")
            if reached(status) or status["stage"] == "ended":
                return
            gate = newest_gate(status) or {"gate": "", "still_needed": ()}
            for role in sorted(gate["still_needed"]):
                use = ("approve", self._batch, "--gate", gate["gate"], "--yes", *_REASON)
                self._good(*use, member=SIGNERS[role.partition("|")[0]])

    def _its_turn(self) -> Json:
        """The status, once the batch waits for people or has ended; nothing before."""
        status = self._json("status", self._batch)
        gate = newest_gate(status)
        turn = status["stage"] == "ended" or status["counts"]["in_review"] or (gate and gate["still_needed"])
        return status if turn else {}

    def _watch_end(self, code: int) -> None:
        detail = "to the end"
        self._runner.run(Form(arguments=("watch", self._batch), form=GOOD, code=code, detail=detail))

    def _take_away(self) -> None:
        bundle, trust = f"{self._batch}.zip", str(self._runner.stage.auditor_trust)
        self._good("wallets", self._batch, "--csv")
        self._good("why", self._batch, f"{self._batch}:1")
        self._good("bundle", self._batch, "--out", bundle)
        self._good("verify", bundle, "--trust", trust, "--key", str(self._runner.stage.key(AUDITOR)))
        self._runner.run(
            Form(arguments=("verify", bundle), form=REFUSED, code=Exit.REFUSED, detail="without trust")
        )

    def _good(self, *arguments: str, member: Member = REQUESTER) -> str:
        return self._runner.run(Form(arguments=arguments, form=GOOD, code=Exit.DONE, member=member))

    def _json(self, *arguments: str, member: Member = REQUESTER) -> Any:
        return json.loads(self._good(*arguments, "--json", member=member))
