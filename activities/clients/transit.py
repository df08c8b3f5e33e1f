"""The key service's transit engine (HashiCorp Vault, OpenBao): wraps keys, signs, gives random bytes.

Vendor errors stop here. They carry the request with our token and key material in it, so ours are raised
outside the handler: neither as cause nor as context does anything of theirs go further.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import hvac
import requests
from hvac import exceptions as vendor

from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    RateLimitedError,
    ServiceUnavailableError,
    WalletworksError,
)

SERVICE: Final = "key service"
"""The name of this service in errors and in what a batch says it waits for."""
TIMEOUT_SECONDS: Final = 5.0
"""For one call: the engine answers in milliseconds or is away, and a retry policy stands above."""
RETRY_AFTER: Final = timedelta(seconds=1)
"""After a refusal for load: the engine's quotas are counted per second."""
DATA_KEY_BITS: Final = 256

_SIGNATURE_PARTS: Final = 3


class Transit:
    """One token's view of a transit engine; safe to share between the threads of a worker."""

    def __init__(
        self,
        *,
        address: str,
        token_file: Path,
        mount: str = "transit",
        ca_file: Path | None = None,
        namespace: str | None = None,
    ) -> None:
        session = requests.Session()
        # Proxies, netrc and certificates named by the environment have no say over who sees our keys.
        session.trust_env = False
        session.verify = str(ca_file) if ca_file else True
        self._mount = mount
        self._client = hvac.Client(
            url=address,
            token=_read_token(token_file),
            timeout=TIMEOUT_SECONDS,
            session=session,
            namespace=namespace,
            allow_redirects=False,  # a redirect would carry our token to an address nobody configured
        )
        self._transit = self._client.secrets.transit

    def __repr__(self) -> str:
        return "Transit()"

    def new_data_key(self, key: str, *, context: bytes) -> tuple[bytes, str]:
        """Gives a new 256-bit data key, in clear and wrapped.

        Args:
            key: name of the wrapping key.
            context: what the data key is for; unwrapping needs the same bytes.

        Raises:
            ServiceUnavailableError: the key service is away, sealed or broken.
            AccessDeniedError: our token may not do this.
            IntegrityError: the wrapping key does not exist.
        """
        data = self._data(
            self._transit.generate_data_key,
            name=key,
            key_type="plaintext",
            context=_text(context),
            bits=DATA_KEY_BITS,
        )
        return _bytes_of(data, "plaintext", size=DATA_KEY_BITS // 8), _text_of(data, "ciphertext")

    def unwrap(self, key: str, wrapped: str, *, context: bytes) -> bytes:
        """Gives the data key that was wrapped under this key and context.

        Raises:
            IntegrityError: it does not open: another key, another context, or altered.
            ServiceUnavailableError: the key service is away, sealed or broken.
            AccessDeniedError: our token may not do this.
        """
        data = self._data(self._transit.decrypt_data, name=key, ciphertext=wrapped, context=_text(context))
        return _bytes_of(data, "plaintext", size=DATA_KEY_BITS // 8)

    def random(self, count: int) -> bytes:
        """Gives bytes of the key service's own generator, as many as it answers with."""
        data = self._data(self._transit.generate_random_bytes, n_bytes=count, output_format="base64")
        return _bytes_of(data, "random_bytes")

    def sign(self, key: str, message: bytes) -> bytes:
        """Gives the raw signature of the key's newest version: 64 bytes for Ed25519."""
        data = self._data(self._transit.sign_data, name=key, hash_input=_text(message))
        parts = _text_of(data, "signature").split(":")
        if len(parts) != _SIGNATURE_PARTS:
            raise ServiceUnavailableError(SERVICE)
        return _decoded(parts[-1])

    def public_keys(self, key: str) -> Mapping[int, bytes]:
        """Gives the raw public key of each version of a signing key."""
        versions = self._data(self._transit.read_key, name=key).get("keys")
        if not isinstance(versions, Mapping):
            raise ServiceUnavailableError(SERVICE)
        return {int(number): _bytes_of(entry, "public_key") for number, entry in versions.items()}

    def may(self, paths: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """Gives what our token may do at each path, as the key service judges it; empty for nothing."""
        asked = list(paths)
        data = self._answer(self._client.sys.get_capabilities, paths=asked)
        return {path: frozenset(data.get(path, ())) - {"deny"} for path in asked}

    def require_exactly(self, needs: Mapping[str, frozenset[str]], *, never: Iterable[str]) -> None:
        """Refuses a token that lacks what its role needs or can do more.

        Args:
            needs: the capabilities the role uses, by path.
            never: paths of other roles, where it must not be able to do anything.

        Raises: AccessDeniedError naming the paths.
        """
        allowed = {**dict.fromkeys(never, frozenset[str]()), **needs}
        found = self.may(allowed)
        lacking = sorted(path for path in allowed if allowed[path] - found[path])
        surplus = sorted(path for path in allowed if found[path] - allowed[path])
        if lacking:
            raise AccessDeniedError(f"The key service's token lacks {', '.join(lacking)}")
        if surplus:
            raise AccessDeniedError(f"The key service's token can do too much at {', '.join(surplus)}")

    def _data(self, method: Callable[..., Any], **arguments: object) -> Mapping[str, Any]:
        return self._answer(method, mount_point=self._mount, **arguments)

    def _answer(self, method: Callable[..., Any], **arguments: object) -> Mapping[str, Any]:
        """Gives the data of one answer, or our error for the vendor's."""
        failure: WalletworksError = ServiceUnavailableError(SERVICE)
        try:
            answer = method(**arguments)
            data = answer["data"] if isinstance(answer, Mapping) else None
            if isinstance(data, Mapping):
                return data
        except vendor.VaultError as error:
            failure = _translated(error)
        except (requests.RequestException, OSError, LookupError, TypeError, ValueError):
            failure = ServiceUnavailableError(SERVICE)
        raise failure


def _translated(error: vendor.VaultError) -> WalletworksError:
    if isinstance(error, vendor.Forbidden | vendor.Unauthorized):
        return AccessDeniedError("The key service refused our token")
    if isinstance(error, vendor.RateLimitExceeded):
        return RateLimitedError(SERVICE, retry_after=RETRY_AFTER)
    if isinstance(error, vendor.InvalidRequest | vendor.InvalidPath):
        return IntegrityError("The key service does not hold this key, or what it wrapped was changed")
    return ServiceUnavailableError(SERVICE)


def _read_token(token_file: Path) -> str:
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        raise AccessDeniedError("The key service's token file cannot be read")
    return token


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _text_of(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or not value:
        raise ServiceUnavailableError(SERVICE)
    return value


def _bytes_of(data: Mapping[str, Any], field: str, *, size: int | None = None) -> bytes:
    value = _decoded(_text_of(data, field))
    if size is not None and len(value) != size:
        raise ServiceUnavailableError(SERVICE)
    return value


def _decoded(text: str) -> bytes:
    value = None
    with suppress(binascii.Error):
        value = base64.b64decode(text, validate=True)
    if value is None:
        raise ServiceUnavailableError(SERVICE)
    return value
