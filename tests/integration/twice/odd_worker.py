"""A worker made of the real roster that loses answers, or waits at a chosen moment of an activity.

Run as `python -m tests.integration.twice.odd_worker ROLE|workflows losing|waiting LOG`. What it did is told
in the log, one JSON object a line. `workflows` decides only, so that a stopped worker stops no decision.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workers.__main__ import PURE_MODULES
from workers.client import connect
from workers.liveness import BEAT_SECONDS, LivenessInterceptor
from workers.raw_inputs import RAW_INPUTS
from workers.roster import Tools, activities_of, open_database, open_transit, role_named
from workers.settings import load_settings

DECIDES_ONLY: Final = "workflows"
SLOTS: Final = 60
"""An answer that is lost keeps its slot for as long as the worker lives."""

POLLS: Final = 1
"""Tasks that a stopped worker swallows, each for the ten seconds of a lost heartbeat."""

HURRIED_HEARTBEAT: Final = timedelta(seconds=3)
"""After which the engine gives a silent attempt up; the workflows' own ten would only make it longer."""

LOSSY: Final = "lossy"
"""The word in the ids of those batches whose answers are lost; others live beside them undisturbed."""

SILENCED: Final[Mapping[str, str]] = {
    "claim_batch": "unplanned",
    "record_attempt": "rejected",
    "screen_slice": "terminated",
    "open_keyring": "reset",
    "derive_slice": "reset",
    "activate_slice": "left",
    "announce_wave": "through",
    "undo_activation": "left",
    "undo_derivation": "terminated",
    "finish_batch": "rejected",
}
"""The sample, one activity at least of every stage and of both queues, and whose life each silence falls in.

Spread over the lives, so that the waits for lost heartbeats pass beside each other.
"""

HURRIED_RETRY: Final = timedelta(milliseconds=100)

MOMENTS: Final = ("before", "within", "after")
"""Of its transaction: not begun; everything written and not yet committed; committed and not answered."""

Tell = Callable[..., None]


class LostAnswers(Interceptor):
    """The first attempt of every activity in every lossy workflow runs to its end, and nobody hears of it.

    Those of a sample are never answered once, so that the engine itself times them out; the others are told
    as failed, which costs less time.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lost: set[tuple[str, str]] = set()
        self._silenced: set[str] = set()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Goes around everything else of the worker, its heartbeats included."""
        return _Losing(next, self)

    def take(self, info: activity.Info) -> str:
        """Gives how this answer is lost, and nothing when it is to be given."""
        kind, whose = info.activity_type, info.workflow_id or info.activity_id
        if LOSSY not in whose:
            return ""
        if info.attempt > 1 or (kind, whose) in self._lost:
            self._tell(activity=kind, workflow=info.workflow_id, answered=info.attempt)
            return ""
        self._lost.add((kind, whose))
        how = "silent" if self._falls_silent(kind, whose) else "failed"
        self._tell(activity=kind, workflow=info.workflow_id, lost=how)
        return how

    def _falls_silent(self, kind: str, whose: str) -> bool:
        """Once for each of the sample."""
        if kind in self._silenced or f"{LOSSY}-{SILENCED.get(kind)}-" not in whose:
            return False
        self._silenced.add(kind)
        return True

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        """Lets the engine notice a silence sooner."""
        return _Hurried


class _Losing(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, losses: LostAnswers) -> None:
        super().__init__(following)
        self._losses = losses

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        given = await super().execute_activity(input)
        how = self._losses.take(activity.info())
        if how == "silent":
            await asyncio.Event().wait()
        if how == "failed":
            raise ApplicationError("the answer was lost", type="AnswerLost")
        return given


class _Hurried(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Hurrying(outbound))


class _Hurrying(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002 - the SDK's name
        input.heartbeat_timeout = HURRIED_HEARTBEAT
        if input.retry_policy is not None:
            input.retry_policy = replace(input.retry_policy, initial_interval=HURRIED_RETRY)
        return super().start_activity(input)


class Waits(Interceptor):
    """Keeps the activity and the moment that a batch is named for waiting, until the process is continued.

    The batch `z-activate-slice-within-...` waits within the transaction of its `activate_slice`.
    """

    def __init__(self, tell: Tell, gone_on: threading.Event) -> None:
        self._tell = tell
        self._gone_on = gone_on
        event.listen(Engine, "before_cursor_execute", _note_effect)
        event.listen(Engine, "commit", self._before_commit)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Goes inside of the heartbeats: whoever waits is alive until the process is stopped."""
        return _Waiting(next, self)

    def wait_at(self, moment: str) -> bool:
        """Waits if this is the moment that the running activity's batch is named for."""
        info = activity.info()
        named = f"z-{info.activity_type.replace('_', '-')}-{moment}-"
        if self._gone_on.is_set() or not (info.workflow_id or "").startswith(named):
            return False
        self.tell(reached=moment)
        self._gone_on.wait()
        return True

    def tell(self, **facts: str) -> None:
        """Writes a line about the running activity."""
        info = activity.info()
        self._tell(activity=info.activity_type, workflow=info.workflow_id, **facts)

    def _before_commit(self, connection: Connection) -> None:
        if connection.info.pop("effect", False) and activity.in_activity():
            self.wait_at("within")


class _Waiting(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, waits: Waits) -> None:
        super().__init__(following)
        self._waits = waits

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        try:
            await asyncio.to_thread(self._waits.wait_at, "before")
            given = await super().execute_activity(input)
            await asyncio.to_thread(self._waits.wait_at, "after")
        except (FailureError, asyncio.CancelledError) as error:
            self._waits.tell(done=type(error).__name__)
            raise
        self._waits.tell(done="effect")
        return given


def _note_effect(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    """A slice is recorded in the transaction of its effect."""
    if statement.startswith("INSERT INTO slices"):
        connection.info["effect"] = True


async def main(role_name: str, way: str, log: Path) -> None:
    """Works until it is killed."""
    lock = threading.Lock()

    def tell(**facts: Any) -> None:
        with lock, log.open("a") as lines:
            lines.write(json.dumps(facts) + "\n")

    gone_on = threading.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, gone_on.set)
    odd: list[Interceptor] = [LivenessInterceptor()]
    odd = [LostAnswers(tell), *odd] if way == "losing" else [*odd, Waits(tell, gone_on)]
    with ThreadPoolExecutor(SLOTS) as threads:
        async with await _worker(role_name, odd, threads):
            tell(polls=role_name, pid=os.getpid())
            await asyncio.Event().wait()


async def _worker(role_name: str, odd: list[Interceptor], threads: ThreadPoolExecutor) -> Worker:
    settings = load_settings()
    decides_only = role_name == DECIDES_ONLY
    role = role_named("provisioning" if decides_only else role_name)
    section = role.section(settings)
    tools = Tools(
        settings=settings,
        client=await connect(settings, identity=f"odd-{role_name}-{os.getpid()}", data_converter=RAW_INPUTS),
        database=open_database(section),
        transit=open_transit(settings, section),
    )
    waits = any(isinstance(each, Waits) for each in odd)
    return Worker(
        tools.client,
        task_queue=role.queue,
        workflows=role.workflows if decides_only or not waits else (),
        activities=[] if decides_only else activities_of(role.build(tools)),
        activity_executor=threads,
        max_concurrent_activities=SLOTS,
        max_concurrent_activity_task_polls=POLLS if waits else 5,
        max_heartbeat_throttle_interval=timedelta(seconds=BEAT_SECONDS),
        interceptors=odd,
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES)
        ),
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
