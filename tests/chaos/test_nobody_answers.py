"""What the command line says while nobody can answer a message."""

import asyncio
from datetime import timedelta

import pytest

from activities.contracts.reading import ReadBatch, Reading
from tests.chaos.ordeal import BATCH, Ordeal
from workers.cli import session
from workers.cli.exits import CommandError, Exit
from workers.settings import load_settings


async def test_message_without_an_answer_says_so_and_where_to_look(
    ordeal: Ordeal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no worker runs, a signed message ends in one line and the code of an unreachable service."""
    monkeypatch.setattr(session, "_ANSWER_SECONDS", 0.5)
    office = ordeal.office
    office.stack.stop_workers()
    handle = await office.start({"batch_id": "unanswered"})
    try:
        asked = session.Session(load_settings(office.stack.settings_path), office.client)
        with pytest.raises(CommandError, match="walletworks status unanswered") as caught:
            await asked.send("unanswered", "pause", {"reason": "nobody is there"})
        assert caught.value.code is Exit.UNREACHABLE
    finally:
        await handle.terminate()
        office.stack.start_workers()


async def test_question_that_no_worker_takes_says_so(ordeal: Ordeal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is given up where nobody takes it, with the sentence that says what to start."""
    monkeypatch.setattr(session, "_CLAIM_TIMEOUT", timedelta(seconds=1))
    question = ReadBatch(batch_id=BATCH, reader="somebody", reason="nobody is there")
    stack = ordeal.office.stack
    stack.stop_workers()
    try:
        with pytest.raises(CommandError, match="start one with `python -m workers provisioning`") as caught:
            await asyncio.to_thread(
                session.run,
                lambda asked: asked.ask(Reading.publish_wallets, question),
                settings_path=stack.settings_path,
            )
        assert caught.value.code is Exit.UNREACHABLE
    finally:
        stack.start_workers()
