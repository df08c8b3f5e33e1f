"""The two workers as processes beside the stack's servers: started, asked whether they live, ended by pid."""

import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from infra.devstack import ports
from infra.devstack.errors import StackError
from infra.devstack.http import call
from infra.devstack.process import POLL_SECONDS, ServerProcess
from infra.devstack.state import REPOSITORY, StateFolder

ROLES = ("provisioning", "custody")
READY_SECONDS = 60
DRAIN_SECONDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """How one worker is: `polling`, `starting`, `draining`, `dead` or `stopped`."""

    name: str
    state: str
    pid: int | None
    port: int
    log: str
    log_end: str = ""


class WorkerProcess:
    """One worker of one role; several of a role may run, each under a name of its own."""

    def __init__(
        self, role: str, folder: StateFolder, *, copy: int = 1, settings: Path | None = None
    ) -> None:
        self.role = role
        self._settings = settings or folder.settings_path
        self.name = f"{role}-worker" if copy == 1 else f"{role}-worker-{copy}"
        self.process = ServerProcess(self.name, folder)
        self._folder = folder

    @property
    def port(self) -> int:
        """Where it answers whether it lives."""
        return self._folder.port(self.name)

    def start(self) -> bool:
        """Brings the worker to polling; gives False when it ran already.

        Raises: StackError when it ends instead, with the end of its log.
        """
        fresh = self.launch()
        self.await_polling()
        return fresh

    def launch(self) -> bool:
        """Begins the process, which is not ready yet; gives False when it ran already."""
        fresh = self.process.pid is None
        if fresh:
            self._folder.settle_ports((self.name,))
            variables = [
                f"WALLETWORKS_SETTINGS={self._settings}",
                f"WALLETWORKS_HEALTH_PORT={self.port}",
            ]
            command = ["/usr/bin/env", *variables, sys.executable, "-m", "workers", self.role]
            self.process.spawn(command, cwd=REPOSITORY)
        return fresh

    def await_polling(self) -> None:
        """Waits until the worker takes tasks.

        Raises: StackError when it ends instead, with the end of its log.
        """
        deadline = time.monotonic() + READY_SECONDS
        while self.answer() != "polling":
            if self.process.pid is None:
                raise StackError(f"{self.name} ended while it started", log_end=self.process.log_end())
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} does not poll yet", log_end=self.process.log_end())
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Lets the worker drain, then ends it."""
        self.process.stop(signal.SIGTERM, seconds=DRAIN_SECONDS)

    def kill(self) -> None:
        """Ends the worker at once, as a power cut would."""
        self.process.kill()

    def status(self) -> WorkerStatus:
        """Looks how the worker is now."""
        pid = self.process.pid
        state = self.answer() if pid else ("dead" if self.process.died else "stopped")
        return WorkerStatus(
            name=self.name,
            state=state or "starting",
            pid=pid,
            port=self.port,
            log=str(self.process.log),
            log_end=self.process.log_end() if state == "dead" else "",
        )

    def answer(self) -> str:
        """Gives the state the worker answers with; empty while it does not answer."""
        if not ports.is_listening(self.port):
            return ""
        answer = call("GET", f"http://127.0.0.1:{self.port}/live")
        return str(answer.body.get("state", "")) if answer else ""


def workers_of(folder: StateFolder, *, settings: Path | None = None) -> tuple[WorkerProcess, ...]:
    """Gives the stack's two workers; `settings` is another file than the stack's own."""
    return tuple(WorkerProcess(role, folder, settings=settings) for role in ROLES)
