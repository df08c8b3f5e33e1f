"""Odd workers as processes: started, read by their log, stopped, continued and ended by their own pid."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.devstack.state import REPOSITORY
from tests.waiting import eventually

Line = dict[str, Any]

STARTS_WITHIN = 60


class OddProcess:
    """One odd worker."""

    def __init__(self, role: str, way: str, *, settings: Path, folder: Path) -> None:
        self.role = role
        self._log = folder / f"{way}-{role}.jsonl"
        self._log.touch()
        errors = folder / f"{way}-{role}.err"
        command = [sys.executable, "-m", "tests.integration.twice.odd_worker", role, way, str(self._log)]
        with errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={"PATH": os.defpath, "WALLETWORKS_SETTINGS": str(settings)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def lines(self) -> list[Line]:
        """What it has told so far; a line that is still being written is left for later."""
        whole, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def told(self, holds: Callable[[Line], bool]) -> list[Line]:
        """The lines for which something holds."""
        return [line for line in self.lines() if holds(line)]

    def until_polling(self) -> None:
        """Waits until it takes tasks."""
        eventually(lambda: self.told(lambda line: "polls" in line), STARTS_WITHIN, what=f"{self.role} polls")

    def stop(self) -> None:
        """Takes all time from it, as a frozen host would."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Gives it back."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends it at once, stopped or not."""
        self._process.kill()
        self._process.wait()
