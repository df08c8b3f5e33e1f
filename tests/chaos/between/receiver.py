"""The receiver of announcements: checks each call by Standard Webhooks, keeps its id, and may misbehave."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.chaos.between.http_messages import answer, read_message
from tests.chaos.between.loop import LOCAL, LocalServer
from tests.waiting import let_time_pass

GOOD: Final = "good"
LATE_SECONDS: Final = 6.5
"""Longer than a delivery waits for its answer."""

HANG_SECONDS: Final = 60.0

_ANSWERS: Final[Mapping[str, bytes]] = {
    GOOD: answer("200 OK", b"{}"),
    "late": answer("200 OK", b"{}"),
    "failing": answer("500 Internal Server Error", b"{}"),
    "redirecting": answer("302 Found", b"", f"location: http://{LOCAL}:9/elsewhere"),
}


class Receiver:
    """`mode` is `good`, `late`, `failing`, `redirecting`, `hanging` or `down`.

    `received` holds, by event id, the digests of the contents that came under it; `refused` counts calls
    whose signature was wrong; `spoilt` counts calls that got no answer of success in time.
    """

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.mode = GOOD
        self.received: dict[str, set[str]] = {}
        self.refused = 0
        self.spoilt = 0
        self._server = LocalServer(self._serve)
        self.url = f"http://{LOCAL}:{self._server.port}/announcements"

    def close(self) -> None:
        """Ends every connection."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            call = await read_message(reader)
            mode = self.mode
            self.spoilt += mode != GOOD
            if mode == "down":
                return
            if mode != "redirecting":  # who sends elsewhere has not taken it
                self._keep(call.headers, call.body)
            if mode == "hanging":
                await let_time_pass(HANG_SECONDS)
                return
            if mode == "late":
                await let_time_pass(LATE_SECONDS)
            writer.write(_ANSWERS[mode])
            await writer.drain()

    def _keep(self, headers: Mapping[str, str], body: bytes) -> None:
        try:
            self._webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            self.refused += 1
            return
        json.loads(body)
        self.received.setdefault(headers["webhook-id"], set()).add(hashlib.sha256(body).hexdigest())
