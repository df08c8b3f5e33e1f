"""What the three servers of the stack have in common: start, wait, report, stop."""

import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from infra.devstack import ports
from infra.devstack.errors import StackError
from infra.devstack.process import POLL_SECONDS, ServerProcess
from infra.devstack.state import StateFolder

READY_SECONDS = 60
STOP_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """How one part is: `running`, `stopped`, `dead`, `unhealthy`, or `elsewhere` (not started by us)."""

    name: str
    state: str
    address: str
    pid: int | None = None
    log: str = ""
    log_end: str = ""

    @property
    def healthy(self) -> bool:
        """Tells whether the part answers as it should."""
        return self.state in {"running", "elsewhere"}


class Part(ABC):
    """A server of ours, or one that runs elsewhere and is only prepared."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: StateFolder, *, elsewhere: str = "") -> None:
        self.folder = folder
        self.elsewhere = elsewhere
        self.process = ServerProcess(self.name, folder)

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients find it."""

    @abstractmethod
    def launch(self) -> None:
        """Lays out its data the first time and spawns the process."""

    @abstractmethod
    def answers(self) -> bool:
        """Tells whether it is up far enough to be prepared."""

    @abstractmethod
    def prepare(self) -> None:
        """Brings what is inside to what the stack promises; changes nothing when it is so already."""

    @abstractmethod
    def healthy(self) -> bool:
        """Tells whether clients are served."""

    @property
    def must_launch(self) -> bool:
        """Tells whether the process is ours to start and does not run."""
        return not self.elsewhere and self.process.pid is None

    def settle_ports(self) -> None:
        """Keeps the remembered ports, or moves where another program took one meanwhile."""
        if self.must_launch:
            self.folder.settle_ports(self.port_names)

    def start(self) -> bool:
        """Makes the part ready for clients on its settled ports; gives False when it ran already."""
        fresh = self.must_launch
        if fresh:
            self._check_ports()
            self.launch()
        self._await_answer()
        self.prepare()
        return fresh

    def stop(self) -> None:
        """Ends the process if it is ours and runs; data stays."""
        if not self.elsewhere:
            self.process.stop(self.stop_signal, seconds=STOP_SECONDS)

    def kill(self) -> None:
        """Ends the process at once, as a crash would."""
        if self.elsewhere:
            raise StackError(f"{self.name} runs elsewhere: it is not ours to kill")
        self.process.kill()

    def status(self) -> PartStatus:
        """Looks how the part is now."""
        return PartStatus(
            name=self.name,
            state=self._state(),
            address=self.address,
            pid=None if self.elsewhere else self.process.pid,
            log="" if self.elsewhere else str(self.process.log),
            log_end=self.process.log_end() if self.process.died else "",
        )

    def _state(self) -> str:
        if self.elsewhere:
            return "elsewhere" if self.healthy() else "unhealthy"
        if self.process.pid is None:
            return "dead" if self.process.died else "stopped"
        return "running" if self.healthy() else "unhealthy"

    def _check_ports(self) -> None:
        taken = [p for p in map(self.folder.port, self.port_names) if not ports.is_free(p)]
        if taken:
            raise StackError(f"port {taken[0]} of {self.name} is taken: end what listens there")

    def _await_answer(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers():
            if self.elsewhere:
                raise StackError(
                    f"{self.name} could not be reached at {self.elsewhere}: start it, or unset the"
                    " variable that names it to use the stack's own"
                )
            if self.process.pid is None:
                raise self.failure("died while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"gave no answer for {READY_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def failure(self, what: str) -> StackError:
        """Gives the error that names the part, its log and the end of it."""
        return StackError(f"{self.name} {what}: read {self.process.log}", log_end=self.process.log_end())
