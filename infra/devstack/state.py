"""The state folder: where it lies, what is in it, who may read it."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.devstack import ports
from infra.devstack.account import Account, unprivileged_account
from infra.devstack.errors import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLIC_TEMPORARY = Path("/var/tmp")  # noqa: S108 - our folder there is checked to be our own
FOLDERS = (
    *("objects", "inbox", "lists", "policies", "trust", "custody", "custody/policies"),
    *("logs", "run", "secrets", "temporal", "openbao"),
)


def default_state_dir(repository: Path = REPOSITORY) -> Path:
    """Gives `.walletworks` in the repository, or a folder under /var/tmp where that cannot work.

    PostgreSQL refuses to run as root, and the account it runs as then must be able to reach its data:
    a repository in a folder closed to others (/root) is out of that account's reach.
    """
    account = unprivileged_account()
    if account is None or account.can_reach(repository):
        return repository / ".walletworks"
    digest = hashlib.sha256(str(repository).encode()).hexdigest()[:12]
    return PUBLIC_TEMPORARY / f"walletworks-{digest}"


class StateFolder:
    """Paths and small files of one stack; everything but the way to PostgreSQL's data is owner-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account: Account | None = unprivileged_account()

    @property
    def settings_path(self) -> Path:
        """Where every process of ours reads its settings."""
        return self.path / "settings.toml"

    @property
    def exists(self) -> bool:
        """Tells whether a stack was ever started here."""
        return (self.path / "run").is_dir()

    def create(self) -> None:
        """Makes the folder and its parts; refuses one that belongs to somebody else."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.is_symlink() or self.path.stat().st_uid != os.geteuid():
            raise StackError(f"{self.path} belongs to another user: choose another with --state")
        self.path.chmod(0o700 if self.account is None else 0o711)
        if self.account is not None and not self.account.can_reach(self.path):
            raise StackError(
                f"{self.path} is closed to {self.account.name}, as whom PostgreSQL has to run when"
                " you are root: choose a folder others may pass through with --state"
            )
        for name in FOLDERS:
            (self.path / name).mkdir(exist_ok=True, mode=0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second start or stop on this folder waiting."""
        with (self.path / "run" / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read_json(self, name: str) -> dict[str, str]:
        """Gives the remembered object, empty when there is none."""
        try:
            found = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        return {str(key): str(value) for key, value in found.items()}

    def write_json(self, name: str, content: dict[str, str]) -> None:
        """Remembers an object of strings, readable by the owner only."""
        self.write(name, json.dumps(content, indent=2) + "\n")

    def write(self, name: str, content: str) -> Path:
        """Replaces a file whole and durably, readable by the owner only; gives its path."""
        target = self.path / name
        target.parent.mkdir(exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
        return target

    def secret_path(self, role: str, kind: str) -> Path:
        """Where a role's `database_url` or `vault_token` lies."""
        return self.path / "secrets" / role / kind

    def port(self, name: str) -> int:
        """Gives the remembered port of this name, choosing it the first time."""
        known = self.read_json("run/ports.json")
        if name not in known:
            known[name] = str(ports.choose({int(port) for port in known.values()}))
            self.write_json("run/ports.json", known)
        return int(known[name])

    def settle_ports(self, names: tuple[str, ...]) -> None:
        """Forgets those remembered ports that another program took meanwhile, and chooses anew."""
        known = self.read_json("run/ports.json")
        kept = {name: port for name, port in known.items() if name not in names or ports.is_free(int(port))}
        if kept != known:
            self.write_json("run/ports.json", kept)
        for name in names:
            self.port(name)

    def wipe(self) -> None:
        """Removes everything, keys included."""
        shutil.rmtree(self.path, ignore_errors=False)


def can_execute(binary: Path, account: Account) -> bool:
    """Tells whether the account can run this program where it lies, by trying."""
    try:
        done = subprocess.run(
            [binary, "--version"],
            cwd="/",
            capture_output=True,
            check=False,
            **account.popen_arguments(),
        )
    except PermissionError:
        return False
    return done.returncode == 0
