"""Workers as a supervisor runs them: started with a settings file, ended by a signal, judged by exit code."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.devstack import Stack, ports
from infra.devstack.http import call
from infra.devstack.state import REPOSITORY
from tests.waiting import eventually

STARTS_WITHIN = 30


class WorkerProgram:
    """One `python -m workers ROLE` with its log; `code` is the folder of the release it runs."""

    def __init__(self, role: str, settings: Path, *, name: str = "", code: Path = REPOSITORY) -> None:
        self.port = ports.choose(set())
        self.log = settings.with_name(f"{name or role}-{self.port}.log")
        variables = {"WALLETWORKS_SETTINGS": str(settings), "WALLETWORKS_HEALTH_PORT": str(self.port)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers", role],
                cwd=code,
                env={"PATH": os.defpath, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def answers(self, state: str, *, path: str = "live") -> int:
        """The status of its liveness answer when that names the state, else 0."""
        answer = call("GET", f"http://127.0.0.1:{self.port}/{path}")
        return answer.status if answer and answer.body.get("state") == state else 0

    def until(self, state: str) -> int:
        """Waits for a state; gives the answer's status."""
        return eventually(lambda: self.answers(state), STARTS_WITHIN, what=f"{state}: {self.log}")

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, *, seconds: float = 45) -> int:
        """Waits for its end."""
        return self.process.wait(seconds)

    def end(self) -> None:
        """Ends it whatever it does."""
        self.process.kill()
        self.process.wait()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log: every line is JSON, or this fails."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def settings_with(stack: Stack, place: Path, changes: Mapping[str, Mapping[str, Any] | None]) -> Path:
    """Writes the stack's settings with keys of some sections changed, and those that become None left out."""
    settings = tomllib.loads(stack.settings_path.read_text())
    for section, keys in changes.items():
        settings[section] = settings.get(section, {}) | dict(keys or {})
    place.mkdir(parents=True, exist_ok=True)
    path = place / "settings.toml"
    top = {name: value for name, value in settings.items() if not isinstance(value, dict)}
    sections = [("", top), *((f"[{n}]", v) for n, v in settings.items() if isinstance(v, dict))]
    lines = [
        line
        for head, keys in sections
        for line in (head, *(f"{k} = {json.dumps(v)}" for k, v in keys.items() if v is not None))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
