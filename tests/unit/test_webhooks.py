"""Announcements by webhook: what a receiver can rely on, and what a lying one cannot do."""

import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from activities.activation.webhook_address import require_webhook_url
from activities.activation.webhooks import WebhookReceiver
from activities.failures import ServiceUnavailableError
from workers.settings import WebhookSettings

OLD = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
NEW = "whsec_" + base64.b64encode(b"76543210fedcba9876543210").decode()
CONTENT = '{"data":{"wave":1},"type":"wave.activated"}'
EVENT = "0b51f3f2-87a1-5a54-9f5c-b4f6a1b3c0de"

Answer = Callable[[socket.socket], None]


class _Receiver:
    """One connection after the other: takes a call, and answers it as it likes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/hook?for=acme"
        self.calls: list[tuple[str, dict[str, str], str]] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            with connected, contextlib.suppress(OSError, UnicodeDecodeError):
                self.calls.append(_call(connected))
                self._answer(connected)


def _call(connected: socket.socket) -> tuple[str, dict[str, str], str]:
    with connected.makefile("rb") as stream:
        asked = stream.readline().decode().strip()
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return asked, headers, stream.read(int(headers.get("content-length", "0"))).decode()


@contextlib.contextmanager
def _receiver(answer: Answer) -> Iterator[_Receiver]:
    receiver = _Receiver(answer)
    try:
        yield receiver
    finally:
        receiver.close()


def _says(text: str) -> Answer:
    return lambda connected: connected.sendall(text.encode())


def _sender(folder: Path, url: str, *secrets: str, seconds_max: float = 5.0) -> WebhookReceiver:
    place = folder / "webhook_secret"
    place.write_text("\n".join(secrets or (OLD,)) + "\n")
    return WebhookReceiver(url=url, secret_file=place, seconds_max=seconds_max)


FINE = _says("HTTP/1.1 204 No Content\r\n\r\n")


def test_a_call_is_verified_by_the_conventions_own_library(tmp_path: Path) -> None:
    """Id, timestamp and content are all covered by the signature; one changed, and it does not stand."""
    with _receiver(FINE) as receiver:
        _sender(tmp_path, receiver.url).post(event=EVENT, content=CONTENT)
    ((asked, headers, body),) = receiver.calls
    assert asked == "POST /hook?for=acme HTTP/1.1"
    assert (headers["webhook-id"], headers["content-type"], body) == (EVENT, "application/json", CONTENT)
    Webhook(OLD).verify(body, headers)
    past = str(int(headers["webhook-timestamp"]) - 1)
    for changed in ({"webhook-id": "other"}, {"webhook-timestamp": past}):
        with pytest.raises(WebhookVerificationError):
            Webhook(OLD).verify(body, headers | changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body.replace("1", "2"), headers)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_call_is_refused_by_its_time(tmp_path: Path, minutes: int) -> None:
    """The signature binds the moment of sending, so that a recorded call is worth five minutes."""
    del tmp_path
    sent = datetime.now(tz=UTC) + timedelta(minutes=minutes)
    headers = {
        "webhook-id": EVENT,
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": Webhook(OLD).sign(EVENT, sent, CONTENT),
    }
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        Webhook(OLD).verify(CONTENT, headers)


def test_a_call_sent_again_has_its_id_so_that_a_receiver_can_drop_it(tmp_path: Path) -> None:
    """However often it is sent, id and content are the same: a receiver keeps the ids it has seen."""
    with _receiver(FINE) as receiver:
        sender = _sender(tmp_path, receiver.url)
        for _ in range(3):
            sender.post(event=EVENT, content=CONTENT)
    assert {(headers["webhook-id"], body) for _, headers, body in receiver.calls} == {(EVENT, CONTENT)}


def test_while_a_secret_is_rotated_both_sign(tmp_path: Path) -> None:
    """A receiver that has either secret takes the call; nothing has to change at one moment."""
    with _receiver(FINE) as receiver:
        _sender(tmp_path, receiver.url, NEW, OLD).post(event=EVENT, content=CONTENT)
    ((_, headers, body),) = receiver.calls
    for secret in (OLD, NEW):
        Webhook(secret).verify(body, headers)
    assert OLD not in str(receiver.calls)


def test_a_receiver_cannot_send_us_elsewhere(tmp_path: Path) -> None:
    """A redirect is no success, and nobody calls where it leads."""
    with _receiver(FINE) as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nlocation: {elsewhere.url}\r\ncontent-length: 0\r\n\r\n"
        with _receiver(_says(moved)) as receiver:
            sender = _sender(tmp_path, receiver.url)
            with pytest.raises(ServiceUnavailableError, match="webhook receiver"):
                sender.post(event=EVENT, content=CONTENT)
    assert (len(receiver.calls), elsewhere.calls) == (1, [])


def _drips(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connected.sendall(b"x: y\r\n" if _pause(connected) else b"")


def _pause(connected: socket.socket) -> bool:
    """Until the other end goes, or a tenth of a second."""
    connected.settimeout(0.1)
    try:
        if connected.recv(1) == b"":
            raise ConnectionResetError
    except TimeoutError:
        return True
    return False


def _waits(connected: socket.socket) -> None:
    while _pause(connected):
        pass


def _continues(connected: socket.socket) -> None:
    while _pause(connected):
        connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("answer", [_drips, _waits, _continues], ids=["drips", "mute", "continues"])
def test_a_receiver_that_never_ends_its_answer_is_left(tmp_path: Path, answer: Answer) -> None:
    """One bound holds for the whole call, not for each byte of it: no thread is kept."""
    with _receiver(answer) as receiver:
        sender = _sender(tmp_path, receiver.url, seconds_max=0.6)
        began = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match="webhook receiver"):
            sender.post(event=EVENT, content=CONTENT)
        assert time.monotonic() - began < 3


def _floods(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n")
    while True:
        connected.sendall(bytes(65_536))


def test_an_answers_body_is_not_read(tmp_path: Path) -> None:
    """Success is the status; what follows it, endless or packed, costs neither time nor memory."""
    with _receiver(_floods) as receiver:
        began = time.monotonic()
        _sender(tmp_path, receiver.url).post(event=EVENT, content=CONTENT)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\x16\x03\x01 is no HTTP",
        "HTTP/1.1 abc Fine\r\n\r\n",
        "HTTP/1.1 500 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 200 + "\r\n",
        "HTTP/1.1 200 OK\r\nx: " + "y" * 70_000 + "\r\n\r\n",
    ],
    ids=["nothing", "garbled", "no number", "refused", "many headers", "long header"],
)
def test_a_garbled_answer_is_an_outage_and_tells_nothing_of_itself(tmp_path: Path, answer: str) -> None:
    """Whatever comes back that is no success is waited out under one name."""
    with _receiver(_says(answer)) as receiver:
        sender = _sender(tmp_path, receiver.url)
        with pytest.raises(ServiceUnavailableError) as raised:
            sender.post(event=EVENT, content=CONTENT)
    assert "garbled" not in raised.value.message
    assert receiver.url not in raised.value.message


def test_tls_is_verified(tmp_path: Path) -> None:
    """What answers in the open where https is asked for gets nothing of the announcement."""
    with _receiver(FINE) as receiver:
        sender = _sender(tmp_path, receiver.url.replace("http://", "https://"), seconds_max=2)
        with pytest.raises(ServiceUnavailableError):
            sender.post(event=EVENT, content=CONTENT)
    assert CONTENT not in str(receiver.calls)
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "url",
    ["https://hooks.acme.example/x?y=1", "https://hooks.acme.example:8443", "http://127.0.0.1:9/x",
     "http://localhost:9", "http://[::1]:9/x"],
)  # fmt: skip
def test_addresses_that_are_taken(url: str) -> None:
    """Encrypted ones, and this machine's own."""
    assert require_webhook_url(url) == url
    assert WebhookSettings(url=url, secret_file=Path("s")).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.acme.example",
        "http://hooks.acme.example/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://127.0.0.1.hooks.acme.example/",
        "http://2130706433/",
        "file:///etc/passwd",
        "gopher://hooks.acme.example",
        "https://",
        "https://user:word@hooks.acme.example",
        "https://hooks.acme.example@10.0.0.1/",
        "https://hooks.acme.example/#x",
        "https://hooks.acme.example:99999/",
        "https://hooks.acme.example:0/",
        "https://hooks.acme.example/a b",
        "https://hooks.acme.example/\r\nx: y",
        "https://h\u00f6oks.example/",
        "https://[::1/",
    ],
)
def test_addresses_that_are_refused_before_a_worker_starts(url: str) -> None:
    """Neither plain text over a network, nor a place only this machine can see, nor words hidden in it."""
    with pytest.raises(ValueError, match=r"must|is not") as raised:
        require_webhook_url(url)
    assert "169.254" not in str(raised.value)
    with pytest.raises(ValueError, match="url"):
        WebhookSettings(url=url, secret_file=Path("s"))


def test_an_empty_secret_file_signs_nothing(tmp_path: Path) -> None:
    """A worker without a secret does not start."""
    with pytest.raises(ValueError, match="empty"):
        _sender(tmp_path, "https://hooks.acme.example", "")
