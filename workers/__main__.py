"""Runs one worker: `python -m workers provisioning` or `python -m workers custody`.

SIGTERM and SIGINT drain: no new task is taken, running activities end or are cut short, then the process
ends with 0. It may be killed at any instant and run many times over.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import structlog
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.custody.hardening import harden_process
from activities.failures import WalletworksError
from workers.client import connect
from workers.health import Health
from workers.liveness import BEAT_SECONDS, LivenessInterceptor, report_seen
from workers.logs import configure_logs, told_of
from workers.preflight import require_exact_rights
from workers.raw_inputs import RAW_INPUTS
from workers.roster import ROLES, Role, Tools, activities_of, open_database, open_transit, role_named
from workers.settings import Settings, SettingsError, load_settings
from workers.telemetry import configure_telemetry

Gives = TypeVar("Gives")

DRAIN = timedelta(seconds=30)
"""How long running activities may go on after SIGTERM; the fence makes cutting them short harmless."""

CUT_SHORT_SECONDS = 35.0
"""After SIGTERM, when the process ends whatever still hangs in it: a call that waits for a dead service."""

CONNECT_WAIT_SECONDS = 1.0
"""Between two tries to reach Temporal."""

SCHEDULE_WAIT_SECONDS = 15.0
"""Between two tries to schedule what runs by the clock."""

HEALTH_PORT_VARIABLE = "WALLETWORKS_HEALTH_PORT"
"""Comes before the settings, so that several workers of a role can run on one host."""

PURE_MODULES = ("workflows", "activities", "pydantic", "pydantic_core", "annotated_types")
"""Passed through the sandbox: without I/O, the same in every run, and slow to load for each."""

_log = structlog.get_logger()


def main() -> int:
    """Runs the worker named on the command line; gives the process's exit code."""
    configure_logs()
    name = sys.argv[1] if len(sys.argv) == 2 else ""  # noqa: PLR2004 - the program and the role
    if name not in ROLES:
        sys.stderr.write(f"usage: python -m workers {'|'.join(ROLES)}\n")
        return 2
    if name == "custody":
        harden_process()
    try:
        asyncio.run(_work(name, role_named(name), load_settings()))
    except SettingsError as error:
        sys.stderr.write(f"walletworks: {error}\n")
        return 2
    except WalletworksError as error:
        _log.error("the worker does not start", role=name, error=error.type, reason=error.message)
        return 1
    except Exception as error:  # noqa: BLE001 - a crash too is one line without values
        _log.error("the worker ends", role=name, **told_of(error))
        return 1
    return 0


async def _work(name: str, role: Role, settings: Settings) -> None:
    """Starts, polls until told to stop, drains."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    section = role.section(settings)
    telemetry = configure_telemetry(settings.telemetry, service=name)
    health = Health(role=name)
    report_seen(name, lambda: health.state == "polling")
    server = await health.serve(int(os.environ.get(HEALTH_PORT_VARIABLE, section.health_port)))
    port = server.sockets[0].getsockname()[1]
    _log.warning("worker starts", role=name, queue=role.queue, pid=os.getpid(), port=port)
    database, transit = open_database(section), open_transit(settings, section)
    try:
        checked = await _unless(stop, require_exact_rights(role, database=database, transit=transit))
        client = await _unless(stop, _connected(settings, name)) if checked else None
        if client is not None:
            tools = Tools(settings=settings, client=client, database=database, transit=transit)
            await _poll(role, tools, health, stop)
    finally:
        _log.warning("worker ends", role=name, pid=os.getpid())
        server.close()
        database.close()
        telemetry.close()


async def _poll(role: Role, tools: Tools, health: Health, stop: asyncio.Event) -> None:
    """Takes tasks until told to stop, then lets the running ones end."""
    slots = role.section(tools.settings).activity_slots
    scheduling = asyncio.create_task(_schedule(role, tools.client))
    with ThreadPoolExecutor(slots) as threads:
        async with _worker(role, tools, threads):
            health.state = "polling"
            _log.warning("worker polls", role=health.role, queue=role.queue, pid=os.getpid())
            await stop.wait()
            scheduling.cancel()
            health.state = "draining"
            _log.warning("worker drains", role=health.role, pid=os.getpid())
            asyncio.get_running_loop().call_later(CUT_SHORT_SECONDS, _cut_short, health.role)


async def _schedule(role: Role, client: Client) -> None:
    """Sees to it that what runs by the clock is scheduled, however long the server is away."""
    if role.schedule is None:
        return
    is_scheduled = False
    while not is_scheduled:
        try:
            await role.schedule(client)
            is_scheduled = True
        except RPCError as error:
            _log.warning("what runs by the clock is not scheduled yet", role=role.queue, **told_of(error))
            await asyncio.sleep(SCHEDULE_WAIT_SECONDS)


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, Gives]) -> Gives | None:
    """Gives what the work gives; None when told to stop before it is done."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        return doing.result()
    doing.cancel()
    return None


def _cut_short(name: str) -> None:
    """Ends the process though something hangs: the fence and the tasks' retries make it harmless."""
    _log.warning("running activities are cut short", role=name, pid=os.getpid())
    os._exit(0)


def _worker(role: Role, tools: Tools, threads: ThreadPoolExecutor) -> Worker:
    section = role.section(tools.settings)
    return Worker(
        tools.client,
        task_queue=role.queue,
        workflows=role.workflows,
        activities=activities_of(role.build(tools)),
        activity_executor=threads,
        max_concurrent_activities=section.activity_slots,
        graceful_shutdown_timeout=DRAIN,
        max_heartbeat_throttle_interval=timedelta(seconds=BEAT_SECONDS),
        interceptors=[LivenessInterceptor()],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES)
        ),
    )


async def _connected(settings: Settings, name: str) -> Client:
    """Connects, however long the server is away."""
    while True:
        try:
            identity = f"{name}@{os.uname().nodename}:{os.getpid()}"
            return await connect(settings, identity=identity, data_converter=RAW_INPUTS)
        except RuntimeError:
            _log.warning("a service is waited for", role=name, service="Temporal")
        await asyncio.sleep(CONNECT_WAIT_SECONDS)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # The SDK's threads can crash the interpreter while it exits; everything of ours is closed by now.
    os._exit(code)
