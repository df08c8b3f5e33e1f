"""The auditor's own verifier, part by part: against published vectors and against the first one's parts."""

import ast
import base64
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_keccak import keccak256

from activities import merkle
from activities.evidence import layout
from activities.failures import InvalidRequestError
from activities.keys.errors import KeyMaterialError
from activities.keys.secp256k1 import ORDER, recover_point
from activities.trust.gates import GateRule, still_needed
from activities.trust.names import looks_like, name_key
from activities.trust.trust_file import load_trust
from infra.auditor import verify_bundle as second
from tests.signers import Signer
from tests.vectors import load_vectors, vectors_dir

LEE, KIM = Signer(name="lee@acme.example"), Signer(name="kim@acme.example")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda within: st.lists(within) | st.dictionaries(st.text(), within),
    max_leaves=20,
)


def test_it_imports_the_standard_library_and_cryptography_alone() -> None:
    """An auditor who has neither the project nor its other libraries can run it."""
    tree = ast.parse(Path(second.__file__).read_text(encoding="utf-8"))
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    taken = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    rooms = {name.partition(".")[0] for name in (*plain, *taken)}
    assert rooms <= set(sys.stdlib_module_names) | {"cryptography"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


def test_its_limits_and_names_are_the_formats() -> None:
    """What the layout fixes stands in both programs alike."""
    assert second.ORDER == layout.MEMBERS
    assert second.MAY_LACK == layout.OPTIONAL
    assert second.DOCUMENT_MAX == layout.DOCUMENT_BYTES_MAX
    assert second.LINE_MAX == layout.LINE_BYTES_MAX
    assert second.MEMBER_MAX == layout.MEMBER_BYTES_MAX
    assert second.KEPT_ROWS_MAX == layout.ROWS_MAX
    assert (second.RATIO_MAX, second.RATIO_FREE) == (layout.UNPACK_RATIO_MAX, layout.UNPACK_FLOOR)


@given(value=JSON)
@settings(max_examples=200, deadline=None)
def test_its_canonical_json_is_that_of_the_library(value: object) -> None:
    """Two writings of RFC 8785 give the same bytes, numbers with fractions included."""
    assert second.canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # any JSON value


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (168.0, "168"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (333333333.33333329, "333333333.3333333"),
        (5e-324, "5e-324"),
        (1.5e300, "1.5e+300"),
    ],
)
def test_numbers_are_spelt_as_ecmascript_does(value: float, spelt: str) -> None:
    """The edges between plain and exponent forms are those of RFC 8785, appendix B."""
    assert second.spelt(value) == spelt


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        "NaN",
        "1e999",
        '"\\ud800"',
        "[" * 100_000,
        "9" * 5000,
        "\ufeff{}",
        "{}\x00",
        "1.0",
        "-0",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str) -> None:
    """Doubled names, odd numbers, lone surrogates, depth and other spellings fail a check, no more."""
    with pytest.raises(second.FailedError):
        second.exact_json(text.encode(), "it")


def test_its_trees_give_the_published_roots() -> None:
    """RFC 6962's test tree, at every size."""
    vectors = load_vectors("merkle/rfc6962-tree.json")
    assert isinstance(vectors, dict)
    tree = second.Tree()
    for size, root in enumerate(vectors["root_hash_by_size"]):
        assert tree.root() == root
        if size < len(vectors["leaf_inputs_hex"]):
            tree.leaf(bytes.fromhex(vectors["leaf_inputs_hex"][size]))


@pytest.mark.parametrize("total", [0, 1, 1023, 1024, 1025, 2048, 3000])
def test_roots_of_slices_compose_to_the_root_of_all(total: int) -> None:
    """A slice is a node of the whole tree."""
    leaves = [number.to_bytes(4, "big") for number in range(total)]
    slices = [leaves[at : at + 1024] for at in range(0, total, 1024)]
    assert second.composed(merkle.root(part).hex() for part in slices) == merkle.root(leaves).hex()


@given(content=st.binary(max_size=500))
@settings(max_examples=60, deadline=None)
def test_its_keccak_is_that_of_the_library(content: bytes) -> None:
    """Around every block length, in plain Python."""
    assert second.keccak256(content) == keccak256(content)


@pytest.mark.parametrize("size", [0, 1, 134, 135, 136, 137, 271, 272, 273])
def test_its_keccak_pads_as_it_must(size: int) -> None:
    """A last block of any fill."""
    assert second.keccak256(bytes(size)) == keccak256(bytes(size))


def test_its_addresses_carry_the_published_checksums() -> None:
    """EIP-55's own examples."""
    vectors = load_vectors("eip55/eip55-addresses.json")
    assert isinstance(vectors, dict)
    for address in (*vectors["all_caps"], *vectors["normal"]):
        assert second.checksummed(address[2:].lower()) == address


@given(
    r=st.integers(0, 2**256 - 1),
    s=st.integers(0, 2**256 - 1),
    v=st.integers(0, 1),
    digest=st.binary(min_size=32, max_size=32),
)
@settings(max_examples=60, deadline=None)
def test_it_recovers_the_keys_libsecp256k1_recovers(r: int, s: int, v: int, digest: bytes) -> None:
    """For any signature: the same point, or none by both; high s is refused before."""
    if s > ORDER // 2:
        s = ORDER - s if s < ORDER else s
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    try:
        expected = recover_point(digest, signature + bytes([v])) if s <= ORDER // 2 else None
    except KeyMaterialError:
        expected = None
    assert second.recovered_key(digest, signature + bytes([v + 27])) == expected


def test_signatures_of_another_form_recover_nothing() -> None:
    """Another length, another v, a high s, nought: none is a proof of possession."""
    one = (1).to_bytes(32, "big")
    high = (ORDER // 2 + 1).to_bytes(32, "big")
    good = one + one + b"\x1b"
    assert second.recovered_key(bytes(32), good) is not None
    refused = (good[:-1], good + b"\x00", one + one + b"\x00", one + high + b"\x1b", bytes(64) + b"\x1b")
    assert [second.recovered_key(bytes(32), signature) for signature in refused] == [None] * 5
    # u1*G + u2*R is the point at infinity when R is G and s equals the digest.
    r = second.G[0].to_bytes(32, "big")
    assert second.recovered_key((5).to_bytes(32, "big"), r + (5).to_bytes(32, "big") + b"\x1b") is None


@pytest.mark.parametrize(
    ("kind", "stands"),
    [
        *((kind, True) for kind in ("ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk")),
        *((kind, False) for kind in ("ecdsa_sk_webauthn", "mldsa44-ed25519")),
    ],
)
def test_signatures_published_by_openssh(kind: str, stands: bool) -> None:
    """Each kind that OpenSSH signs with, over exactly its text and for its purpose; newer kinds not."""
    folder = vectors_dir() / "sshsig" / "openssh"
    text, namespace, signature = (
        (folder / n).read_text() for n in ("signed-data", "namespace", f"{kind}.sig")
    )
    blob = base64.b64decode((folder / f"{kind}.pub").read_text().split()[1])
    assert second.ssh_signer(text, signature, namespace) == (blob if stands else None)
    assert second.ssh_signer(text + " ", signature, namespace) is None
    assert second.ssh_signer(text, signature, "other") is None


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_a_signature_with_one_bit_changed_stands_for_nobody(at: int, bit: int) -> None:
    """Or it is the same signature, spelt with other blanks."""
    raw = bytearray(LEE.sign("text").encode())
    raw[at % len(raw)] ^= 1 << bit
    changed = raw.decode("latin-1")
    signer = second.ssh_signer("text", changed, second.APPROVALS)
    assert signer is None or "".join(changed.split()) == "".join(LEE.sign("text").split())


@given(
    name=st.text(max_size=20) | st.from_regex(r"[a-zA-Z0-9+@. ]{1,20}", fullmatch=True),
    other=st.text(max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_names_mean_the_same_person_to_both(name: str, other: str) -> None:
    """Width, case, blanks, mail tags and look-alikes."""
    assert second.plain_name(name) == name_key(name)
    key, beside = name_key(name) or "x", name_key(other) or "1ee"
    assert (second.to_the_eye(key) == second.to_the_eye(beside)) == looks_like(key, beside)


ROLES = st.frozensets(st.sampled_from("abcd"), max_size=3)


@given(
    seats=st.dictionaries(
        st.sampled_from(["a", "b", "c", "a|b", "b|c|d"]), st.integers(1, 2), min_size=1, max_size=3
    ),
    persons=st.lists(ROLES, max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_seats_are_filled_alike(seats: dict[str, int], persons: list[frozenset[str]]) -> None:
    """Each person fills one seat, wherever that helps most."""
    assert second.all_seated(seats, persons) == (not still_needed(GateRule(seats=seats), persons))


ATTEST = base64.b64encode(LEE.raw).decode()
PERSONS = (
    '[persons."lee@acme.example"]\nroles = ["officer"]\ntenants = ["*"]\n'
    '[persons."kim@acme.example"]\nroles = []\ntenants = ["acme"]\n'
)


def line_pair(lee: str = "", kim: str = "") -> str:
    """Two allowed signers, with options."""
    return f"{LEE.line(lee)}\n{KIM.line(kim)}\n"


LIMITED = "# a comment\n\n" + line_pair(kim='namespaces="walletworks-*,x?"').rstrip("\n") + " key of kim\n"


def trust_text(*, lines: str = LIMITED, head: str = "", persons: str = PERSONS) -> str:
    """A trust file of two persons."""
    return f"deployment = 'acme-prod'\nallowed_signers = '''\n{lines}'''\n{head}{persons}"


TRUSTS = {
    "plain": trust_text(),
    "attest": trust_text(head=f'[attest]\npublic_keys = ["{ATTEST}"]\n'),
    "attest twice": trust_text(head=f'[attest]\npublic_keys = ["{ATTEST}", "{ATTEST}"]\n'),
    "attest short": trust_text(head='[attest]\npublic_keys = ["QUFB"]\n'),
    "attest empty": trust_text(head="[attest]\npublic_keys = []\n"),
    "floor": trust_text(head="[floors]\napprovals_min = 2\n"),
    "floor too high": trust_text(head="[floors]\napprovals_min = 21\n"),
    "floor as text": trust_text(head='[floors]\napprovals_min = "2"\n'),
    "unknown field": trust_text(head="[more]\n"),
    "revoked": trust_text(persons=PERSONS + 'revoked_at = "2026-01-01T00:00:00Z"\n'),
    "revoked bare": trust_text(persons=PERSONS + "revoked_at = 2026-01-01T00:00:00Z\n"),
    "revoked without zone": trust_text(persons=PERSONS + "revoked_at = 2026-01-01T00:00:00\n"),
    "other name": trust_text(persons=PERSONS + 'also_known_as = ["Kim Lee"]\n'),
    "another's name": trust_text(persons=PERSONS + 'also_known_as = ["LEE+x@acme.example"]\n'),
    "name outside ASCII": trust_text(persons=PERSONS + 'also_known_as = ["k\u0456m"]\n'),
    "keyless": trust_text(persons=PERSONS + '[persons."ana@acme.example"]\nroles = []\ntenants = ["*"]\n'),
    "nobody's key": trust_text(lines=line_pair() + Signer(name="x@y.example").line() + "\n"),
    "a key twice": trust_text(lines=line_pair() + LEE.line() + "\n"),
    "times": trust_text(lines=line_pair('valid-after="20260101Z",valid-before="202612312359Z"')),
    "times of no zone": trust_text(lines=line_pair('valid-after="20260101"')),
    "an option twice": trust_text(lines=line_pair('valid-after="20260101Z",valid-after="20260102Z"')),
    "unknown option": trust_text(lines=line_pair('verify-required="x"')),
    "odd namespace": trust_text(lines=line_pair('namespaces="a b"')),
    "authority": trust_text(lines=line_pair("cert-authority")),
    "pattern": trust_text(lines=line_pair() + f"*@acme.example {LEE.openssh}\n"),
    "wrong type": trust_text(lines=line_pair().replace("ssh-ed25519", "ssh-rsa", 1)),
    "bad key": trust_text(lines=line_pair().rstrip("\n") + "A\n"),
    "two names": trust_text(lines=line_pair().replace("kim@", "kim@acme.example,x@")),
    "no file beside": 'deployment = "d"\nallowed_signers_file = "none"\n[persons]\n',
    "file outside": 'deployment = "d"\nallowed_signers_file = "../x"\n[persons]\n',
    "both": trust_text(head="").replace("deployment", 'allowed_signers_file = "x"\ndeployment', 1),
    "empty": "",
    "no TOML": "deployment =",
    "nobody": 'deployment = "d"\nallowed_signers = ""\n[persons]\n',
}


USABLE = {"plain", "attest", "floor", "revoked", "revoked bare", "other name", "times", "nobody"}


@pytest.mark.parametrize("name", TRUSTS)
def test_trust_files_are_read_alike(tmp_path: Path, name: str) -> None:
    """What the first verifier refuses the second refuses, and what both read says the same."""
    path = tmp_path / "trust.toml"
    path.write_text(TRUSTS[name], encoding="utf-8")
    try:
        first = load_trust(path)
    except InvalidRequestError:
        assert name not in USABLE
        with pytest.raises(second.TrustError):
            second.read_trust(path)
        return
    assert name in USABLE
    own = second.read_trust(path)
    assert (own.deployment, own.digest, own.attest_keys) == (
        first.deployment,
        first.digest,
        first.attest_keys,
    )
    assert own.approvals_min == first.floors.approvals_min
    for person in own.persons:
        theirs = first.persons[person.name]
        assert (person.names, person.roles, person.tenants) == (
            theirs.name_keys,
            theirs.roles,
            theirs.tenants,
        )
        assert person.revoked_at == theirs.revoked_at
        limits = [(key.blob, key.purposes, key.begins, key.ends) for key in person.keys]
        assert limits == [(k.public_key, k.namespaces, k.valid_after, k.valid_before) for k in theirs.keys]


def test_signers_may_stand_in_a_file_beside(tmp_path: Path) -> None:
    """As ssh-keygen reads them."""
    (tmp_path / "signers").write_text(f"{LEE.line()}\n{KIM.line()}\n", encoding="utf-8")
    path = tmp_path / "trust.toml"
    path.write_text(f'deployment = "d"\nallowed_signers_file = "signers"\n{PERSONS}', encoding="utf-8")
    assert second.read_trust(path).digest == load_trust(path).digest


def _zip(path: Path, parts: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in parts.items():
            target.writestr(name, content)
    return path


EMPTY = {name: b"{}" for name in second.ORDER if name not in second.MAY_LACK}


@given(content=st.binary(max_size=1000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no bundle fail the first check and raise nothing."""
    path = tmp_path / "garbage.zip"
    path.write_bytes(content)
    assert second.verify(path, None).failed == ["container"]


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "bomb": lambda path: _zip(path, {**EMPTY, "wallets.jsonl": bytes(64 * 2**20)}),
    "stored": lambda path: _zip(path, EMPTY, method=zipfile.ZIP_STORED),
    "bzip2": lambda path: _zip(path, EMPTY, method=zipfile.ZIP_BZIP2),
    "unknown member": lambda path: _zip(path, {**EMPTY, "../evil": b""}),
    "another order": lambda path: _zip(path, dict(reversed(EMPTY.items()))),
    "missing": lambda path: path,
    "folder": lambda path: path.parent,
    "device": lambda _: Path(os.devnull),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_containers_are_answered(tmp_path: Path, what: str) -> None:
    """Bombs, other packings, other names and what is no file are refused before anything is unpacked."""
    path = HOSTILE[what](tmp_path / "bundle.zip")
    assert second.verify(path, None).failed == ["container"]


def test_a_comment_and_a_long_line_are_refused(tmp_path: Path) -> None:
    """Nothing rides along that no digest covers, and no line fills the memory."""
    path = _zip(tmp_path / "bundle.zip", {**EMPTY, "slices.jsonl": os.urandom(2**20).hex().encode() + b"\n"})
    bundle = second.Bundle(path)
    with pytest.raises(second.FailedError, match="too long"):
        list(bundle.rows("slices.jsonl"))
    bundle.close()
    with zipfile.ZipFile(path, "a") as target:
        target.comment = b"hello"
    assert second.verify(path, None).failed == ["container"]


def test_the_exit_codes_are_those_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 for what is not verified, 2 for a trust file or a command line that cannot be used."""
    assert second.main([str(tmp_path / "none.zip"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["verdict"]) == (False, "FAILED")
    for wrong in ([], ["a.zip", "--trust", str(tmp_path / "none.toml")], ["a.zip", "--nonsense"]):
        with pytest.raises(SystemExit) as ended:
            second.main(wrong)
        assert ended.value.code == 2


def test_a_sample_is_large_and_cannot_be_foreseen() -> None:
    """Few wallets are all proven, of many at least two hundred, and never the same ones."""
    assert second.sample_of(second.POSSESSIONS_ALWAYS, every=False) is None
    assert second.sample_of(10**7, every=True) is None
    one, two = (second.sample_of(10**7, every=False) for _ in range(2))
    assert one is not None
    assert two is not None
    assert len(one) == second.POSSESSIONS_SAMPLED >= 200
    assert one != two
