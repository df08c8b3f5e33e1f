"""One run of the demo as a play in parts: members act by the public command line, and by nothing else.

How far a batch is, the play asks Temporal itself: that is what a script between two commands would do.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from infra.demo.cast import Member
from infra.demo.progress import Status, await_status
from infra.demo.staging import Stage
from infra.devstack.stack import Stack

Command: TypeAlias = tuple[str, ...]

WIDTH = 100
"""Columns of the output, so that tables fit a terminal and a log alike."""

console = Console(highlight=False, soft_wrap=True)

_PROGRAM = Path(sys.executable).with_name("walletworks")


class PlayError(Exception):
    """A command ended otherwise than the play needs; the text is the command and what it said."""


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What a member is to decide: how to look at it, the commands that decide it, how one sees it is done.

    `commands` gives those that are still to be run; `task` tells a newcomer what this is about.
    """

    batch: str
    task: str
    looks: tuple[Command, ...] = ()
    commands: Callable[[], list[Command]]
    settled: Callable[[Status], bool]


@dataclass(kw_only=True)
class Play:
    """Who acts on which stage; `seconds` tells how long each part took, the setting up as the first."""

    stack: Stack
    stage: Stage
    seconds: dict[str, float]

    @contextmanager
    def part(self, title: str, *sentences: str) -> Iterator[None]:
        """Announces a part, says what happens in it and why, and takes its time."""
        console.print(f"\n[bold reverse] {len(self.seconds)} [/bold reverse] [bold]{title}[/bold]")
        for sentence in sentences:
            console.print(f"  {sentence}", style="italic", markup=False)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[title] = time.monotonic() - began

    def act(self, member: Member, *command: str, expect: tuple[int, ...] = (0,)) -> int:
        """Shows and runs one command as a member; gives its exit code.

        Raises: PlayError when its exit code is not one of `expect`.
        """
        console.print(f"\n{member.name} $ walletworks {shlex.join(command)}", style="bold cyan", markup=False)
        done = self._run(member, command)
        if done.stdout:
            console.print(done.stdout.rstrip(), markup=False)
        self._require(done, command, expect)
        return done.returncode

    def ask(self, member: Member, *command: str, expect: tuple[int, ...] = (0,)) -> Any:
        """Runs a command for its JSON, unseen.

        Raises: PlayError when its exit code is not one of `expect`.
        """
        done = self._run(member, (*command, "--json"))
        self._require(done, command, expect)
        return json.loads(done.stdout)

    def decide(self, member: Member, matter: Matter) -> None:
        """Lets a member look at a matter and decide it."""
        for look in matter.looks:
            self.act(member, *look)
        for command in matter.commands():
            self.act(member, *command)

    def await_turn(self, batch: str) -> Status:
        """Gives the status once the batch waits for people or has ended.

        Raises: PlayError when neither comes.
        """
        status = await_status(self.stack, batch, _waits_or_ended)
        if status is None:
            raise PlayError(f"batch {batch} does not go on: read {self.stack.state_dir / 'logs'}")
        return status

    def variables(self, member: Member) -> dict[str, str]:
        """Gives the environment in which the command line acts as a member on this stack."""
        own = {"WALLETWORKS_AS": member.name, "WALLETWORKS_KEY": str(self.stage.key(member))}
        return self.stack.environment() | own

    def _run(self, member: Member, command: Command) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(_PROGRAM), *command],
            cwd=self.stage.folder,
            env=os.environ | self.variables(member) | {"COLUMNS": str(WIDTH)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _require(
        self, done: subprocess.CompletedProcess[str], command: Command, expect: tuple[int, ...]
    ) -> None:
        if done.returncode not in expect:
            said = done.stderr.strip() or "nothing"
            raise PlayError(f"`walletworks {shlex.join(command)}` ended with {done.returncode}: {said}")


def newest_gate(status: Status) -> dict[str, Any] | None:
    """Gives the gate the batch waits at, or None when it waits for no approval."""
    waiting = status["waiting_for"] or {}
    if waiting.get("kind") != "approval":
        return None
    gates = [gate for gate in status["gates"] if gate["gate"] == waiting["name"]]
    return gates[-1] if gates else None


def _waits_or_ended(status: Status) -> bool:
    """A gate that needs nobody any more is about to be left."""
    gate = newest_gate(status)
    return status["stage"] == "ended" or bool(gate and gate["still_needed"])
