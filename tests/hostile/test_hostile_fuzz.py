"""Every parser of what strangers send, against mutants of good input: a value, or a refusal of ours."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from activities.canonical import canonical, sha256_hex
from activities.contracts.request import parse_request
from activities.evidence import layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from activities.evidence.writer import BundleWriter
from activities.screening.lists.entries import ListUnreadableError, ScreeningList
from activities.screening.lists.registry import parse_list
from activities.trust.signatures import SignatureProblem, VerifiedSignature, verify_signature
from activities.trust.statements import parse_statement
from activities.trust.trust_file import Trust, parse_trust
from infra.auditor import verify_bundle as second
from tests.bundle_table import table_of
from tests.hostile.mutants import changed_bytes, changed_json, changed_text
from tests.hostile.strings import OWN, outcome
from tests.hostile.test_hostile_request import GOOD
from tests.trust_room import KIM, LEE, statement, trust_text
from tests.unit.intake.room import Room, csv_text, json_row, people

FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMESPACE = "walletworks-approval"

SDN = (
    '7,"DOE, Jane","individual"' + ",-0- " * 8 + ",\"DOB 02 Jan 1970; nationality Iran; a.k.a. 'JD'.\"\r\n"
    '8,"ACME LTD.",-0- ' + ",-0- " * 8 + ",-0- \r\n\x1a"
).encode()
ALT = b'7,1,"aka","ROE, Jane",-0- \r\n\x1a'
UN = (
    b'<?xml version="1.0" encoding="UTF-8"?><CONSOLIDATED_LIST dateGenerated="2026-02-27T00:00">'
    b"<INDIVIDUALS><INDIVIDUAL><DATAID>1</DATAID><FIRST_NAME>JANE</FIRST_NAME><SECOND_NAME>DOE</SECOND_NAME>"
    b"<REFERENCE_NUMBER>XXi.1</REFERENCE_NUMBER><NATIONALITY><VALUE>Yemen</VALUE></NATIONALITY>"
    b"<INDIVIDUAL_ALIAS><QUALITY>Low</QUALITY><ALIAS_NAME>Jane Roe; J</ALIAS_NAME></INDIVIDUAL_ALIAS>"
    b"<INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE><DATE>1970-01-02</DATE>"
    b"<YEAR>1970</YEAR><FROM_YEAR>1969</FROM_YEAR><TO_YEAR>1971</TO_YEAR></INDIVIDUAL_DATE_OF_BIRTH>"
    b"</INDIVIDUAL></INDIVIDUALS><ENTITIES><ENTITY><DATAID>2</DATAID><FIRST_NAME>ACME LTD</FIRST_NAME>"
    b"<REFERENCE_NUMBER>XXe.1</REFERENCE_NUMBER></ENTITY></ENTITIES></CONSOLIDATED_LIST>"
)
XML_WORDS = [
    b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/hosts'>]>", b"&a;", b"&#0;", b"<![CDATA[", b"]]>", b"<?x?>",
    b"utf-7", b"utf-16", b"99999999999", b"0000", b"<YEAR>", b"</YEAR>", b"\xff\xfe", b"<!--", b"xmlns='x'",
]  # fmt: skip
TOML_WORDS = [
    "'''",
    '"""',
    "[",
    "]",
    "=",
    "#",
    "\\u0000",
    "\\ud800",
    "nan",
    "1979-05-27",
    "\x7f",
    "\u2028",
    "*",
]
SIGNER_WORDS = [
    'namespaces="',
    "cert-authority",
    'valid-before="20300101Z"',
    "*",
    "!",
    ",",
    '"',
    "\t",
    "\x0b",
    "#",
]


@FUZZ
@given(request=changed_json(GOOD))
def test_requests(request: Any) -> None:
    """A request is taken whole or refused by fields; what is taken has canonical bytes."""
    taken, refusal = outcome(lambda: parse_request(request))
    assert (taken is None) == bool(refusal)
    assert refusal.isprintable()
    assert taken is None or json.loads(canonical(request)) == request


@FUZZ
@given(
    exact=changed_json(json.loads(statement(LEE))).map(json.dumps) | changed_text(statement(LEE), OWN[:60])
)
def test_statements(exact: str) -> None:
    """Both verifiers read the same statements, and nothing else leaves the parser."""
    taken, refusal = outcome(lambda: parse_statement(exact))
    assert refusal.isprintable()
    assert (taken is None) == (second.parsed_statement(exact) is None), (exact, refusal)


GOOD_ROWS = [
    csv_text(*people(4)).encode(),
    "".join(f"{json_row(subject_id=f's-{n}')}\n" for n in range(4)).encode(),
]
ROW_WORDS = [
    b'"',
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b",",
    b"{",
    b"}",
    b"\\u",
    b"\xff",
    b"\xef\xbb\xbf",
    b'""',
    b"\x85",
]  # fmt: skip


@FUZZ
@given(data=st.data(), good=st.sampled_from(GOOD_ROWS))
def test_rows(tmp_path: Path, data: st.DataObject, good: bytes) -> None:
    """A row is good or bad; bad ones are told in our words, and reading on from any row gives the rest."""
    room = Room(folder=tmp_path)
    content = data.draw(changed_bytes(good, ROW_WORDS)) or b"\n"
    found, refusal = outcome(lambda: room.read_with_offsets(content))
    assert refusal.isprintable()
    for row, _ in found or []:
        assert all(str(problem).isprintable() for problem in getattr(row, "problems", []))
    if found:
        middle = len(found) // 2
        rest = room.read_with_offsets(content, after=found[middle][1])
        assert [(row, at) for row, at in rest] == found[middle + 1 :]


ARMOUR = LEE.sign("text", NAMESPACE)


@FUZZ
@given(armour=changed_text(ARMOUR, ["\r", "=", "-----", "\x00", "A" * 100]))
@example(armour=ARMOUR)
def test_signatures(armour: str) -> None:
    """A signature stands for its key by both verifiers, or for nobody by both."""
    first = verify_signature("text", armour, namespace=NAMESPACE)
    assert isinstance(first, VerifiedSignature | SignatureProblem)
    held = first.public_key if isinstance(first, VerifiedSignature) else None
    assert held == second.ssh_signer("text", armour, NAMESPACE)
    assert held in {None, LEE.public_key}


@FUZZ
@given(
    text=changed_text(trust_text(), TOML_WORDS)
    | changed_text(LEE.line('namespaces="x"'), SIGNER_WORDS).map(
        lambda line: trust_text(lines=f"{line}\n{KIM.line()}")
    )
)
@example(text=trust_text())
def test_trust_files(tmp_path: Path, text: str) -> None:
    """A trust file is taken by both verifiers with one digest, or by neither; a refusal repeats no key."""
    taken, refusal = outcome(lambda: parse_trust(text))
    assert refusal.replace("\n", " ").isprintable()
    assert all(line.openssh[20:] not in refusal for line in (LEE, KIM))
    other = second_trust(tmp_path, text)
    assert (taken.digest if taken else None) == (other.digest if other else None), refusal
    if isinstance(taken, Trust) and other:
        assert set(taken.persons) == {person.name for person in other.persons}


def second_trust(folder: Path, text: str) -> second.Trust | None:
    """What the second verifier reads, or None where it refuses."""
    path = folder / "trust.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return second.read_trust(path)
    except second.TrustError:
        return None


def listed(list_id: str, files: dict[str, bytes]) -> ScreeningList | str:
    """The list in these bytes, or why it cannot be used."""
    try:
        return parse_list(list_id, files)
    except ListUnreadableError as refused:
        return refused.reason


@FUZZ
@given(
    sdn=changed_bytes(SDN, [b"\x1a", b'"', b"-0-", b"DOB ", b" to ", b"9999", b"\x00"]),
    alt=st.just(ALT) | changed_bytes(ALT),
)
def test_ofac(sdn: bytes, alt: bytes) -> None:
    """A list is read whole, with as many entries as its sidecar states, or not at all."""
    digests = {"sdn.csv": sha256_hex(sdn), "alt.csv": sha256_hex(alt)}
    sidecar = {"source": "x", "published_on": "2026-01-02", "sha256": digests, "entry_count": 2}
    files = {"sdn.csv": sdn, "alt.csv": alt, "provenance.json": json.dumps(sidecar).encode()}
    found = listed("ofac-sdn", files)
    assert len(found.entries) == 2 if isinstance(found, ScreeningList) else found.isprintable()


@FUZZ
@given(content=changed_bytes(UN, XML_WORDS))
@example(content=UN)
def test_un(content: bytes) -> None:
    """A list is read, or not used; no entity is ever resolved."""
    found = listed("un-consolidated", {"consolidated.xml": content})
    if isinstance(found, str):
        assert found.isprintable()
    else:
        assert found.published_on <= date(9999, 12, 31)
        assert not any("root:" in name for entry in found.entries for name in entry.names)


@FUZZ
@given(
    sidecar=changed_bytes(
        b'{"source":"x","published_on":"2026-01-02","sha256":{},"entry_count":2}', [b"1e999", b"[" * 99]
    )
)
def test_sidecars(sidecar: bytes) -> None:
    """A sidecar that vouches for nothing leaves no list to use."""
    assert listed("ofac-sdn", {"sdn.csv": SDN, "alt.csv": ALT, "provenance.json": sidecar}) != ""
    assert isinstance(listed("ofac-sdn", {"sdn.csv": SDN, "alt.csv": ALT, "provenance.json": sidecar}), str)


MEMBERS = [name for name in layout.MEMBERS if name not in {layout.BUNDLE, layout.RESTRICTED}]
WHEN = "2026-01-01T00:00:00.000000Z"
DIGEST = "ab" * 32
SHAPED: dict[str, Any] = {
    layout.REQUEST: GOOD,
    layout.PLAN: {
        "request": GOOD,
        "manifest_root": DIGEST,
        "subject_count": 1,
        "policy_digest": DIGEST,
    },
    layout.LISTS: [{"list_id": "un", "digest": DIGEST, "applied_in_wave": 0}],
    layout.GATES: {
        "gate": "compliance",
        "digest": DIGEST,
        "terms": {"roles": {}},
        "expires_at": WHEN,
        "outcome": None,
    },
    layout.APPROVALS: {
        "attempt_key": "k",
        "message": "approve",
        "statement": statement(LEE),
        "signature": ARMOUR,
        "counted": True,
        "reason_code": "counted",
        "received_at": WHEN,
    },
    layout.AUDIT: {
        "chain": "batch/b",
        "seq": 1,
        "recorded_at": WHEN,
        "body": "{}",
        "prev": DIGEST,
        "hash": DIGEST,
    },
    layout.WALLETS: {
        "ordinal": 0,
        "chain": "ethereum",
        "path": "m/44'/60'/0'/0/0",
        "address": "0x" + "ab" * 20,
        "possession": "ab" * 65,
        "state": "active",
        "tranche": 0,
        "wave": 1,
    },
}


def written(folder: Path, parts: dict[str, bytes]) -> Path:
    """A bundle of these members with a table that agrees."""
    path = folder / "bundle.zip"
    with BundleWriter(path) as writer:
        for name, part in parts.items():
            writer.parts(name, [part])
        writer.parts(layout.BUNDLE, [table_of(parts)])
    return path


@settings(FUZZ, max_examples=100)
@given(data=st.data())
def test_bundles(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a member says under a table that agrees, both verifiers answer, and neither is content."""
    name = data.draw(st.sampled_from(sorted(SHAPED)))
    value = data.draw(st.just(SHAPED[name]) | changed_json(SHAPED[name]))
    line, _ = outcome(lambda: canonical(value))
    part = (line or b"{}") + (b"\n" if name.endswith(".jsonl") else b"")
    part = data.draw(st.just(part) | changed_bytes(part, [b"\n", b"1e9", b'"', b"\x00"]))
    path = written(tmp_path, {each: part if each == name else b"" for each in MEMBERS})
    first, other = verify_bundle(path, None), second.verify(path, None)
    assert (first.verdict, other.verdict) == ("FAILED", "FAILED")
    assert all(check.sentence.isprintable() for check in first.checks)
    assert all(sentence.isprintable() for _, _, sentence in other.checks)
    assert Status.FAILED in {check.status for check in first.checks}
