"""The whole stack: three servers started side by side, one settings file that names them."""

import os
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from infra.devstack import settings_file
from infra.devstack.errors import StackError
from infra.devstack.openbao import OpenBao
from infra.devstack.part import Part, PartStatus
from infra.devstack.postgres import Postgres
from infra.devstack.state import StateFolder, default_state_dir
from infra.devstack.temporal import Temporal
from infra.devstack.workers import WorkerProcess, workers_of

T = TypeVar("T")

STATE_VARIABLE = "WALLETWORKS_STATE"
"""Names the state folder to our own commands, once `env` has pointed a shell at a stack."""


class Stack:
    """Temporal, PostgreSQL and OpenBao with their state in one folder.

    As a context manager it starts them and ends them; with `start` and `stop` they outlive this program.
    """

    def __init__(self, state_dir: Path | str | None = None) -> None:
        wanted = state_dir or os.environ.get(STATE_VARIABLE)
        path = Path(wanted).absolute() if wanted else default_state_dir()
        self._folder = StateFolder(path)
        self.temporal = Temporal(self._folder, elsewhere=self._elsewhere_temporal())
        self.postgres = Postgres(self._folder, elsewhere=os.environ.get("DATABASE_URL", ""))
        vault = os.environ.get("VAULT_ADDR", "") if os.environ.get("VAULT_TOKEN") else ""
        self.openbao = OpenBao(self._folder, elsewhere=vault)
        self._workers = workers_of(self._folder)
        self._staffed_by: Path | None = None

    @property
    def state_dir(self) -> Path:
        """The folder everything lies in."""
        return self._folder.path

    @property
    def settings_path(self) -> Path:
        """The settings file of this stack."""
        return self._folder.settings_path

    @property
    def parts(self) -> tuple[Part, ...]:
        """The three servers."""
        return (self.temporal, self.postgres, self.openbao)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> dict[str, bool]:
        """Starts what does not run, all at once; gives for each part whether it was started now.

        Raises:
            StackError: a part died or could not be reached; it is named, with the end of its log.
        """
        self._folder.create()
        with self._folder.locked():
            settings_file.lay_out_policies(self._folder)
            for part in self.parts:  # one after the other: they share one file of ports
                part.settle_ports()
            started = dict(zip(map(_name, self.parts), self._each(Part.start), strict=True))
            self._write_settings()
        return started

    def stop(self) -> None:
        """Ends every server of ours; data stays."""
        if self._folder.exists:
            with self._folder.locked():
                self.stop_workers()
                self._each(Part.stop)

    def wipe(self) -> None:
        """Ends every server of ours and removes the state folder, keys included."""
        self.stop()
        if self._folder.exists:
            self._folder.wipe()

    def kill(self, name: str) -> None:
        """Ends one server with SIGKILL: `temporal`, `postgres` or `openbao`."""
        self._part(name).kill()

    def start_server(self, name: str) -> None:
        """Brings one server back on the same port with the same data."""
        self._part(name).start()

    @property
    def deployment(self) -> str:
        """The deployment's name, made at the first start."""
        return str(tomllib.loads(self.settings_path.read_text())["deployment"])

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """The two workers, which run beside the servers when they were started."""
        return self._workers

    def staff(self, *, settings: Path) -> None:
        """Lets the workers that are started from now on read another settings file than the stack's own."""
        self._staffed_by = settings
        self._workers = workers_of(self._folder, settings=settings)

    def understudy(self, role: str) -> WorkerProcess:
        """Gives a second worker of a role, by the same settings; whoever starts it ends it."""
        return WorkerProcess(role, self._folder, copy=2, settings=self._staffed_by)

    def start_workers(self) -> dict[str, bool]:
        """Starts both workers; gives for each whether it was started now.

        Raises: StackError with the end of a worker's log when it ends instead.
        """
        self._must_exist()
        with self._folder.locked():
            started = {worker.name: worker.launch() for worker in self.workers}
            for worker in self.workers:
                worker.await_polling()
        return started

    def stop_workers(self) -> None:
        """Lets both workers drain at the same time, then ends them."""
        with ThreadPoolExecutor(max_workers=len(self.workers)) as pool:
            list(pool.map(WorkerProcess.stop, self.workers))

    def seal(self) -> None:
        """Seals the key service."""
        self.openbao.seal()

    def unseal(self) -> None:
        """Opens the key service again."""
        self.openbao.unseal()

    def status(self) -> list[PartStatus]:
        """Looks how each part is now."""
        self._must_exist()
        return [part.status() for part in self.parts]

    def environment(self) -> dict[str, str]:
        """Gives the variables that point our command line and `temporal` at this stack."""
        self._must_exist()
        return {
            STATE_VARIABLE: str(self.state_dir),
            "WALLETWORKS_SETTINGS": str(self.settings_path),
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": self.temporal.namespace,
        }

    def database_url(self, role: str) -> str:
        """Gives the URL of `owner`, `provisioning`, `custody` or `console`."""
        return self._folder.secret_path(role, "database_url").read_text()

    def vault_token(self, role: str) -> str:
        """Gives the token of `provisioning` or `custody`."""
        return self._folder.secret_path(role, "vault_token").read_text()

    def _elsewhere_temporal(self) -> str:
        """Gives the address of a Temporal that is not ours; our own may stand in the variable too."""
        address = os.environ.get("TEMPORAL_ADDRESS", "")
        own = self._folder.read_json("run/ports.json").get("temporal")
        return "" if own and address == f"127.0.0.1:{own}" else address

    def _must_exist(self) -> None:
        if not self._folder.exists:
            raise StackError(f"no stack was ever started in {self.state_dir}: run make up")

    def _part(self, name: str) -> Part:
        for part in self.parts:
            if part.name == name:
                return part
        raise StackError(f"there is no server named {name}: temporal, postgres or openbao")

    def _each(self, work: Callable[[Part], T]) -> list[T]:
        with ThreadPoolExecutor(max_workers=3) as pool:
            return [done.result() for done in [pool.submit(work, part) for part in self.parts]]

    def _write_settings(self) -> None:
        engine = self.temporal
        settings_file.write(
            self._folder,
            temporal={"address": engine.address, "namespace": engine.namespace, "ui": engine.ui},
            vault_address=self.openbao.address,
        )


def _name(part: Part) -> str:
    return part.name
