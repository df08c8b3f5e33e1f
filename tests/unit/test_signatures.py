"""SSH signatures: published ones, ssh-keygen as the second opinion, and forgeries."""

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from activities.trust.reasons import Reason, SignatureRefusedError
from activities.trust.signatures import (
    SignatureProblem,
    VerifiedSignature,
    key_fingerprint,
    require_usable_key,
    verify_signature,
)
from activities.trust.ssh_wire import ARMOURED_CHARS_MAX, read_envelope
from tests.signers import Signer, armour, envelope, signed_data, wire
from tests.vectors import vectors_dir

TEXT = '{"statement":"exactly this"}'
SIGNER = Signer(name="lee@acme.example")
NAMESPACE = "walletworks-approval"


def _vector(name: str) -> str:
    return (vectors_dir() / "sshsig" / name).read_text(encoding="utf-8")


def _reason(text: str, signature: str, namespace: str = NAMESPACE) -> Reason:
    result = verify_signature(text, signature, namespace=namespace)
    return Reason.COUNTED if isinstance(result, VerifiedSignature) else result.reason


def _reason_of(raw: bytes) -> Reason:
    return _reason(TEXT, armour(raw))


def _good_raw() -> bytes:
    signature = wire(b"ssh-ed25519") + wire(SIGNER.key.sign(signed_data(TEXT, NAMESPACE)))
    return envelope(SIGNER.public_key, signature, NAMESPACE)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk"])
def test_signature_published_by_openssh_verifies_and_names_its_key(kind: str) -> None:
    """Each kind of key OpenSSH signs with is verified over its published data."""
    result = verify_signature(
        _vector("openssh/signed-data"),
        _vector(f"openssh/{kind}.sig"),
        namespace=_vector("openssh/namespace"),
    )
    assert isinstance(result, VerifiedSignature)
    assert result.public_key == base64.b64decode(_vector(f"openssh/{kind}.pub").split()[1])


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk"])
def test_published_signature_over_another_text_is_refused(kind: str) -> None:
    """One byte more in the text and the signature does not fit."""
    text = _vector("openssh/signed-data") + "\n"
    assert _reason(text, _vector(f"openssh/{kind}.sig"), "unittest") is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk"])
def test_published_signature_for_another_purpose_is_refused(kind: str) -> None:
    """A signature made in one namespace says nothing in ours."""
    text = _vector("openssh/signed-data")
    assert _reason(text, _vector(f"openssh/{kind}.sig")) is Reason.WRONG_NAMESPACE


@pytest.mark.parametrize("kind", ["mldsa44-ed25519", "ecdsa_sk_webauthn"])
def test_kind_of_signature_not_taken_is_refused_by_name(kind: str) -> None:
    """Post-quantum hybrids and browser signatures are refused as such, not as broken."""
    text = _vector("openssh/signed-data")
    assert _reason(text, _vector(f"openssh/{kind}.sig"), "unittest") is Reason.UNSUPPORTED_KEY


@pytest.mark.parametrize(
    ("text", "signature", "namespace"),
    [
        ("castedo/hola.txt", "castedo/hola.txt.sig", "git"),
        ("castedo/sshsig_0_message", "castedo/sshsig_0_message.sig", "git"),
        ("rekor/hello_world.txt", "rekor/hello_world.txt.sig", "file"),
    ],
)
def test_signature_published_by_others_verifies(text: str, signature: str, namespace: str) -> None:
    """Signatures from other projects verify in their own namespace."""
    assert _reason(_vector(text), _vector(signature), namespace) is Reason.COUNTED


def _ssh_keygen(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh-keygen", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_signature_made_by_ssh_keygen_verifies(kind: str, tmp_path: Path) -> None:
    """What the documented command signs, we accept, and the fingerprint is the one it prints."""
    key, statement = tmp_path / "key", tmp_path / "statement.json"
    statement.write_text(TEXT, encoding="utf-8")
    assert _ssh_keygen("-q", "-t", kind, "-N", "", "-f", str(key)).returncode == 0
    assert _ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(statement)).returncode == 0
    signature = (tmp_path / "statement.json.sig").read_text(encoding="ascii")
    result = verify_signature(TEXT, signature, namespace=NAMESPACE)
    assert isinstance(result, VerifiedSignature)
    assert result.fingerprint in _ssh_keygen("-l", "-f", str(key)).stdout


def test_signature_made_in_tests_is_accepted_by_ssh_keygen_and_by_us(tmp_path: Path) -> None:
    """The tests' own signer makes real signatures: both verifiers say so, and refuse another text."""
    allowed, signature = tmp_path / "allowed", tmp_path / "sig"
    allowed.write_text(SIGNER.line() + "\n", encoding="ascii")
    signature.write_text(SIGNER.sign(TEXT), encoding="ascii")
    verify = ("-Y", "verify", "-f", str(allowed), "-I", SIGNER.name, "-n", NAMESPACE, "-s", str(signature))
    assert _ssh_keygen(*verify, stdin=TEXT).returncode == 0
    assert _ssh_keygen(*verify, stdin=TEXT + " ").returncode != 0
    assert _reason(TEXT, SIGNER.sign(TEXT)) is Reason.COUNTED
    assert _reason(TEXT + " ", SIGNER.sign(TEXT)) is Reason.BAD_SIGNATURE


def _security_key_signature(flags: bytes, *, application: bytes = b"ssh:") -> bytes:
    """An envelope as a FIDO Ed25519 key makes it, with chosen flags."""
    kind, counter = b"sk-ssh-ed25519@openssh.com", (7).to_bytes(4, "big")
    public_key = wire(kind) + wire(SIGNER.raw) + wire(b"ssh:")
    data = signed_data(TEXT, NAMESPACE)
    message = hashlib.sha256(application).digest() + flags + counter + hashlib.sha256(data).digest()
    signature = wire(kind) + wire(SIGNER.key.sign(message)) + flags + counter
    return envelope(public_key, signature, NAMESPACE)


def test_security_key_that_was_touched_counts() -> None:
    """Flag 0x01 says that a person touched the key."""
    assert _reason_of(_security_key_signature(b"\x01")) is Reason.COUNTED


def test_security_key_that_was_not_touched_is_refused() -> None:
    """A signature without a touch could have been made by malware alone."""
    assert _reason_of(_security_key_signature(b"\x00")) is Reason.TOUCH_MISSING


def test_security_key_signature_for_another_application_is_refused() -> None:
    """The application in the key is part of what was signed."""
    assert _reason_of(_security_key_signature(b"\x01", application=b"web:")) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("size", [1024, 16_384])
def test_rsa_key_of_an_unsafe_or_absurd_size_is_refused(size: int) -> None:
    """Only 2,048 to 8,192 bits are taken."""
    modulus = (1 << (size - 1)) + 1
    blob = wire(b"ssh-rsa") + wire(b"\x01\x00\x01") + wire(b"\x00" + modulus.to_bytes(size // 8, "big"))
    with pytest.raises(SignatureRefusedError) as caught:
        require_usable_key(blob)
    assert caught.value.reason is Reason.UNSUPPORTED_KEY


@pytest.mark.parametrize(
    "exponent", [b"\x01", b"\x04", b"\x01\x00\x00\x00\x01", b"", b"\x83", b"\x80\x01", b"\x00\x03"]
)
def test_rsa_key_with_a_forbidden_exponent_is_refused(exponent: bytes) -> None:
    """An exponent of one verifies anything; even or huge ones are no key's."""
    modulus = (1 << 2047) + 1
    blob = wire(b"ssh-rsa") + wire(exponent) + wire(b"\x00" + modulus.to_bytes(256, "big"))
    with pytest.raises(SignatureRefusedError):
        require_usable_key(blob)


def test_signature_with_something_in_its_reserved_field_is_refused() -> None:
    """What the format reserves is empty, or nobody knows what was signed."""
    good = _good_raw()
    place = good.index(wire(NAMESPACE.encode())) + len(wire(NAMESPACE.encode()))
    assert good[place : place + 4] == wire(b"")
    assert _reason_of(good[:place] + wire(b"x") + good[place + 4 :]) is Reason.MALFORMED_SIGNATURE


def test_signature_padded_beyond_its_size_is_refused() -> None:
    """Blanks after a good signature do not make a text of any size one."""
    good = armour(_good_raw())
    assert _reason(TEXT, good.ljust(ARMOURED_CHARS_MAX)) is Reason.COUNTED
    assert _reason(TEXT, good.ljust(ARMOURED_CHARS_MAX + 1)) is Reason.MALFORMED_SIGNATURE


def test_ecdsa_key_in_another_spelling_is_refused() -> None:
    """Type and inside name one curve, and its point is spelt in the one way."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = numbers.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    good = wire(b"ecdsa-sha2-nistp256") + wire(b"nistp256") + wire(point)
    assert require_usable_key(good) == b"ecdsa-sha2-nistp256"
    short = numbers.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    for bad in (good.replace(wire(b"nistp256"), wire(b"nistp384")), good.replace(wire(point), wire(short))):
        with pytest.raises(SignatureRefusedError):
            require_usable_key(bad)


def _rsa_blob(modulus: int, exponent: bytes = b"\x01\x00\x01") -> bytes:
    size = modulus.bit_length() // 8
    return wire(b"ssh-rsa") + wire(exponent) + wire(b"\x00" + modulus.to_bytes(size, "big"))


@pytest.mark.parametrize("size", [2048, 8192])
@pytest.mark.parametrize("exponent", [b"\x03", b"\x00\xff\xff\xff\xff"])
def test_rsa_key_at_the_edge_of_what_is_safe_is_taken(size: int, exponent: bytes) -> None:
    """The limits of sizes and exponents are the last values that are taken."""
    assert require_usable_key(_rsa_blob((1 << size - 1) + 1, exponent)) == b"ssh-rsa"


def test_rsa_key_with_an_even_modulus_is_refused() -> None:
    """An even modulus is no RSA key."""
    with pytest.raises(SignatureRefusedError):
        require_usable_key(_rsa_blob(1 << 2047))


@pytest.mark.parametrize(
    ("algorithm", "hashed_by"), [(b"rsa-sha2-256", hashes.SHA256()), (b"rsa-sha2-512", hashes.SHA512())]
)
def test_rsa_signature_with_either_sha2_is_taken(algorithm: bytes, hashed_by: hashes.HashAlgorithm) -> None:
    """Agents differ in which of the two they use."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    blob = base64.b64decode(public.split()[1])
    raw = private.sign(signed_data(TEXT, NAMESPACE), padding.PKCS1v15(), hashed_by)
    assert _reason_of(envelope(blob, wire(algorithm) + wire(raw), NAMESPACE)) is Reason.COUNTED


def test_sha1_signature_of_an_rsa_key_is_refused() -> None:
    """The old `ssh-rsa` algorithm (SHA-1) is not taken."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    public = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    signature = wire(b"ssh-rsa") + wire(b"\x01" * 256)
    raw = envelope(base64.b64decode(public.split()[1]), signature, NAMESPACE)
    assert _reason_of(raw) is Reason.UNSUPPORTED_KEY


def test_same_key_spelt_another_way_is_refused() -> None:
    """A leading zero or a trailing byte would give one key two fingerprints, hence two persons."""
    for blob in (
        SIGNER.public_key + b"\x00",
        wire(b"ssh-rsa") + wire(b"\x00\x01\x00\x01") + wire(b"\x00" + ((1 << 2047) + 1).to_bytes(256, "big")),
        wire(b"ecdsa-sha2-nistp256") + wire(b"nistp256") + wire(b"\x02" + SIGNER.raw),
    ):
        with pytest.raises(SignatureRefusedError):
            require_usable_key(blob)


def test_hash_other_than_sha2_is_refused() -> None:
    """The envelope may name only SHA-256 or SHA-512."""
    signature = wire(b"ssh-ed25519") + wire(SIGNER.key.sign(signed_data(TEXT, NAMESPACE, "sha1")))
    raw = envelope(SIGNER.public_key, signature, NAMESPACE, "sha1")
    assert _reason_of(raw) is Reason.MALFORMED_SIGNATURE


def test_sha256_envelope_counts_like_sha512() -> None:
    """Both hashes of the format are taken."""
    signature = wire(b"ssh-ed25519") + wire(SIGNER.key.sign(signed_data(TEXT, NAMESPACE, "sha256")))
    assert _reason_of(envelope(SIGNER.public_key, signature, NAMESPACE, "sha256")) is Reason.COUNTED


@given(st.data())
def test_signature_with_one_flipped_bit_never_counts(data: st.DataObject) -> None:
    """No bit of the envelope may change."""
    raw = bytearray(_good_raw())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << (bit % 8)
    assert _reason_of(bytes(raw)) is not Reason.COUNTED


@given(st.text() | st.binary().map(armour))
def test_any_text_as_signature_is_refused_and_never_raises(signature: str) -> None:
    """A stranger can send anything and gets a reason."""
    assert isinstance(verify_signature(TEXT, signature, namespace=NAMESPACE), SignatureProblem)


@pytest.mark.parametrize("size", [0, 6, 10, 14, 60, 100])
def test_truncated_signature_is_malformed(size: int) -> None:
    """A cut-off envelope is told apart from a wrong signature."""
    assert _reason_of(_good_raw()[:size]) is Reason.MALFORMED_SIGNATURE


def test_signature_with_something_after_its_end_is_malformed() -> None:
    """One spelling only."""
    assert _reason_of(_good_raw() + b"\x00") is Reason.MALFORMED_SIGNATURE


def test_oversized_signature_is_malformed() -> None:
    """Nothing longer than 16 KiB is looked at."""
    assert _reason_of(_good_raw() + b"\x00" * 16_384) is Reason.MALFORMED_SIGNATURE


def test_signature_with_windows_line_ends_counts() -> None:
    """Pasting through a web form may change line ends; the signature is the same."""
    assert _reason(TEXT, SIGNER.sign(TEXT).replace("\n", "\r\n")) is Reason.COUNTED


def test_text_that_is_no_unicode_is_refused() -> None:
    """A lone surrogate has no bytes that could have been signed."""
    assert _reason("\ud800", SIGNER.sign(TEXT)) is Reason.BAD_SIGNATURE


def test_fingerprint_is_that_of_ssh_keygen() -> None:
    """The published key has the fingerprint OpenSSH prints for it."""
    public = vectors_dir() / "sshsig" / "openssh" / "ed25519.pub"
    printed = _ssh_keygen("-l", "-f", str(public)).stdout.split()[1]
    assert key_fingerprint(base64.b64decode(public.read_text(encoding="ascii").split()[1])) == printed


def _ecdsa_raw(*, tail: bytes = b"") -> bytes:
    """An envelope of a P-256 key, with something after the pair of numbers' own end if asked."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    kind = b"ecdsa-sha2-nistp256"
    r, s = decode_dss_signature(key.sign(signed_data(TEXT, NAMESPACE), ec.ECDSA(hashes.SHA256())))
    numbers = b"".join(wire(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in (r, s))
    public_key = wire(kind) + wire(b"nistp256") + wire(point)
    return envelope(public_key, wire(kind) + wire(numbers + tail), NAMESPACE)


def test_ecdsa_signature_made_here_counts_and_takes_nothing_more() -> None:
    """The pair of numbers ends where it ends."""
    assert _reason_of(_ecdsa_raw()) is Reason.COUNTED
    assert _reason_of(_ecdsa_raw(tail=b"\x00")) is Reason.MALFORMED_SIGNATURE


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk"])
def test_byte_after_the_inner_signature_is_malformed(kind: str) -> None:
    """No second spelling of a signature counts."""
    outer = read_envelope(_vector(f"openssh/{kind}.sig"))
    raw = envelope(outer.public_key, outer.signature + b"\x00", "unittest", outer.hash_name.decode("ascii"))
    text = _vector("openssh/signed-data")
    assert _reason(text, armour(raw), "unittest") is Reason.MALFORMED_SIGNATURE


@pytest.mark.parametrize(
    "blob",
    [
        wire(b"ssh-ed25519") + wire(b"\x01" * 31),
        wire(b"ecdsa-sha2-nistp256") + wire(b"nistp256") + wire(b"\x04" + b"\x01" * 64),
        wire(b"ecdsa-sha2-nistp256") + wire(b"nistp384") + wire(b"\x04" + b"\x01" * 64),
        wire(b"ecdsa-sha2-nistp256") + wire(b"nistp256") + wire(b""),
    ],
    ids=["short", "off-the-curve", "other-curve", "no-point"],
)
def test_key_that_is_no_point_is_malformed(blob: bytes) -> None:
    """A blob of a known kind must hold a key of that kind."""
    with pytest.raises(SignatureRefusedError) as caught:
        require_usable_key(blob)
    assert caught.value.reason is Reason.MALFORMED_SIGNATURE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BEGIN SSH SIGNATURE", "BEGIN PGP SIGNATURE"),
        ("END SSH SIGNATURE", "END PGP SIGNATURE"),
        ("U1NIU0lH", "U1NI*U0lH"),
        ("U1NIU0lH", "U1NI\u0435U0lH"),
    ],
)
def test_armour_of_another_kind_or_alphabet_is_malformed(old: str, new: str) -> None:
    """The frame and the alphabet are exactly those of SSH signatures."""
    signature = SIGNER.sign(TEXT)
    assert old in signature
    assert _reason(TEXT, signature.replace(old, new)) is Reason.MALFORMED_SIGNATURE
