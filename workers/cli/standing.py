"""Where a batch stands, whoever can tell: its workflow, the undoing of a terminated one, or the record."""

from typing import Any

from temporalio.client import ActivityFailureError, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.sweeping import Sweeping, TakeOver
from workers.cli.exits import CommandError
from workers.cli.session import Session
from workflows.undo_batch import undo_id

TERMINATED = "terminated"
"""The cause of a batch that was undone without its workflow, and what one waits for that will be."""

_UNFINISHED = (
    "Temporal has forgotten the batch, which has not ended: see runbooks/BatchTerminated.md for its undoing"
)
_ASKED = ("tenant", "requested_by", "purpose", "jurisdiction", "chains")
_NOTHING: dict[str, Any] = {
    "waiting_for": None,
    "paused": False,
    "gates": [],
    "approvals": [],
    "messages_refused": [],
    "waves": [],
    "documents": {},
}


async def standing(session: Session, batch: str) -> dict[str, Any]:
    """Gives the batch's status.

    Raises: CommandError when only its record is left and says that it has not ended.
    """
    answer = await _answer_of(session, batch)
    if answer is None:
        return await _undoing_of(session, batch) or await _recorded(session, batch)
    if answer["outcome"] == "failed":
        return await _unless_on_record(session, batch, answer)
    if answer["stage"] == "ended" or not await _is_cut_off(session, batch):
        return answer
    undoing = await _undoing_of(session, batch)
    if undoing is not None:
        return undoing | {"cause": TERMINATED}
    waits = {"kind": TERMINATED, "name": "and undone by the sweeper within a minute", "until": ""}
    return answer | {"cause": TERMINATED, "waiting_for": waits}


async def _undoing_of(session: Session, batch: str) -> dict[str, Any] | None:
    """One that was refused, or has not read the record yet, knows nothing of the batch but its id."""
    undoing = await _answer_of(session, undo_id(batch))
    return undoing if undoing is not None and undoing["tenant"] else None


async def _answer_of(session: Session, workflow_id: str) -> dict[str, Any] | None:
    try:
        return await session.status(workflow_id)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def _is_cut_off(session: Session, batch: str) -> bool:
    """Whether no code of the batch runs any more, though it has not ended."""
    try:
        described = await session.batch(batch).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return described.status in {WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT}


async def _unless_on_record(session: Session, batch: str, refused: dict[str, Any]) -> dict[str, Any]:
    """A run that was refused under an id says nothing of the batch that had it before: the record does."""
    try:
        recorded = await _recorded(session, batch)
    except CommandError:
        return refused
    if recorded["outcome"] == "failed":
        return refused
    later = [f"a later start under this id was refused: {reason}" for reason in refused["reasons"]]
    return recorded | {"reasons": [*recorded["reasons"], *later]}


async def _recorded(session: Session, batch: str) -> dict[str, Any]:
    try:
        # An asynchronous activity: the checker sees the coroutine, the engine gives its result.
        found: Any = await session.ask(Sweeping.take_over, TakeOver(batch_id=batch, is_own=True))
    except ActivityFailureError as error:
        raise CommandError("no such batch is known to Temporal or on record") from error
    if found.recorded_result is None:
        raise CommandError(_UNFINISHED)
    asked = {name: found.request[name] for name in _ASKED}
    return _NOTHING | asked | {"stage": "ended"} | dict(found.recorded_result)
