"""A receiver of webhooks that keeps what it is sent."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Taking(BaseHTTPRequestHandler):
    """Takes every call and says yes."""

    def do_POST(self) -> None:
        """Takes one call."""
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.calls.append((self.headers["webhook-id"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Writes no log."""


class Receiver(ThreadingHTTPServer):
    """Listens on a free port; `calls` are the announcements' ids and bodies in the order of arrival."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.calls: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def calls_about(self, batch_id: str) -> list[tuple[str, str]]:
        """The calls about one batch."""
        return [(event, body) for event, body in self.calls if f'"batch_id":"{batch_id}"' in body]
