"""The second opener: opens what sealing stored by other code, and tells one word of any trouble."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from activities.custody import second_path
from activities.custody.scope import SealScope
from activities.custody.second_opener import OpenerError, open_seed
from activities.keys.evm_derivation import derive_addresses
from activities.keys.mnemonic import seed_from_entropy
from tests.unit.custody.answering_service import AnsweringService

WRAPPED = "vault:v1:canary-5165f5c453ccb85e70811aae"
SCOPE = SealScope(tenant="acme", keyring_id="k-1", purpose="wallets")
DATA_KEY, NONCE, ENTROPY = bytes(range(32)), bytes(range(12)), bytes(range(100, 132))


def _plaintext(data_key: bytes) -> bytes:
    return json.dumps({"data": {"plaintext": base64.b64encode(data_key).decode()}}).encode()


def _key_service(service: AnsweringService, token_file: Path) -> dict[str, Any]:
    return {
        "provider": "transit",
        "address": f"http://127.0.0.1:{service.server_port}",
        "token_file": str(token_file),
        "mount": "transit",
        "key": "seed",
        "ca_file": None,
        "namespace": "tenants",
    }


def _sealed() -> dict[str, str]:
    body = AESGCM(DATA_KEY).encrypt(NONCE, ENTROPY, SCOPE.associated_data())
    return {"ciphertext": body.hex(), "nonce": NONCE.hex(), "wrapped_key": WRAPPED}


def test_what_was_sealed_opens_by_other_code(service: AnsweringService, token_file: Path) -> None:
    """Another client and another AES give the entropy, and a range derived from it is compared whole."""
    service.body = _plaintext(DATA_KEY)
    key_service = _key_service(service, token_file)
    assert open_seed(key_service, _sealed(), SCOPE) == ENTROPY
    addresses = derive_addresses(seed_from_entropy(ENTROPY), 3, range(120))
    addresses[7] = addresses[8]
    job = {
        "key_service": key_service,
        "sealed": _sealed(),
        "scope": {"tenant": "acme", "keyring_id": "k-1", "purpose": "wallets"},
        "family": "evm",
        "account": 3,
        "count": 120,
    }
    found = second_path.compare(job, [f"{index} {address}\n" for index, address in enumerate(addresses)])
    assert found == {"v": 1, "checked": 120, "sampled": 100, "mismatch_count": 1, "mismatches": [7]}


def test_the_sample_is_one_in_a_hundred_and_at_least_a_hundred() -> None:
    """Small ranges are sampled whole, large ones by one in a hundred, rounded up, each position once."""
    for count, size in ((0, 0), (1, 1), (100, 100), (9_999, 100), (10_001, 101), (50_000, 500)):
        sample = second_path._sample(count)
        assert len(set(sample)) == size
        assert all(0 <= position < count for position in sample)
    assert second_path._sample(10_000) != second_path._sample(10_000)


def test_a_missing_token_and_a_closed_port_have_their_words(
    service: AnsweringService, token_file: Path, tmp_path: Path
) -> None:
    """No token is a refusal; no connection, plain or encrypted, is an outage."""
    key_service = _key_service(service, token_file)
    with pytest.raises(OpenerError, match=r"^denied$"):
        open_seed({**key_service, "token_file": str(tmp_path / "absent")}, _sealed(), SCOPE)
    for scheme in ("http", "https"):
        with pytest.raises(OpenerError, match=r"^unreachable$"):
            open_seed({**key_service, "address": f"{scheme}://127.0.0.1:9"}, _sealed(), SCOPE)


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
    service: AnsweringService, token_file: Path, status: int, body: bytes, word: str
) -> None:
    """Each bad answer, and a data key that opens nothing, is one of three fixed words."""
    service.status, service.body = status, body
    key_service = _key_service(service, token_file)
    sealed = {"ciphertext": "00" * 48, "nonce": "00" * 12, "wrapped_key": WRAPPED}
    with pytest.raises(OpenerError, match=f"^{word}$"):
        open_seed(key_service, sealed, SCOPE)
