"""The parts of the dev stack that need no server."""

import os
import signal
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.devstack import Stack, StackError, database, ports, settings_file
from infra.devstack.__main__ import main
from infra.devstack.account import Account
from infra.devstack.keyservice import POLICIES
from infra.devstack.process import ServerProcess, identity
from infra.devstack.state import StateFolder, default_state_dir


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Gives a state folder whose layout is made; the account to drop to plays no part here."""
    made = StateFolder(tmp_path / "state")
    made.account = None
    made.create()
    return made


@pytest.fixture
def sleeper(folder: StateFolder) -> Iterator[ServerProcess]:
    """Gives a server process that does nothing until it is ended."""
    process = ServerProcess("sleeper", folder)
    process.spawn(["/bin/sh", "-c", "echo born; exec sleep 1000"], cwd=folder.path)
    yield process
    process.stop(signal.SIGKILL, seconds=5)


def test_a_port_in_use_is_not_free() -> None:
    """A remembered port that another program listens on is given up."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.is_listening(port)


def test_ports_are_remembered_and_move_only_when_taken(folder: StateFolder) -> None:
    """Restarts keep their ports, but for the one somebody else holds."""
    names = ("first", "second")
    folder.settle_ports(names)
    first, second = folder.port("first"), folder.port("second")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        folder.settle_ports(names)
    assert folder.port("first") != first
    assert folder.port("second") == second


def test_written_files_are_readable_by_the_owner_only(folder: StateFolder) -> None:
    """Secrets and settings have mode 0600 whatever the umask is."""
    path = folder.write("secrets/custody/vault_token", "s.example")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder waiting for us under a public path is no place for keys."""
    monkeypatch.setattr(os, "geteuid", lambda: folder.path.stat().st_uid + 1)
    with pytest.raises(StackError, match="belongs to another user"):
        folder.create()


def test_settings_are_toml_and_keep_the_deployment(folder: StateFolder) -> None:
    """The deployment is named once, since signatures are bound to it; quotes in paths do no harm."""
    temporal = {"address": "127.0.0.1:1", "namespace": 'de"fault', "ui": ""}
    settings_file.write(folder, temporal=temporal, vault_address="http://127.0.0.1:2")
    first = tomllib.loads(folder.settings_path.read_text())
    settings_file.write(folder, temporal=temporal, vault_address="http://127.0.0.1:3")
    second = tomllib.loads(folder.settings_path.read_text())
    assert first["temporal"] == temporal
    assert first["deployment"] == second["deployment"]
    assert second["vault"] == {"address": "http://127.0.0.1:3", "mount": "transit"}
    assert second["custody"]["trust_path"] != second["trust"]["path"]


def test_settings_hold_no_secret(folder: StateFolder) -> None:
    """Settings name secret files; only those hold a password or token."""
    folder.write("secrets/custody/vault_token", "s.very-secret")
    settings_file.write(folder, temporal={}, vault_address="")
    assert "s.very-secret" not in folder.settings_path.read_text()


def test_policies_are_laid_out_once(folder: StateFolder) -> None:
    """An edited policy is not overwritten by the next start."""
    settings_file.lay_out_policies(folder)
    edited = folder.path / "policies" / "SG.toml"
    edited.write_text("# edited\n")
    settings_file.lay_out_policies(folder)
    assert edited.read_text() == "# edited\n"
    assert (folder.path / "custody" / "policies" / "SG.toml").exists()


def test_a_process_is_found_again_by_another_program(sleeper: ServerProcess, folder: StateFolder) -> None:
    """What `up` started, `down` finds by the record on disk."""
    assert sleeper.pid is not None
    assert ServerProcess("sleeper", folder).pid == sleeper.pid


def test_a_pid_that_was_given_to_another_process_is_not_signalled(folder: StateFolder) -> None:
    """A recorded pid whose start time differs belongs to a stranger, who lives on."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as stranger:
        record = identity(stranger.pid) | {"started": "1", "log_from": "0"}
        folder.write_json("run/server.json", record)
        process = ServerProcess("server", folder)
        assert process.pid is None
        assert process.died
        process.stop(signal.SIGKILL, seconds=1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_process_is_remembered_as_dead_with_its_log(sleeper: ServerProcess) -> None:
    """A server that went away unasked is reported, with the end of what it logged."""
    while not sleeper.log_end():
        assert sleeper.pid is not None
    sleeper.kill()
    assert sleeper.pid is None
    assert sleeper.died
    assert sleeper.log_end() == "born"


def test_a_stopped_process_is_forgotten(sleeper: ServerProcess) -> None:
    """Stopping on purpose is no death."""
    sleeper.stop(signal.SIGTERM, seconds=5)
    assert not sleeper.died


def test_a_process_that_ignores_the_polite_signal_is_ended(folder: StateFolder) -> None:
    """Stopping takes no longer than its limit."""
    process = ServerProcess("stubborn", folder)
    process.spawn(["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], cwd=folder.path)
    while not process.log_end():
        assert process.pid is not None
    process.stop(signal.SIGTERM, seconds=0.1)
    assert process.pid is None


def test_policies_of_the_two_workers_share_no_key() -> None:
    """Neither worker's policy names the other's key, and none has a wildcard over the mount."""
    provisioning = (POLICIES / "provisioning.hcl").read_text()
    custody = (POLICIES / "custody.hcl").read_text()
    assert "/seed" not in provisioning
    assert "attest" not in provisioning
    assert "/pii" not in custody
    assert '"transit/*"' not in provisioning + custody


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://a:b@db.example:6000/x", "db.example:6000"),
        ("postgresql://a@db.example/x", "db.example:5432"),
        ("host=db.example port=7000 user=a", "db.example:7000"),
    ],
)
def test_a_role_gets_the_server_of_the_admin_url(url: str, place: str) -> None:
    """Roles log in to the server that DATABASE_URL names, in any spelling of it."""
    assert database.url_for(url, "role", "pw") == f"postgresql://role:pw@{place}/walletworks"


def test_an_ordinary_user_keeps_state_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without root nothing is dropped, so the folder may be as closed as it likes."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_state_dir(tmp_path) == tmp_path / ".walletworks"


def test_root_moves_state_out_of_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account PostgreSQL runs as could not reach /root: a folder of this repository's own is used."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Account, "can_reach", lambda _self, _folder: False)
    first = default_state_dir(tmp_path / "a")
    assert first.parent == Path("/var/tmp")  # noqa: S108 - the place is the point
    assert first != default_state_dir(tmp_path / "b")


def test_a_stack_never_started_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status`, `env` and `workers` before the first `up` end with 3 and name the next step."""
    for command in ("status", "env", "workers"):
        assert main([command, "--state", str(tmp_path / "none")]) == 3
        assert "make up" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_unknown_server_is_named(tmp_path: Path) -> None:
    """Killing by a wrong name lists the right ones."""
    with pytest.raises(StackError, match="temporal, postgres or openbao"):
        Stack(tmp_path).kill("mongodb")
