"""A key service that gives every request one answer, over a real connection."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "s.published-test-token-5eb00bbddcf069"


class AnsweringService(ThreadingHTTPServer):
    """A key service that gives every request the answer it was told to."""

    daemon_threads = True
    status = 200
    body = b""
    headers: tuple[tuple[str, str], ...] = ()


class AnsweringHandler(BaseHTTPRequestHandler):
    """Gives each request its service's answer."""

    def do_POST(self) -> None:
        """Reads the request and answers."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        server = self.server
        assert isinstance(server, AnsweringService)
        self.send_response(server.status)
        for name, value in server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_POST  # noqa: N815 - the name http.server looks for

    def log_message(self, *_: object) -> None:
        """Says nothing."""
