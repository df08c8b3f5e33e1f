"""The restricted part: readable by the auditors' keys alone, and hostile content is only reported."""

import gzip
import io
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from activities.evidence.report import CheckFailedError
from activities.evidence.restricted import (
    RestrictedRow,
    encrypted,
    load_identity,
    read_rows,
    recipients,
    restricted_line,
)
from activities.failures import InvalidRequestError
from activities.trust.trust_file import Trust, parse_trust
from tests.signers import Signer

AUDITOR = Signer(name="audit@firm.example")
OTHER = Signer(name="lee@acme.example")


def a_row(ordinal: int) -> dict[str, Any]:
    """A line's content."""
    return {
        "ordinal": ordinal,
        "row": {"subject_id": f"s-{ordinal}", "full_name": "Zoë"},
        "salt": "00" * 16,
        "leaf": "ab" * 32,
        "verdict": "clear",
        "score": "0.00",
        "verdict_leaf": "cd" * 32,
        "hold_digest": None,
        "verdict_detail": None,
        "withholding_detail": None,
    }


def private_key(signer: Signer) -> bytes:
    """The signer's private key as an OpenSSH file holds it."""
    return signer.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def identity(signer: Signer) -> Any:
    """The signer's key as age uses it."""
    return pyrage.ssh.Identity.from_buffer(private_key(signer))


def a_trust(roles: str = '["auditor"]', tenants: str = '["*"]', extra: str = "") -> Trust:
    """A deployment with an auditor and an officer."""
    return parse_trust(
        f'deployment = "acme-prod"\nallowed_signers = """\n{AUDITOR.line()}\n{OTHER.line()}\n"""\n'
        f'[persons."{AUDITOR.name}"]\nroles = {roles}\ntenants = {tenants}\n{extra}'
        f'[persons."{OTHER.name}"]\nroles = ["compliance_officer"]\ntenants = ["*"]\n'
    )


def sealed(content: bytes) -> io.BytesIO:
    """Any bytes encrypted to the auditor."""
    return io.BytesIO(pyrage.encrypt(content, recipients(a_trust(), ["auditor"], tenant="acme")))


def test_auditors_read_what_was_written() -> None:
    """Rows come out as they went in, one by one and in order."""
    sink = io.BytesIO()
    lines = (restricted_line(a_row(ordinal)) for ordinal in range(5000))
    encrypted(lines, recipients(a_trust(), ["auditor"], tenant="acme"), sink)
    sink.seek(0)
    rows: list[RestrictedRow] = []
    read_rows(sink, identity(AUDITOR), rows.append)
    assert [row.ordinal for row in rows] == list(range(5000))
    assert rows[7].model_dump() == a_row(7)
    assert b"s-7" not in sink.getvalue()


def test_another_key_does_not_open_it() -> None:
    """An officer's key is not an auditor's."""
    with pytest.raises(CheckFailedError, match="does not open"):
        read_rows(sealed(b""), identity(OTHER), lambda _: None)


@pytest.mark.parametrize(
    "trust",
    [
        a_trust(roles='["wallet_officer"]'),
        a_trust(tenants='["other"]'),
        a_trust(extra="revoked_at = 2026-01-01T00:00:00Z\n"),
    ],
    ids=["other role", "other tenant", "revoked"],
)
def test_only_auditors_of_the_tenant_are_recipients(trust: Trust) -> None:
    """Role, tenant and revocation decide who can read."""
    assert recipients(trust, ["auditor"], tenant="acme") == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"plain", "gzip"),
        (gzip.compress(b"{}\n", mtime=0), "published shape"),
        (gzip.compress(b"{}", mtime=0), "cut off"),
        (gzip.compress(b"\xff\n", mtime=0), "UTF-8"),
        (gzip.compress(b"[\n", mtime=0), "strict JSON"),
        (gzip.compress(bytes(3 * 2**20), mtime=0), "longer"),
        (gzip.compress(b"", mtime=0)[:-1], "cut off"),
        (gzip.compress(b"", mtime=0) + b"more", "more than one stream"),
    ],
)
def test_hostile_content_is_a_failed_check(content: bytes, sentence: str) -> None:
    """Whoever can encrypt to the auditor can still not make the verifier stumble."""
    with pytest.raises(CheckFailedError, match=sentence):
        read_rows(sealed(content), identity(AUDITOR), lambda _: None)


def test_a_cut_age_file_is_a_failed_check() -> None:
    """Truncation is found by the encryption itself."""
    whole = sealed(gzip.compress(b"")).getvalue()
    with pytest.raises(CheckFailedError, match="does not open"):
        read_rows(io.BytesIO(whole[:-1]), identity(AUDITOR), lambda _: None)


def test_identities_are_ssh_or_age_keys(tmp_path: Path) -> None:
    """An auditor gives the key there is: Ed25519, RSA, or age's own."""
    age = pyrage.x25519.Identity.generate()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    files = {
        "ed25519": (private_key(AUDITOR), pyrage.ssh.Recipient.from_str(AUDITOR.openssh)),
        "age": (f"# a comment\n{age}\n".encode(), age.to_public()),
        "rsa": (pem, pyrage.ssh.Recipient.from_str(public)),
    }
    for name, (content, recipient) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert pyrage.decrypt(pyrage.encrypt(b"x", [recipient]), [load_identity(path)]) == b"x"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"AGE-SECRET-KEY-1NONSENSE", b"\xff\xfe"])
def test_what_is_no_identity_is_refused(tmp_path: Path, content: bytes) -> None:
    """The file's content is never repeated."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match="neither an SSH private key"):
        load_identity(path)
