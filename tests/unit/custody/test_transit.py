"""The transit adapter: every way the key service can fail becomes one of our errors, and tells nothing."""

import base64
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from activities.clients.transit import Transit
from activities.custody.scope import SealScope
from activities.custody.second_opener import OpenerError, open_seed
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    RateLimitedError,
    ServiceUnavailableError,
)

TOKEN = "s.published-test-token-5eb00bbddcf069"
WRAPPED = "vault:v1:canary-5165f5c453ccb85e70811aae"
CONTEXT = b"c" * 32


class _Answering(ThreadingHTTPServer):
    """A key service that gives every request the answer it was told to."""

    daemon_threads = True
    status = 200
    body = b""
    headers: tuple[tuple[str, str], ...] = ()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        server = self.server
        assert isinstance(server, _Answering)
        self.send_response(server.status)
        for name, value in server.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_POST  # noqa: N815 - the name http.server looks for

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def service() -> Iterator[_Answering]:
    """A key service on a free port of this machine."""
    server = _Answering(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a token."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="ascii")
    return file


def _transit(service: _Answering, token_file: Path) -> Transit:
    return Transit(address=f"http://127.0.0.1:{service.server_port}", token_file=token_file)


USES: list[Callable[[Transit], object]] = [
    lambda t: t.new_data_key("seed", context=CONTEXT),
    lambda t: t.unwrap("seed", WRAPPED, context=CONTEXT),
    lambda t: t.random(32),
    lambda t: t.sign("attest", b"message"),
    lambda t: t.public_keys("attest"),
    lambda t: t.may(["transit/decrypt/seed"]),
]

ANSWERS: list[tuple[int, bytes, type[Exception]]] = [
    (400, b'{"errors": ["cipher: message authentication failed"]}', IntegrityError),
    (401, b"{}", AccessDeniedError),
    (403, b'{"errors": ["permission denied"]}', AccessDeniedError),
    (404, b"{}", IntegrityError),
    (429, b"{}", RateLimitedError),
    (307, b"", ServiceUnavailableError),
    (500, b'{"errors": ["internal error"]}', ServiceUnavailableError),
    (501, b"{}", ServiceUnavailableError),
    (502, b"<html>", ServiceUnavailableError),
    (503, b'{"errors": ["Vault is sealed"]}', ServiceUnavailableError),
    (599, b"", ServiceUnavailableError),
    (204, b"", ServiceUnavailableError),
    (200, b"", ServiceUnavailableError),
    (200, b"not json", ServiceUnavailableError),
    (200, b"[]", ServiceUnavailableError),
    (200, b'{"data": null}', ServiceUnavailableError),
    (200, b'{"data": []}', ServiceUnavailableError),
]


def _assert_tells_nothing(error: BaseException) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join(traceback.format_exception(error)) + repr(error.args)
    for secret in (TOKEN, WRAPPED, base64.b64encode(CONTEXT).decode()):
        assert secret not in told


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS)
def test_every_bad_answer_becomes_our_error(
    service: _Answering, token_file: Path, status: int, body: bytes, expected: type[Exception]
) -> None:
    """Each status means one error, and neither token nor request travels with it."""
    service.status, service.body = status, body
    transit = _transit(service, token_file)
    for use in USES:
        with pytest.raises(expected) as raised:
            use(transit)
        _assert_tells_nothing(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"plaintext": None, "ciphertext": "c", "random_bytes": 7, "signature": "", "keys": []},
        {"plaintext": "!!", "ciphertext": "c", "random_bytes": "!!", "signature": "v:1:!!", "keys": 1},
        {"plaintext": "AAAA", "ciphertext": "c", "random_bytes": "A", "signature": "x", "keys": {"1": {}}},
        {"plaintext": base64.b64encode(bytes(32)).decode(), "keys": {"1": {"public_key": "!"}}},
    ],
)
def test_a_garbled_answer_is_an_outage(service: _Answering, token_file: Path, data: dict[str, Any]) -> None:
    """Missing, mistyped, wrongly encoded or wrongly sized fields are never taken for keys."""
    service.body = json.dumps({"data": data}).encode()
    transit = _transit(service, token_file)
    for use in (USES[0], USES[2], USES[3], USES[4]):
        with pytest.raises(ServiceUnavailableError) as raised:
            use(transit)
        _assert_tells_nothing(raised.value)


def test_a_closed_port_is_an_outage(token_file: Path) -> None:
    """A refused connection is told as the key service being away, without the request in it."""
    transit = Transit(address="http://127.0.0.1:9", token_file=token_file)
    for use in USES:
        with pytest.raises(ServiceUnavailableError) as raised:
            use(transit)
        _assert_tells_nothing(raised.value)


def test_a_redirect_is_not_followed(service: _Answering, token_file: Path) -> None:
    """The token is not carried to an address that an answer names."""
    other = _Answering(("127.0.0.1", 0), _Handler)
    other.status, other.body = 200, json.dumps({"data": {"random_bytes": "AAAA"}}).encode()
    service.status = 307
    service.headers = (("Location", f"http://127.0.0.1:{other.server_port}/v1/transit/random"),)
    with other, pytest.raises(ServiceUnavailableError):
        _transit(service, token_file).random(3)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or unreadable token file is a refusal when the worker starts."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AccessDeniedError):
        Transit(address="http://127.0.0.1:9", token_file=file)


def test_the_adapter_shows_no_token(token_file: Path) -> None:
    """Its representation is its name alone."""
    assert repr(Transit(address="http://127.0.0.1:9", token_file=token_file)) == "Transit()"


NEEDS = {"transit/decrypt/seed": frozenset({"update"})}


@pytest.mark.parametrize(
    ("granted", "at_fault"),
    [
        ({"transit/decrypt/seed": ["deny"], "transit/decrypt/pii": ["deny"]}, "decrypt/seed"),
        ({"transit/decrypt/seed": ["update", "create"], "transit/decrypt/pii": ["deny"]}, "decrypt/seed"),
        ({"transit/decrypt/seed": ["update"], "transit/decrypt/pii": ["update"]}, "decrypt/pii"),
        ({"transit/decrypt/seed": ["root"], "transit/decrypt/pii": ["root"]}, "decrypt/seed"),
    ],
)
def test_a_token_with_other_rights_than_its_role_is_refused(
    service: _Answering, token_file: Path, granted: dict[str, list[str]], at_fault: str
) -> None:
    """Too little, too much, another role's path, and a root token are refused by the path's name."""
    service.body = json.dumps({"data": granted}).encode()
    with pytest.raises(AccessDeniedError, match=at_fault):
        _transit(service, token_file).require_exactly(NEEDS, never=["transit/decrypt/pii"])


def test_a_token_with_its_roles_rights_is_accepted(service: _Answering, token_file: Path) -> None:
    """Exactly what the role needs, and nothing elsewhere, lets a worker start."""
    service.body = json.dumps({"data": {"transit/decrypt/seed": ["update"]}}).encode()
    _transit(service, token_file).require_exactly(NEEDS, never=["transit/decrypt/pii"])


OPENER_ANSWERS = [
    (400, b"{}", "altered"),
    (403, b"{}", "denied"),
    (404, b"{}", "altered"),
    (429, b"{}", "unreachable"),
    (307, b"", "altered"),
    (503, b"{}", "unreachable"),
    (200, b"", "unreachable"),
    (200, b'{"data": {}}', "unreachable"),
    (200, json.dumps({"data": {"plaintext": base64.b64encode(bytes(32)).decode()}}).encode(), "altered"),
]


@pytest.mark.parametrize(("status", "body", "word"), OPENER_ANSWERS)
def test_the_second_opener_tells_one_word(
    service: _Answering, token_file: Path, status: int, body: bytes, word: str
) -> None:
    """Each bad answer, and a data key that opens nothing, is one of three fixed words."""
    service.status, service.body = status, body
    key_service = {
        "provider": "transit",
        "address": f"http://127.0.0.1:{service.server_port}",
        "token_file": str(token_file),
        "mount": "transit",
        "key": "seed",
        "ca_file": None,
        "namespace": "tenants",
    }
    sealed = {"ciphertext": "00" * 48, "nonce": "00" * 12, "wrapped_key": WRAPPED}
    scope = SealScope(tenant="acme", keyring_id="k-1", purpose="wallets")
    with pytest.raises(OpenerError, match=f"^{word}$"):
        open_seed(key_service, sealed, scope)
