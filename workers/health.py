"""A worker's liveness answer over HTTP on the loopback, while its event loop turns.

`/live` answers 200 in every state; `/ready` answers 200 only while the worker polls, else 503.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

_REQUEST_BYTES_MAX = 4096
_REQUEST_SECONDS_MAX = 2.0


@dataclass(kw_only=True)
class Health:
    """What a worker answers; `state` is starting, polling or draining."""

    role: str
    state: str = "starting"
    started: float = field(default_factory=time.monotonic)

    async def serve(self, port: int) -> asyncio.Server:
        """Answers on the loopback port (0: a free one) until the server is closed."""
        return await asyncio.start_server(self._answer, "127.0.0.1", port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX):
                request = await reader.read(_REQUEST_BYTES_MAX)
                writer.write(self._response(asks_ready=request.startswith(b"GET /ready ")))
                await writer.drain()
        except (TimeoutError, ConnectionError):
            return
        finally:
            writer.close()

    def _response(self, *, asks_ready: bool) -> bytes:
        uptime = int(time.monotonic() - self.started)
        body = json.dumps({"role": self.role, "state": self.state, "uptime_seconds": uptime}).encode()
        refuses = asks_ready and self.state != "polling"
        status = b"503 Service Unavailable" if refuses else b"200 OK"
        return (
            b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
