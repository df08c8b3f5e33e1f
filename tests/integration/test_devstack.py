"""The dev stack on its real servers: laid out right, surviving crashes, ended by pid."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from infra.devstack import Stack, StackError
from infra.devstack.http import Answer, call
from infra.devstack.process import identity
from infra.devstack.state import StateFolder
from infra.devstack.temporal import SEARCH_ATTRIBUTES, temporal_binary
from tests.conftest import new_state_dir

SERVERS = ("temporal", "postgres", "openbao")
CONTEXT = base64.b64encode(b"a derivation context").decode()


@pytest.fixture(scope="module")
def fragile(stack: Stack) -> Iterator[Stack]:
    """Gives a second stack beside the session's, to break."""
    assert stack.settings_path.exists()
    second = Stack(new_state_dir())
    with second:
        yield second
    second.wipe()


def transit(stack: Stack, role: str, path: str, **body: object) -> Answer:
    """Gives the key service's answer to a worker's token."""
    url = f"{stack.openbao.address}/v1/transit/{path}"
    answer = call("POST" if body else "GET", url, body=body, token=stack.vault_token(role))
    assert answer is not None
    return answer


def temporal(stack: Stack, *arguments: str) -> str:
    """Gives what the `temporal` program prints about this stack."""
    command = [str(temporal_binary()), *arguments, "--output", "json"]
    environ = os.environ | stack.environment()
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def devstack(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    command = [sys.executable, "-m", "infra.devstack", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_every_part_is_healthy_and_named(stack: Stack) -> None:
    """The start returns only when all three serve, each with its address, pid and log."""
    statuses = stack.status()
    assert [(status.name, status.state) for status in statuses] == [(name, "running") for name in SERVERS]
    assert all(status.pid and Path(status.log).exists() for status in statuses)


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    """Starting what runs is told from starting it, and keeps pids, settings and secrets."""
    before = (stack.settings_path.read_text(), stack.vault_token("custody"), stack.status())
    assert stack.start() == dict.fromkeys(SERVERS, False)
    assert (stack.settings_path.read_text(), stack.vault_token("custody"), stack.status()) == before


def test_secrets_and_data_are_closed_to_others(stack: Stack) -> None:
    """Whoever is not the owner may at most pass through the state folder, into nothing."""
    entries = list(stack.state_dir.iterdir())
    assert {"secrets", "temporal", "openbao", "postgres", "settings.toml"} <= {
        entry.name for entry in entries
    }
    assert [entry for entry in entries if entry.stat().st_mode & 0o077] == []
    assert stack.state_dir.stat().st_mode & 0o066 == 0


def test_search_attributes_are_registered(stack: Stack) -> None:
    """The approvers' inbox is a list query over our attributes."""
    listed = json.loads(temporal(stack, "operator", "search-attribute", "list"))
    custom = listed["customAttributes"]
    kinds = {name: custom[name].removeprefix("INDEXED_VALUE_TYPE_").title() for name in SEARCH_ATTRIBUTES}
    assert kinds == SEARCH_ATTRIBUTES


def test_the_database_is_durable_and_wants_passwords(stack: Stack) -> None:
    """Nothing that makes a commit survive a power cut is switched off, and no login is trusted."""
    with psycopg.connect(stack.postgres.admin_url()) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert rules == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(r":[^:@]+@", ":wrong@", stack.database_url("custody")))


def test_process_roles_may_nothing_but_log_in(stack: Stack) -> None:
    """No role of ours is a superuser or makes databases, roles or schemas; only the owner owns."""
    with psycopg.connect(stack.database_url("owner")) as connection:
        powers = connection.execute(
            "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'walletworks\\_%'"
            " AND rolname <> 'walletworks_admin'"
            " AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)"
        ).fetchone()
    assert powers == (4,)
    for role in ("provisioning", "custody", "console"):
        with psycopg.connect(stack.database_url(role)) as connection:
            may = "SELECT has_schema_privilege('public', 'CREATE')"
            assert connection.execute(may).fetchone() == (False,)


def test_migrations_have_run(stack: Stack) -> None:
    """The schema is there when the start returns."""
    with psycopg.connect(stack.database_url("owner")) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


@pytest.mark.parametrize(
    ("role", "own", "foreign"), [("provisioning", "pii", "seed"), ("custody", "seed", "pii")]
)
def test_a_worker_reaches_its_own_key_only(stack: Stack, role: str, own: str, foreign: str) -> None:
    """Personal data and seeds are under keys that no token opens both of."""
    assert transit(stack, role, f"datakey/plaintext/{own}", context=CONTEXT).ok
    assert transit(stack, role, f"datakey/plaintext/{foreign}", context=CONTEXT).status == 403
    assert transit(stack, role, f"decrypt/{foreign}", ciphertext="vault:v1:", context=CONTEXT).status == 403
    assert transit(stack, role, f"keys/{own}").status == 403
    assert transit(stack, role, f"keys/{own}/rotate", any="body").status == 403


def test_only_custody_signs(stack: Stack) -> None:
    """Custody signs with `attest`, and the published public key is that key's."""
    text = base64.b64encode(b"a slice root").decode()
    assert transit(stack, "custody", "sign/attest", input=text).ok
    assert transit(stack, "provisioning", "sign/attest", input=text).status == 403
    keys = transit(stack, "custody", "keys/attest").body["data"]
    assert isinstance(keys, dict)
    published = bytes.fromhex((stack.state_dir / "attest.pub").read_text())
    assert base64.b64decode(keys["keys"]["1"]["public_key"]) == published


def test_randomness_is_custodys(stack: Stack) -> None:
    """The key service's half of the entropy is given to custody alone."""
    assert transit(stack, "custody", "random", bytes=32, format="base64").ok
    assert transit(stack, "provisioning", "random", bytes=32, format="base64").status == 403


def test_postgres_comes_back_with_its_rows(fragile: Stack) -> None:
    """A committed row survives the death of the server; the address stays."""
    address = fragile.postgres.address
    with psycopg.connect(fragile.database_url("owner")) as connection:
        connection.execute("CREATE TABLE survivor AS SELECT 41 + 1 AS answer")
    fragile.kill("postgres")
    fragile.start_server("postgres")
    assert fragile.postgres.address == address
    with psycopg.connect(fragile.database_url("owner")) as connection:
        assert connection.execute("SELECT answer FROM survivor").fetchone() == (42,)


def test_postgres_comes_back_when_only_its_first_process_was_killed(fragile: Stack) -> None:
    """Sessions that outlive their server for a moment do not keep the next one from starting."""
    pid = fragile.postgres.process.pid
    assert pid is not None
    with closing(psycopg.connect(fragile.database_url("owner"))) as connection:
        os.kill(pid, signal.SIGKILL)
        while fragile.postgres.process.pid is not None:
            continue
        fragile.start_server("postgres")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_temporal_comes_back_with_its_workflows(fragile: Stack) -> None:
    """An open workflow survives the death of the server; the address stays."""
    address = fragile.temporal.address
    start = ("workflow", "start", "--type", "Waits", "--task-queue", "nobody", "--workflow-id", "survivor")
    temporal(fragile, *start)
    fragile.kill("temporal")
    fragile.start_server("temporal")
    assert fragile.temporal.address == address
    described = json.loads(temporal(fragile, "workflow", "describe", "--workflow-id", "survivor"))
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"


def test_openbao_comes_back_unsealed_with_its_keys(fragile: Stack) -> None:
    """What was wrapped before the death of the server is unwrapped after it, with the same token."""
    made = transit(fragile, "custody", "datakey/plaintext/seed", context=CONTEXT).body["data"]
    assert isinstance(made, dict)
    fragile.kill("openbao")
    fragile.start_server("openbao")
    opened = transit(fragile, "custody", "decrypt/seed", ciphertext=made["ciphertext"], context=CONTEXT).body[
        "data"
    ]
    assert opened == {"plaintext": made["plaintext"]}


def test_a_sealed_key_service_is_unhealthy_until_unsealed(fragile: Stack) -> None:
    """Sealing refuses every worker and shows in the status."""
    fragile.seal()
    assert transit(fragile, "custody", "random", bytes=32, format="base64").status == 503
    assert {status.name: status.state for status in fragile.status()}["openbao"] == "unhealthy"
    fragile.unseal()
    assert transit(fragile, "custody", "random", bytes=32, format="base64").ok


def test_a_dead_server_is_reported_by_name_and_started_again(fragile: Stack) -> None:
    """The status names what died and shows the end of its log; the next start brings back only that."""
    fragile.kill("postgres")
    shown = devstack("status", "--state", str(fragile.state_dir))
    assert shown.returncode == 3
    assert re.search(r"^postgres +dead ", shown.stdout, re.MULTILINE)
    assert "ready to accept connections" in shown.stdout
    assert fragile.start() == {"temporal": False, "postgres": True, "openbao": False}


def test_a_taken_port_is_named_when_a_server_must_keep_it(fragile: Stack) -> None:
    """Coming back on another port would leave clients behind: it is refused."""
    port = StateFolder(fragile.state_dir).port("openbao")
    fragile.kill("openbao")
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as squatter:
        while call("GET", f"http://127.0.0.1:{port}/") is None:
            assert squatter.poll() is None
        with pytest.raises(StackError, match=f"port {port} of openbao is taken"):
            fragile.start_server("openbao")
        squatter.kill()
    fragile.start_server("openbao")


def test_a_server_that_dies_while_starting_is_reported_with_its_log() -> None:
    """The error names the part and its log, and carries the log's last lines."""
    broken = Stack(new_state_dir())
    with broken:
        broken.kill("postgres")
        (broken.state_dir / "postgres" / "data" / "PG_VERSION").write_text("9.0\n")
        with pytest.raises(StackError, match=r"postgres died while starting: read .*postgres\.log") as caught:
            broken.start_server("postgres")
    assert "incompatible" in caught.value.log_end
    broken.wipe()


def test_up_and_down_from_the_command_line() -> None:
    """`up` leaves servers running behind it, twice is the same, `down` ends them and keeps the data."""
    state = new_state_dir()
    first = devstack("up", "--state", str(state))
    assert first.returncode == 0, first.stderr
    second = devstack("up", "--state", str(state))
    assert second.stdout.count("already there") == 5
    pids = [status.pid for status in Stack(state).status()]
    assert devstack("down", "--state", str(state)).returncode == 0
    assert [identity(pid or 0) for pid in pids] == [{}, {}, {}]
    assert (state / "postgres" / "data").is_dir()
    assert devstack("down", "--wipe", "--state", str(state)).returncode == 0
    assert not state.exists()


def test_running_servers_elsewhere_are_used_and_prepared(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that name running servers start nothing; what is missing there is made."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", stack.temporal.address)
    monkeypatch.setenv("VAULT_ADDR", stack.openbao.address)
    monkeypatch.setenv("VAULT_TOKEN", stack.openbao.root_token())
    monkeypatch.setenv("DATABASE_URL", stack.postgres.admin_url())
    other = Stack(new_state_dir())
    passwords = (stack.state_dir / "secrets" / "database-passwords.json").read_text()
    (other.state_dir / "secrets").mkdir(mode=0o700)
    (other.state_dir / "secrets" / "database-passwords.json").write_text(passwords)
    assert other.start() == dict.fromkeys(SERVERS, False)
    assert [status.state for status in other.status()] == ["elsewhere"] * 3
    assert other.temporal.address in other.settings_path.read_text()
    assert transit(other, "custody", "random", bytes=32, format="base64").ok
    with pytest.raises(StackError, match="not ours to kill"):
        other.kill("temporal")
    other.wipe()
    assert all(status.healthy for status in stack.status())


def test_a_server_elsewhere_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which server, where, and what to do."""
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", "s.example")
    other = Stack(new_state_dir())
    with pytest.raises(StackError, match=r"openbao could not be reached at http://127\.0\.0\.1:9"), other:
        pass
    other.wipe()
