"""Opens a stored seed for the second derivation path, by other code than the one that sealed it.

Its own small HTTP client and another AES implementation: a seed that only its maker's code could open would
be no backup. Standard library and pycryptodome only, because it runs in a process started for every range.
"""

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from Crypto.Cipher import AES

from activities.custody.scope import SealScope

TIMEOUT_SECONDS: Final = 5.0
"""For the one call: the key service answers in milliseconds or is away."""
TAG_BYTES: Final = 16

_SERVER_ERRORS: Final = 500
_TOO_MANY: Final = 429
_DENIED: Final = (401, 403)


class OpenerError(Exception):
    """A seed could not be opened; the text is one of the fixed outcomes below and nothing else."""


UNREACHABLE: Final = "unreachable"
DENIED: Final = "denied"
ALTERED: Final = "altered"


def open_seed(key_service: dict[str, Any], sealed: dict[str, str], scope: SealScope) -> bytes:
    """Gives the entropy of a sealed seed.

    Args:
        key_service: provider, address, token_file, mount, key, ca_file and namespace.
        sealed: ciphertext and nonce in hexadecimal, wrapped_key as stored.
        scope: what the seed was sealed for.

    Raises: OpenerError.
    """
    if key_service["provider"] != "transit":
        raise OpenerError(ALTERED)
    data_key = _unwrapped(key_service, sealed["wrapped_key"], scope.context())
    body = bytes.fromhex(sealed["ciphertext"])
    cipher = AES.new(data_key, AES.MODE_GCM, nonce=bytes.fromhex(sealed["nonce"]))
    cipher.update(scope.associated_data())
    try:
        return bytes(cipher.decrypt_and_verify(body[:-TAG_BYTES], body[-TAG_BYTES:]))
    except ValueError:
        raise OpenerError(ALTERED) from None


def _unwrapped(key_service: dict[str, Any], wrapped: str, context: bytes) -> bytes:
    request = {"ciphertext": wrapped, "context": base64.b64encode(context).decode("ascii")}
    path = f"/v1/{key_service['mount']}/decrypt/{key_service['key']}"
    status, answer = _posted(key_service, path, json.dumps(request))
    if status in _DENIED:
        raise OpenerError(DENIED)
    if status >= _SERVER_ERRORS or status == _TOO_MANY:
        raise OpenerError(UNREACHABLE)
    if status != http.HTTPStatus.OK:
        raise OpenerError(ALTERED)
    try:
        return base64.b64decode(json.loads(answer)["data"]["plaintext"], validate=True)
    except (ValueError, LookupError, TypeError):
        raise OpenerError(UNREACHABLE) from None


def _posted(key_service: dict[str, Any], path: str, body: str) -> tuple[int, bytes]:
    connection = _connection(key_service)
    try:
        connection.request("POST", path, body=body, headers=_headers(key_service))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        raise OpenerError(UNREACHABLE) from None
    finally:
        connection.close()


def _connection(key_service: dict[str, Any]) -> http.client.HTTPConnection:
    address = urlsplit(key_service["address"])
    host = address.hostname or ""
    if address.scheme == "https":
        trusted = ssl.create_default_context(cafile=key_service["ca_file"])
        return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT_SECONDS, context=trusted)
    return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT_SECONDS)


def _headers(key_service: dict[str, Any]) -> dict[str, str]:
    try:
        token = Path(key_service["token_file"]).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise OpenerError(DENIED) from None
    headers = {"X-Vault-Token": token, "X-Vault-Request": "true", "Content-Type": "application/json"}
    if key_service["namespace"]:
        headers["X-Vault-Namespace"] = key_service["namespace"]
    return headers
