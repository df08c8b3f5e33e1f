"""Posts announcements by the Standard Webhooks convention: id, timestamp, and signatures over both.

Follows no redirect, uses no proxy, reads nothing of an answer but its status, and never waits longer than one
bound in all: a receiver that answers byte by byte cannot keep a worker's thread.
"""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Timer
from typing import Final
from urllib.parse import SplitResult, urlsplit

from standardwebhooks import Webhook

from activities.activation.webhook_address import DEFAULT_PORTS, require_webhook_url
from activities.failures import ServiceUnavailableError

RECEIVER: Final = "webhook receiver"
"""What errors and `status` call the other end."""

DELIVERY_SECONDS_MAX: Final = 5.0
"""Seconds one call may take in all; a receiver queues what takes it longer."""


class WebhookReceiver:
    """One address that announcements are sent to, and the secrets they are signed with.

    The file holds one secret, or several, one a line, while they are being rotated: each signs, and a
    receiver takes whichever it knows.
    """

    def __init__(self, *, url: str, secret_file: Path, seconds_max: float = DELIVERY_SECONDS_MAX) -> None:
        self._parts = urlsplit(require_webhook_url(url))
        self._signers = [Webhook(line) for line in secret_file.read_text(encoding="ascii").split()]
        if not self._signers:
            raise ValueError("the webhook's secret file is empty")
        self._seconds_max = seconds_max

    def post(self, *, event: str, content: str) -> None:
        """Sends one announcement.

        Raises: ServiceUnavailableError unless the receiver answers with success in time.
        """
        now = datetime.now(tz=UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(event, now, content) for signer in self._signers),
        }
        try:
            status = self._status_of(content.encode(), headers)
        except (http.client.HTTPException, OSError, ValueError):
            raise ServiceUnavailableError(RECEIVER) from None
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP success
            raise ServiceUnavailableError(RECEIVER)

    def _status_of(self, body: bytes, headers: dict[str, str]) -> int:
        target = self._parts.path or "/"
        if self._parts.query:
            target = f"{target}?{self._parts.query}"
        with _connected(self._parts, self._seconds_max) as connection:
            connection.request("POST", target, body=body, headers=headers)
            with contextlib.closing(connection.getresponse()) as answer:
                status = answer.status
        return status


@contextlib.contextmanager
def _connected(parts: SplitResult, seconds_max: float) -> Iterator[http.client.HTTPConnection]:
    """A connection that is cut when its time is over, whatever it is in the middle of."""
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    with contextlib.ExitStack() as opened:
        plain = opened.enter_context(socket.create_connection((host, port), timeout=seconds_max))
        watched = opened.enter_context(plain.dup())
        is_over = Event()
        timer = Timer(seconds_max, _cut, [watched, is_over])
        opened.callback(timer.cancel)
        timer.start()
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, context=context)
            connection.sock = opened.enter_context(context.wrap_socket(plain, server_hostname=host))
        else:
            connection = http.client.HTTPConnection(host, port)
            connection.sock = plain
        yield connection
        # The library takes headers that were cut off for whole ones.
        if is_over.is_set():
            raise TimeoutError


def _cut(connected: socket.socket, is_over: Event) -> None:
    is_over.set()
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
