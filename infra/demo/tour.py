"""`python -m infra.demo.tour`: the demo with the newcomer as the compliance officer.

The other people play by themselves. Without a terminal the officer's part does too.
"""

import select
import shlex
import sys
from collections.abc import Callable

from infra.demo.cast import COMPLIANCE, Member
from infra.demo.play import Command, Matter, Play, console
from infra.demo.progress import Status, await_status
from infra.demo.run import run
from infra.devstack.state import REPOSITORY

_LOOK_SECONDS = 1.0
"""Between two looks whether the newcomer pressed Enter here or typed the commands elsewhere."""


class Tour(Play):
    """A play in which the compliance officer is whoever sits in front of it."""

    _welcomed = False

    def decide(self, member: Member, matter: Matter) -> None:
        """Leaves the officer's matters to the newcomer; the others decide by themselves."""
        if member != COMPLIANCE or not sys.stdin.isatty():
            super().decide(member, matter)
            return
        if not self._welcomed:
            self._welcomed = True
            self._welcome()
        self._leave_to_newcomer(matter)

    def _welcome(self) -> None:
        lines = [
            f"You are {COMPLIANCE.name}, compliance officer; a key was made for you. What you decide counts.",
            "To type your commands yourself, open another terminal and paste:",
            "",
            f"  cd {shlex.quote(str(REPOSITORY))} && . {shlex.quote(sys.prefix)}/bin/activate",
            *(f"  export {name}={shlex.quote(value)}" for name, value in self.variables(COMPLIANCE).items()),
        ]
        console.print("\n".join(["", *lines]), style="green", markup=False)

    def _leave_to_newcomer(self, matter: Matter) -> None:
        looks = list(matter.looks)
        console.print(f"\nYour turn. {matter.task}", style="bold green", markup=False)
        for command in (*looks, *matter.commands()):
            console.print(f"  walletworks {shlex.join(command)}", markup=False)
        console.print("Type them in the other terminal, or press Enter to have the next one run here.")
        while not self._is_settled(matter):
            if _enter_pressed():
                self._run_next(looks, matter)

    def _run_next(self, looks: list[Command], matter: Matter) -> None:
        """The newcomer may be faster in the other terminal: a refused repetition is no end of the tour."""
        for command in [looks.pop(0)] if looks else matter.commands()[:1]:
            self.act(COMPLIANCE, *command, expect=(0, 1))

    def _is_settled(self, matter: Matter) -> bool:
        return await_status(self.stack, matter.batch, _ended_or(matter.settled), seconds=0) is not None


def _ended_or(settled: Callable[[Status], bool]) -> Callable[[Status], bool]:
    return lambda status: status["stage"] == "ended" or settled(status)


def _enter_pressed() -> bool:
    """Waits a moment for a line on the terminal; a closed one counts as Enter."""
    ready, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
    if ready:
        sys.stdin.readline()
    return bool(ready)


if __name__ == "__main__":
    run(Tour, name="tour", summary=__doc__ or "")
