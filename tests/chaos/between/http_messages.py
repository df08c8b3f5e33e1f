"""As much of HTTP/1.1 as a server between two programs needs: one message read, one answer written."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request or an answer: all its bytes as they came, its headers by lower-case name, its body."""

    raw: bytes
    headers: Mapping[str, str]
    body: bytes


async def read_message(reader: asyncio.StreamReader) -> Message:
    """The next message of a connection, its body by the length that its head states or in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunks = [chunk async for chunk in _chunks(reader)]
        body = b"".join(content for _, content in chunks)
        return Message(raw=head + b"".join(raw for raw, _ in chunks), headers=headers, body=body)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Message(raw=head + body, headers=headers, body=body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Each chunk as it came, and its content; the last has none."""
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        content = await reader.readexactly(size + 2)
        yield line + content, content[:-2]


def answer(status: str, body: bytes, *more: str) -> bytes:
    """An answer that states its length and keeps the connection."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body
