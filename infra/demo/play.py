"""One run of the demo as a play: members act by the public command line, and by nothing else."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.demo.cast import Member
from infra.demo.staging import Stage
from infra.devstack.stack import Stack

console = Console(highlight=False, soft_wrap=True)

_PROGRAM = Path(sys.executable).with_name("walletworks")


class PlayError(Exception):
    """A command ended otherwise than the play needs; the text is the command and what it said."""


@dataclass(frozen=True, kw_only=True)
class Play:
    """Who acts on which stage."""

    stack: Stack
    stage: Stage

    def act(self, member: Member, *command: str, expect: tuple[int, ...] = (0,)) -> str:
        """Shows and runs one command as a member; gives what it printed.

        Raises: PlayError when its exit code is not one of `expect`.
        """
        console.print(f"\n{member.name} $ walletworks {shlex.join(command)}", style="bold cyan", markup=False)
        done = self._run(member, command)
        if done.stdout:
            console.print(done.stdout.rstrip(), markup=False)
        self._require(done, command, expect)
        return done.stdout

    def ask(self, member: Member, *command: str, expect: tuple[int, ...] = (0,)) -> Any:
        """Runs a command for its JSON, unseen: what a script would do between two commands."""
        done = self._run(member, (*command, "--json"))
        self._require(done, command, expect)
        return json.loads(done.stdout)

    def _run(self, member: Member, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        variables = {
            "WALLETWORKS_AS": member.name,
            "WALLETWORKS_KEY": str(self.stage.key(member)),
            "COLUMNS": "110",
        }
        return subprocess.run(
            [str(_PROGRAM), *command],
            env=os.environ | self.stack.environment() | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _require(
        self, done: subprocess.CompletedProcess[str], command: tuple[str, ...], expect: tuple[int, ...]
    ) -> None:
        if done.returncode not in expect:
            said = done.stderr.strip() or "nothing"
            raise PlayError(f"`walletworks {shlex.join(command)}` ended with {done.returncode}: {said}")
