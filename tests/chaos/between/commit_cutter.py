"""Between a worker and PostgreSQL: passes everything on, until it is told to lose one commit's answer.

It reads the server's messages, so that the cut falls exactly there: the server has committed rows, and the
worker is never told.
"""

import asyncio
import struct
from typing import Final

from tests.chaos.between.loop import LOCAL, LocalServer

_PLAINTEXT_ONLY: Final = {80877103, 80877104}
"""Codes of the first packet by which a client asks for TLS or GSSAPI."""

_HEAD: Final = struct.Struct(">I")
_COMPLETE: Final = b"C"
_WROTE: Final = (b"INSERT 0 ", b"UPDATE ", b"DELETE ", b"COPY ")


class CommitCutter:
    """`cuts` counts the answers that were lost; `arm` asks for one more."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._armed = 0
        self.cuts = 0
        self._server = LocalServer(self._between)
        self.port = self._server.port

    def arm(self) -> None:
        """Loses the answer to the next commit of a transaction that wrote rows."""
        self._armed += 1

    def disarm(self) -> None:
        """Loses nothing more."""
        self._armed = 0

    def close(self) -> None:
        """Ends every connection."""
        self._server.close()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await _first_packet(reader, writer)
        up_reader, up_writer = await asyncio.open_connection(LOCAL, self._server_port)
        try:
            up_writer.write(first)
            asking = asyncio.create_task(_pass_on(reader, up_writer))
            try:
                await self._answer(up_reader, writer)
            finally:
                asking.cancel()
        finally:
            up_writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The server's messages one by one, as each begins with its kind and its length."""
        wrote = False
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(_HEAD.unpack(head[1:])[0] - 4)
            if head[:1] == _COMPLETE:
                if body == b"COMMIT\0" and wrote and self._armed:
                    self._armed -= 1
                    self.cuts += 1
                    return
                wrote = (wrote or _has_written(body)) and body not in {b"COMMIT\0", b"ROLLBACK\0"}
            writer.write(head + body)
            await writer.drain()


def _has_written(tag: bytes) -> bool:
    return tag.startswith(_WROTE) and not tag.endswith(b" 0\0")


async def _first_packet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The start of a session; a client that asks for encryption first is told that there is none here."""
    while True:
        head = await reader.readexactly(4)
        body = await reader.readexactly(_HEAD.unpack(head)[0] - 4)
        if _HEAD.unpack(body[:4])[0] not in _PLAINTEXT_ONLY:
            return head + body
        writer.write(b"N")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()
