"""Worker processes as a supervisor sees them: what they report, how they drain, when they refuse to start."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.cast import REQUESTER
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack.state import REPOSITORY
from tests.integration.batch.endings import failure_of
from tests.integration.batch.office import Office
from tests.integration.batch.people import csv_of, people
from tests.integration.hold_up import hold_up
from tests.integration.otlp_receiver import Received, receiver
from tests.integration.worker_program import WorkerProgram, settings_with
from tests.s3_store import REGION, s3_store
from tests.waiting import eventually
from workers.safe_spans import SAFE_ATTRIBUTES

SLICE_SPANS = ("RunActivity:screen_slice", "RunActivity:derive_slice", "RunActivity:activate_slice")
WORKFLOW_SPANS = ("StartWorkflow:ProvisionBatch", "RunWorkflow:ProvisionBatch", "RunWorkflow:ProvisionShard")


@dataclass(frozen=True)
class Watched:
    """One whole batch, observed: what was reported, what was logged, how its workers ended."""

    batch_id: str
    received: Received
    logs: dict[str, list[dict[str, Any]]]
    exit_codes: dict[str, int]
    personal: list[str]


@pytest.fixture(scope="module")
async def office(stack: Stack) -> AsyncIterator[Office]:
    """The people and clients around a batch, without workers: each test starts its own."""
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    yield Office(stack=stack, stage=set_stage(stack), client=client, owner=owner)
    owner.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where settings and logs of a test lie."""
    return tmp_path


@contextmanager
def workers(settings: Path) -> Iterator[dict[str, WorkerProgram]]:
    """Both workers, polling; ended with the block."""
    running = {role: WorkerProgram(role, settings) for role in ("provisioning", "custody")}
    try:
        for worker in running.values():
            worker.until("polling")
        yield running
    finally:
        for worker in running.values():
            worker.end()


@pytest.fixture(scope="module")
async def watched(office: Office, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A batch from `submit` to its end with telemetry sent to a receiver of our own."""
    folder = tmp_path_factory.mktemp("watched")
    batch_id = office.new_id("traced")
    rows = people(batch_id, 30)
    source = folder / "people.csv"
    source.write_text(csv_of(rows))
    with receiver() as received:
        telemetry = {"telemetry": {"exporter": "otlp", "endpoint": received.address, "metric_seconds": 0.5}}
        settings = settings_with(office.stack, folder, telemetry)
        with workers(settings) as running:
            submit = ["submit", str(source), "--tenant", "acme", "--chains", "ethereum", "--waves", "20,100"]
            submit += ["--batch-id", batch_id, "--settings", str(settings)]
            done = await office.walletworks(REQUESTER, *submit)
            assert done.returncode == 0, done.stderr
            await office.pass_gate(batch_id, "compliance")
            await office.until_ended(batch_id)
            for worker in running.values():
                worker.terminate()
            codes = {role: worker.exit_code() for role, worker in running.items()}
        logs = {role: worker.lines for role, worker in running.items()}
    personal = [row[name] for row in rows for name in ("full_name", "date_of_birth", "kyc_reference")]
    return Watched(batch_id, received, logs, codes, personal)


async def test_one_trace_goes_from_submit_to_the_last_slice(watched: Watched) -> None:
    """The command's span and those of workflows and slices in both workers share one trace id."""
    (submit,) = watched.received.named("walletworks submit")
    for name in (*WORKFLOW_SPANS, *SLICE_SPANS):
        spans = watched.received.named(name)
        assert spans, name
        assert {span.trace_id for span in spans} == {submit.trace_id}, name
    services = {service for service, span in watched.received.spans if span.trace_id == submit.trace_id}
    assert services == {"walletworks-cli", "walletworks-provisioning", "walletworks-custody"}


async def test_spans_carry_ids_and_nothing_else(watched: Watched) -> None:
    """Only listed attributes leave the process; no value of a subject's row is in any report."""
    keys = {key.key for _, span in watched.received.spans for key in span.attributes}
    keys |= {
        key.key for _, span in watched.received.spans for event in span.events for key in event.attributes
    }
    assert keys <= SAFE_ATTRIBUTES
    assert {span.status.message for _, span in watched.received.spans} == {""}
    everything = b"".join(watched.received.bodies)
    assert [value for value in watched.personal if value.encode() in everything] == []


async def test_metrics_of_activities_and_of_the_engine_are_reported(watched: Watched) -> None:
    """Durations by activity, when each worker was last seen, and the SDK's own measures."""
    assert {"screen_slice", "derive_slice"} <= watched.received.labels(
        "walletworks.activity.seconds", "activity"
    )
    assert watched.received.labels("walletworks.worker.seen", "role") == {"provisioning", "custody"}
    assert "temporal_num_pollers" in watched.received.metrics


async def test_idle_workers_end_by_themselves_and_say_what_they_did(watched: Watched) -> None:
    """SIGTERM gives exit code 0; each log tells start, polling, draining and end as JSON, and no person."""
    assert watched.exit_codes == {"provisioning": 0, "custody": 0}
    for role, lines in watched.logs.items():
        told = [line["event"] for line in lines if line.get("role") == role]
        assert told == ["worker starts", "worker polls", "worker drains", "worker ends"]
        text = json.dumps(lines)
        assert [value for value in watched.personal if value in text] == []


async def test_draining_worker_ends_its_slice_and_the_batch_goes_on(office: Office, place: Path) -> None:
    """A slice that runs when SIGTERM comes is committed once; the next worker takes the batch on."""
    batch_id = office.new_id("drained")
    settings = settings_with(office.stack, place, {})
    with workers(settings) as running:
        first = running["provisioning"]
        assert (first.answers("polling", path="ready"), first.answers("polling")) == (200, 200)
        await office.start(office.request(batch_id, subjects=5))
        await office.at_gate(batch_id, "compliance")
        with hold_up(office.stack, "subjects") as is_held_up:
            await office.pass_gate(batch_id, "compliance")
            eventually(is_held_up, 20, what="a slice that waits for the table")
            first.terminate()
            assert first.until("draining") == 200
            assert first.answers("draining", path="ready") == 503
            assert first.process.poll() is None
        assert first.exit_code() == 0
        second = WorkerProgram("provisioning", settings, name="second")
        try:
            await office.until_ended(batch_id)
        finally:
            second.end()
    assert office.states(batch_id) == {"active": 5}
    slices = office.rows(
        "SELECT slice_index FROM slices JOIN batches USING (batch_no)"
        " WHERE batch_id = :id AND stage = 'screen'",
        id=batch_id,
    )
    assert len(slices) == 1


def test_worker_that_waits_for_a_service_can_be_ended(stack: Stack, place: Path) -> None:
    """While Temporal is away a worker says `starting`, and SIGTERM still ends it with 0."""
    settings = settings_with(stack, place, {"temporal": {"address": "127.0.0.1:1"}})
    worker = WorkerProgram("provisioning", settings)
    try:
        eventually(
            lambda: any(line.get("service") == "Temporal" for line in worker.lines), 30, what="waiting"
        )
        assert (worker.answers("starting"), worker.answers("starting", path="ready")) == (200, 503)
        worker.terminate()
        assert worker.exit_code(seconds=15) == 0
    finally:
        worker.end()


def test_worker_with_too_many_rights_does_not_start(stack: Stack, place: Path) -> None:
    """The owner's database login and a root token are each named in one line, and nothing is polled."""
    root = place / "root-token"
    root.write_text(stack.openbao.root_token())
    owner = place / "owner-url"
    owner.write_text(stack.database_url("owner"))
    too_much = {
        "owner": ("provisioning", {"provisioning": {"database_url_file": str(owner)}}, "database role"),
        "root": ("provisioning", {"provisioning": {"vault_token_file": str(root)}}, "key service's token"),
        "custody-root": ("custody", {"custody": {"vault_token_file": str(root)}}, "key service's token"),
    }
    started = {
        name: WorkerProgram(role, settings_with(stack, place / name, changes))
        for name, (role, changes, _) in too_much.items()
    }
    for name, worker in started.items():
        assert worker.exit_code() == 1, name
        (said,) = [line for line in worker.lines if line["level"] == "error"]
        assert (said["event"], said["error"]) == ("the worker does not start", "AccessDeniedError")
        assert too_much[name][2] in said["reason"]
        assert "worker polls" not in [line["event"] for line in worker.lines]
        assert stack.openbao.root_token() not in worker.log.read_text()


def test_unusable_settings_end_a_worker_with_one_line(stack: Stack, place: Path) -> None:
    """No file, or custody without its own trust file or policies: exit code 2 and what is missing."""
    places = {
        "missing": place / "nowhere.toml",
        "custody.trust_path": settings_with(stack, place / "a", {"custody": {"trust_path": None}}),
        "custody.policies_path": settings_with(stack, place / "b", {"custody": {"policies_path": None}}),
    }
    with ThreadPoolExecutor() as pool:
        ended = dict(zip(places, pool.map(run_custody, places.values()), strict=True))
    for name, done in ended.items():
        assert done.returncode == 2, name
        (line,) = done.stderr.splitlines()
        assert line.startswith("walletworks: ")
        assert (str(places["missing"]) if name == "missing" else name) in line


def test_failures_of_steps_and_tasks_are_logged_without_their_texts(stack: Stack) -> None:
    """Neither the SDK nor its core, which logs failed tasks itself, tells what a foreign error said."""
    command = [sys.executable, "-m", "tests.integration.failing_worker", stack.temporal.address]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = {(line.get("logger"), line["event"]) for line in lines}
    assert {
        (None, "activity failed"),
        ("temporalio.activity", "Completing activity as failed"),
        ("temporalio.core", "Failing workflow task"),
    } <= told
    assert {line["error"] for line in lines if "error" in line} == {"ValueError"}
    assert "Quillfeather" not in done.stdout + done.stderr


def test_custody_process_shows_no_secret_and_leaves_no_core(stack: Stack, place: Path) -> None:
    """Arguments and environment name files only, and the kernel writes no core of it."""
    worker = WorkerProgram("custody", settings_with(stack, place, {}))
    try:
        worker.until("polling")
        proc = Path(f"/proc/{worker.process.pid}")
        seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        secrets = [stack.vault_token("custody"), stack.database_url("custody"), stack.openbao.root_token()]
        assert [secret for secret in secrets if secret.encode() in seen] == []
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_CORE) == (0, 0)
    finally:
        worker.end()


def test_custody_is_not_dumpable_before_it_reads_its_settings(place: Path) -> None:
    """No debugger of its user can attach from the first file on: the kernel says so of the process itself."""
    program = (
        "import ctypes, sys; sys.argv = ['workers', 'custody']; from workers.__main__ import main;"
        "print(main(), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    variables = {"PATH": os.defpath, "WALLETWORKS_SETTINGS": str(place / "nowhere.toml")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2", "0"]


def run_custody(settings: Path) -> subprocess.CompletedProcess[str]:
    """Runs the custody worker to its end."""
    variables = {"PATH": os.defpath, "WALLETWORKS_SETTINGS": str(settings)}
    command = [sys.executable, "-m", "workers", "custody"]
    return subprocess.run(
        command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False, timeout=60
    )


async def test_batch_reads_its_people_from_an_allowed_bucket_alone(office: Office, tmp_path: Path) -> None:
    """Settings name the buckets; a request that names another one is refused before anything is read."""
    batch_id, refused = office.new_id("bucket"), office.new_id("elsewhere")
    source = csv_of(people(batch_id, 5)).encode()
    with s3_store(tmp_path) as store:
        for bucket in ("acme-airdrops", "acme-payroll"):
            store.make(bucket)
        own, other = (store.put(bucket, "people.csv", source) for bucket in ("acme-airdrops", "acme-payroll"))
        buckets = {"allowed": ["acme-airdrops"], "endpoint": store.endpoint, "region": REGION}
        buckets["credentials_file"] = str(store.credentials_file)
        digest = hashlib.sha256(source).hexdigest()
        with workers(settings_with(office.stack, tmp_path, {"buckets": buckets})):
            await office.start(office.request(batch_id, source={"uri": own, "sha256": digest}))
            run = await office.start(office.request(refused, source={"uri": other, "sha256": digest}))
            failure = await failure_of(run)
            assert failure.message == "source.uri: the bucket is not one that this deployment reads from"
            await office.pass_gate(batch_id, "compliance")
            await office.until_ended(batch_id)
    assert office.states(batch_id) == {"active": 5}
