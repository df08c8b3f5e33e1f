import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import IntegrityError
from activities.personal_data import (
    ROW_GROUP,
    SALT_SIZE,
    VERDICT_GROUP,
    BatchDataKey,
    SubjectVault,
    leaf,
    open_bytes,
    seal_bytes,
)

FIELDS = {"subject_id": "s-1", "full_name": "Ana Pérez", "country": "DE"}
KEY = BatchDataKey(batch_id="spring", secret=bytes(range(32)))
SALT = bytes(range(SALT_SIZE))


class _NoKeys:
    """A key service that nobody may call: sealing and opening don't."""

    def new_data_key(self, key: str, *, context: bytes) -> tuple[bytes, str]:
        raise NotImplementedError

    def unwrap(self, key: str, wrapped: str, *, context: bytes) -> bytes:
        raise NotImplementedError


@pytest.fixture
def vault() -> SubjectVault:
    """A vault without its key service."""
    return SubjectVault(transit=_NoKeys())


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_what_is_sealed_opens_again(fields: dict[str, str]) -> None:
    """Any texts come back exactly."""
    vault = SubjectVault(transit=_NoKeys())
    sealed = vault.seal(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, fields=fields)
    assert vault.open(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, sealed=sealed) == fields


def test_values_of_every_json_kind_come_back(vault: SubjectVault) -> None:
    """Details of a verdict hold lists and numbers as well as texts."""
    detail = {"score": "0.93", "names": ["Ana", "Anna"], "count": 2, "entry": None}
    sealed = vault.seal(KEY, salt=SALT, ordinal=0, group=VERDICT_GROUP, fields=detail)
    assert vault.open(KEY, salt=SALT, ordinal=0, group=VERDICT_GROUP, sealed=sealed) == detail


def test_the_format_is_the_published_one(vault: SubjectVault) -> None:
    """HKDF-SHA256 and AES-256-GCM by the library open what is sealed here: no scheme of our own."""
    sealed = vault.seal(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, fields=FIELDS)
    subject_key = HKDF(SHA256(), 32, SALT, b"walletworks-pii-v1").derive(KEY.secret)
    plain = AESGCM(subject_key).decrypt(sealed[:12], sealed[12:], b"spring|7|row")
    assert plain == '{"country":"DE","full_name":"Ana Pérez","subject_id":"s-1"}'.encode()


def test_sealing_twice_gives_different_ciphertext(vault: SubjectVault) -> None:
    """Nonces are fresh: equal persons cannot be told by equal bytes."""
    sealed = {vault.seal(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, fields=FIELDS) for _ in range(50)}
    assert len(sealed) == 50


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("key", BatchDataKey(batch_id="spring", secret=bytes(32))),
        ("key", BatchDataKey(batch_id="autumn", secret=KEY.secret)),
        ("salt", bytes(SALT_SIZE)),
        ("salt", b"short"),
        ("ordinal", 8),
        ("group", VERDICT_GROUP),
    ],
)
def test_nothing_opens_in_another_place(vault: SubjectVault, changed: str, value: object) -> None:
    """A row moved to another batch, subject or group is found out."""
    place: dict[str, object] = {"key": KEY, "salt": SALT, "ordinal": 7, "group": ROW_GROUP}
    sealed = vault.seal(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, fields=FIELDS)
    place[changed] = value
    with pytest.raises(IntegrityError):
        open_bytes(**place, sealed=sealed)  # type: ignore[arg-type]  # one value differs


def test_any_changed_or_missing_byte_is_found() -> None:
    """One flipped bit anywhere, or a shorter text, and it does not open."""
    sealed = seal_bytes(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, plain=b"plain")
    broken = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for bad in (*broken, b"", sealed[:12], sealed[:-1]):
        with pytest.raises(IntegrityError, match="does not open"):
            open_bytes(KEY, salt=SALT, ordinal=7, group=ROW_GROUP, sealed=bad)


def test_the_key_shows_nothing_of_itself() -> None:
    """Neither repr nor text of a key carries its bytes."""
    secret = os.urandom(32)
    shown = repr(BatchDataKey(batch_id="spring", secret=secret))
    assert shown == "BatchDataKey(batch_id='spring')"


def test_a_leaf_needs_the_salt() -> None:
    """The same row under another salt has an unrelated leaf, so an erased salt erases the person."""
    assert leaf(SALT, b"row") != leaf(bytes(SALT_SIZE), b"row")
    assert len(leaf(SALT, b"row")) == 32
