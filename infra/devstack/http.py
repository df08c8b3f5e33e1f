"""JSON over plain HTTP to the local servers; no client library, no connection kept."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a JSON object; an empty or foreign body reads as an empty object."""

    status: int
    body: dict[str, object]

    @property
    def ok(self) -> bool:
        """Tells whether the server did what was asked."""
        return self.status in {200, 204}


def call(method: str, url: str, *, body: dict[str, object] | None = None, token: str = "") -> Answer | None:
    """Gives the answer, or None when nothing answers there."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    headers = {"X-Vault-Token": token} if token else {}
    try:
        connection.request(method, parts.path, json.dumps(body) if body else None, headers)
        return _read(connection.getresponse())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _read(response: HTTPResponse) -> Answer:
    text = response.read()
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Answer(status=response.status, body=body if isinstance(body, dict) else {})
