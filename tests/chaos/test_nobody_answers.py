"""What the command line says while nobody can answer a message."""

import pytest

from tests.chaos.ordeal import Ordeal
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
