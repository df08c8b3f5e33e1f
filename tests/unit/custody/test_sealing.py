"""Sealing: a seed opens as it was sealed, or not at all."""

import os
from dataclasses import replace
from typing import Any

import pytest

from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed, opened, seal
from activities.failures import IntegrityError
from tests.unit.custody.key_service_contract import assert_keeps_the_contract
from tests.unit.custody.local_key_service import LocalKeyService

SCOPE = SealScope(tenant="acme", keyring_id="k-1", purpose="wallets")


def test_the_key_service_of_these_tests_keeps_the_contract() -> None:
    """What stands in for the key service behaves as the real one does."""
    assert_keeps_the_contract(LocalKeyService())


def test_a_sealed_seed_opens_for_its_scope() -> None:
    """The same key service and scope give the entropy back, and the buffer is empty afterwards."""
    keys, entropy = LocalKeyService(), os.urandom(32)
    sealed = seal(keys, entropy, SCOPE)
    with opened(keys, sealed, SCOPE) as buffer:
        assert buffer == entropy
    assert buffer == bytes(32)


def _kept_by_a_failing_block(keys: LocalKeyService, sealed: SealedSeed, kept: list[bytearray]) -> None:
    with opened(keys, sealed, SCOPE) as buffer:
        kept.append(buffer)
        raise ZeroDivisionError


def test_the_buffer_is_overwritten_when_its_block_fails() -> None:
    """An error inside the block leaves no entropy in the buffer either."""
    keys, kept = LocalKeyService(), list[bytearray]()
    sealed = seal(keys, os.urandom(32), SCOPE)
    with pytest.raises(ZeroDivisionError):
        _kept_by_a_failing_block(keys, sealed, kept)
    assert kept == [bytearray(32)]


@pytest.mark.parametrize("field", ["tenant", "keyring_id", "purpose"])
def test_another_scope_does_not_open_it(field: str) -> None:
    """Tenant, keyring and purpose are each bound, by the data key's context and by the encryption."""
    keys = LocalKeyService()
    sealed = seal(keys, os.urandom(32), SCOPE)
    with pytest.raises(IntegrityError), opened(keys, sealed, replace(SCOPE, **{field: "other"})):
        pass


class _NoContextKeys(LocalKeyService):
    """A key service that ignores the context, so that only the encryption's own binding is left."""

    def new_data_key(self, context: bytes) -> tuple[bytes, str]:
        del context
        return LocalKeyService.new_data_key(self, b"")

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        del context
        return LocalKeyService.unwrap(self, wrapped, b"")


@pytest.mark.parametrize("field", ["tenant", "keyring_id", "purpose"])
def test_the_encryption_alone_binds_the_scope(field: str) -> None:
    """Even when the data key unwraps, another tenant, keyring or purpose fails the authentication."""
    keys = _NoContextKeys()
    sealed = seal(keys, os.urandom(32), SCOPE)
    with pytest.raises(IntegrityError), opened(keys, sealed, replace(SCOPE, **{field: "other"})):
        pass


def test_scopes_are_told_apart_however_they_are_cut() -> None:
    """Moving a letter from one name to the next makes another scope."""
    one = SealScope(tenant="ab", keyring_id="c", purpose="d")
    other = SealScope(tenant="a", keyring_id="bc", purpose="d")
    assert one.associated_data() != other.associated_data()
    assert one.context() != other.context()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"ciphertext": bytes([s.ciphertext[0] ^ 1]) + s.ciphertext[1:]},
        lambda s: {"ciphertext": s.ciphertext[:-1]},
        lambda _: {"ciphertext": b""},
        lambda _: {"nonce": bytes(12)},
        lambda _: {"nonce": b""},
        lambda s: {"wrapped_key": s.wrapped_key[:-2] + "00"},
        lambda _: {"wrapped_key": "junk"},
        lambda _: {"provider": "elsewhere"},
    ],
)
def test_an_altered_record_does_not_open(change: Any) -> None:
    """A changed ciphertext, nonce, wrapped key or provider is refused without telling more."""
    keys = LocalKeyService()
    sealed = seal(keys, b"\x07" * 32, SCOPE)
    with pytest.raises(IntegrityError), opened(keys, replace(sealed, **change(sealed)), SCOPE):
        pass


def test_every_seal_is_different() -> None:
    """The same entropy sealed twice shares neither key, nonce nor ciphertext."""
    keys, entropy = LocalKeyService(), os.urandom(32)
    one, other = seal(keys, entropy, SCOPE), seal(keys, entropy, SCOPE)
    assert one.ciphertext != other.ciphertext
    assert one.nonce != other.nonce
    assert one.wrapped_key != other.wrapped_key
    assert entropy not in one.ciphertext


def test_entropy_of_another_size_is_not_sealed() -> None:
    """Only the 32 bytes that were drawn are sealed."""
    with pytest.raises(IntegrityError):
        seal(LocalKeyService(), bytes(31), SCOPE)
