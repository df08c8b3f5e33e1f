"""One server process: started in a session of its own, remembered on disk, ended by its pid.

A pid alone is no identity: the kernel hands it out again. The start time and the boot it belongs to are
remembered with it, and nothing is signalled unless all three still agree.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from infra.devstack.account import Account
from infra.devstack.state import StateFolder

LOG_END_LINES = 15
POLL_SECONDS = 0.02
STATE_FIELD, PARENT_FIELD, STARTED_FIELD = 0, 1, 19  # counted after the command name in /proc/PID/stat


def stat_fields(pid: int) -> list[str]:
    """Gives the kernel's fields about a process from its state on; empty when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def identity(pid: int) -> dict[str, str]:
    """Gives what tells this process from any other; empty when it is gone or only waits to be reaped."""
    fields = stat_fields(pid)
    if not fields or fields[STATE_FIELD] == "Z":
        return {}
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"pid": str(pid), "started": fields[STARTED_FIELD], "boot": boot}


def children(pid: int) -> list[int]:
    """Gives the direct children of a process."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in pids if stat_fields(child)[PARENT_FIELD:][:1] == [str(pid)]]


def working_in(folder: Path) -> list[int]:
    """Gives the processes whose working directory is this folder, as far as we may see."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


class ServerProcess:
    """The process behind one server of the stack, whether this program started it or an earlier one."""

    def __init__(self, name: str, folder: StateFolder) -> None:
        self.name = name
        self.log = folder.path / "logs" / f"{name}.log"
        self._folder = folder
        self._record = f"run/{name}.json"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running server's pid, or None."""
        record = self._folder.read_json(self._record)
        pid = int(record.get("pid", "0"))
        same = {key: record.get(key) for key in ("pid", "started", "boot")} == identity(pid)
        return pid if pid and same else None

    @property
    def died(self) -> bool:
        """Tells whether a server is remembered that nobody stopped and that runs no more."""
        return bool(self._folder.read_json(self._record)) and self.pid is None

    def spawn(self, command: Sequence[str], *, cwd: Path, account: Account | None = None) -> None:
        """Starts the server with a bare environment, its output going to its log."""
        self._reap()
        with self.log.open("ab") as log:
            log_from = log.tell()
            self._child = subprocess.Popen(
                command,
                cwd=cwd,
                env={"PATH": os.defpath, "HOME": str(cwd), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                **(account.popen_arguments() if account else {}),
            )
        record = identity(self._child.pid) or {"pid": str(self._child.pid)}
        self._folder.write_json(self._record, record | {"log_from": str(log_from)})

    def stop(self, sign: signal.Signals, *, seconds: float) -> None:
        """Asks the server to end, insists after `seconds`, and forgets it."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, sign)
            if not self._gone_within(pid, seconds):
                self.kill()
        self._reap()
        (self._folder.path / self._record).unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the server and its own children at once, as a power cut would; it stays remembered."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)  # so that no child is born while they are counted
        family = [pid, *children(pid)]
        for member in family:
            os.kill(member, signal.SIGKILL)
        for member in family:
            self._gone_within(member, 10)
        self._reap()

    def log_end(self) -> str:
        """Gives the last lines logged since the latest start."""
        log_from = int(self._folder.read_json(self._record).get("log_from", "0"))
        try:
            with self.log.open("rb") as log:
                log.seek(log_from)
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-LOG_END_LINES:])

    def _gone_within(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while identity(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _reap(self) -> None:
        if self._child is not None and self.pid is None:
            self._child.wait()
            self._child = None
