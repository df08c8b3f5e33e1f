"""The transit adapter: every way the key service can fail becomes one of our errors, and tells nothing."""

import base64
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activities.clients.transit import Transit
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    RateLimitedError,
    ServiceUnavailableError,
)
from tests.unit.custody.answering_service import TOKEN, AnsweringHandler, AnsweringService

WRAPPED = "vault:v1:canary-5165f5c453ccb85e70811aae"
CONTEXT = b"c" * 32


def _transit(service: AnsweringService, token_file: Path) -> Transit:
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
    service: AnsweringService, token_file: Path, status: int, body: bytes, expected: type[Exception]
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
def test_a_garbled_answer_is_an_outage(
    service: AnsweringService, token_file: Path, data: dict[str, Any]
) -> None:
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


def test_a_redirect_is_not_followed(service: AnsweringService, token_file: Path) -> None:
    """The token is not carried to an address that an answer names."""
    other = AnsweringService(("127.0.0.1", 0), AnsweringHandler)
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
    service: AnsweringService, token_file: Path, granted: dict[str, list[str]], at_fault: str
) -> None:
    """Too little, too much, another role's path, and a root token are refused by the path's name."""
    service.body = json.dumps({"data": granted}).encode()
    with pytest.raises(AccessDeniedError, match=at_fault):
        _transit(service, token_file).require_exactly(NEEDS, never=["transit/decrypt/pii"])


def test_a_token_with_its_roles_rights_is_accepted(service: AnsweringService, token_file: Path) -> None:
    """Exactly what the role needs, and nothing elsewhere, lets a worker start."""
    service.body = json.dumps({"data": {"transit/decrypt/seed": ["update"]}}).encode()
    _transit(service, token_file).require_exactly(NEEDS, never=["transit/decrypt/pii"])
