"""Runs one worker: `python -m workers provisioning` or `python -m workers custody`.

SIGTERM and SIGINT drain: no new task is taken, running activities end or are cancelled, then the process
ends. It may be killed at any instant and run many times over.
"""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.custody.hardening import harden_process
from activities.failures import WalletworksError
from workers.client import connect
from workers.health import Health
from workers.liveness import LivenessInterceptor
from workers.preflight import require_exact_rights
from workers.raw_inputs import RAW_INPUTS
from workers.roster import ROLES, Role, Tools, activities_of, open_database, open_transit
from workers.settings import Settings, SettingsError, load_settings
from workers.telemetry import configure_logs, configure_telemetry

DRAIN = timedelta(seconds=30)
"""How long running activities may go on after SIGTERM; the fence makes cutting them short harmless."""

CONNECT_WAIT_SECONDS = 1.0

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
        asyncio.run(_work(name, ROLES[name], load_settings()))
    except SettingsError as error:
        sys.stderr.write(f"walletworks: {error}\n")
        return 2
    except WalletworksError as error:
        _log.error("the worker does not start", role=name, error=error.type, reason=error.message)
        return 1
    return 0


async def _work(name: str, role: Role, settings: Settings) -> None:
    """Starts, polls until told to stop, drains."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    section = role.section(settings)
    provider = configure_telemetry(settings.telemetry, service=name)
    health = Health(role=name)
    server = await health.serve(int(os.environ.get(HEALTH_PORT_VARIABLE, section.health_port)))
    port = server.sockets[0].getsockname()[1]
    _log.warning("worker starts", role=name, queue=role.queue, pid=os.getpid(), port=port)
    database, transit = open_database(section), open_transit(settings, section)
    try:
        await require_exact_rights(role, database=database, transit=transit)
        client = await _connected(settings, name)
        tools = Tools(settings=settings, client=client, database=database, transit=transit)
        with ThreadPoolExecutor(section.activity_slots) as threads:
            async with _worker(role, tools, threads):
                health.state = "polling"
                _log.warning("worker polls", role=name, queue=role.queue, pid=os.getpid(), port=port)
                await stop.wait()
                health.state = "draining"
                _log.warning("worker drains", role=name, pid=os.getpid())
    finally:
        server.close()
        database.close()
        provider.shutdown()


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
