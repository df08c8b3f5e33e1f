"""Between a worker and the key service: passes calls on, or makes them slow, garbled, or lies.

Never alters a value inside an answer that stays readable: that is what TLS is for.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from tests.chaos.between.http_messages import Message, answer, read_message
from tests.chaos.between.loop import LOCAL, LocalServer
from tests.waiting import let_time_pass

STRAIGHT: Final = "straight"
SLOW_SECONDS: Final = (0.5, 7.0)
"""Some answers come late, some after our own client has given up."""

Spoil = Callable[[Message, random.Random], bytes]

GARBLED: Final[tuple[Spoil, ...]] = (
    lambda said, _: answer("200 OK", said.body[: len(said.body) // 2]),
    lambda _, chance: answer("200 OK", chance.randbytes(200)),
    lambda *_: answer("200 OK", b"<html><body>Bad gateway</body></html>"),
    lambda *_: answer("200 OK", b""),
    lambda *_: answer("200 OK", b'{"data": {"plaintext": "AAAA", "ciphertext": 7, "random_bytes": "!"}}'),
)
"""Answers that nobody can read, one chosen by chance."""

LIES: Final[tuple[Spoil, ...]] = (
    lambda *_: answer("200 OK", b'{"errors": ["internal error"]}'),
    lambda *_: answer("200 OK", b'{"data": null}'),
    lambda *_: answer("200 OK", b'{"data": {}}'),
    lambda *_: answer("500 Internal Server Error", b'{"errors": ["internal error"]}'),
    lambda *_: answer("204 No Content", b""),
)
"""Answers that read well and say nothing, one chosen by chance."""

_SPOILS: Final[dict[str, tuple[Spoil, ...]]] = {"garbled": GARBLED, "lying": LIES}


class KeyServiceProxy:
    """`mode` is `straight`, `slow`, `garbled` or `lying`; `spoilt` counts the calls that suffered."""

    def __init__(self, address: str, *, seed: int) -> None:
        self._port = urlsplit(address).port
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable plan, nothing secret
        self.mode = STRAIGHT
        self.spoilt = 0
        self._server = LocalServer(self._between)
        self.address = f"http://{LOCAL}:{self._server.port}"

    def close(self) -> None:
        """Ends every connection."""
        self._server.close()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(LOCAL, self._port)
        try:
            while True:
                asked = await read_message(reader)
                up_writer.write(asked.raw)
                said = await read_message(up_reader)
                writer.write(await self._spoilt(said))
                await writer.drain()
        finally:
            up_writer.transport.abort()

    async def _spoilt(self, said: Message) -> bytes:
        mode = self.mode
        if mode == STRAIGHT:
            return said.raw
        self.spoilt += 1
        if mode == "slow":
            await let_time_pass(self._chance.uniform(*SLOW_SECONDS))
            return said.raw
        return self._chance.choice(_SPOILS[mode])(said, self._chance)
