"""Requests and sources that cannot be worked: named by field or row with the reason, never the value.

Each run has ended Failed with nothing in the store; none is wedged.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.service import RPCError

from infra.demo.cast import COMPLIANCE, REQUESTER
from tests.integration.batch.office import Json, Office
from tests.integration.batch.people import COLUMNS, Row, csv_of, people
from tests.integration.batch.test_starts import CANARY, require_refused

Change = Callable[[Office, Json], Json]


def field(**changes: Any) -> Change:
    """Puts other values in, signed like the rest."""
    return lambda office, request: office.signed(request | changes)


def without(name: str) -> Change:
    """Leaves a field out."""
    return lambda office, request: office.signed({k: v for k, v in request.items() if k != name})


def waves(*percents: Any, **more: Any) -> Change:
    """Asks for other waves."""
    return field(rollout={"waves_percent": list(percents), **more})


def pointing(**changes: Any) -> Change:
    """Points somewhere else."""
    return lambda office, request: office.signed(request | {"source": request["source"] | changes})


def file_of(content: str | bytes) -> Change:
    """Another file in the inbox, with its own digest."""
    return lambda office, request: office.signed(request | {"source": office.put_source(content)})


def row(number: int = 1, **changes: str) -> Change:
    """The usual file with something changed in one row; row 0 stands in line 2."""

    def change(office: Office, request: Json) -> Json:
        rows = people(request["batch_id"], 3)
        rows[number] |= changes
        return file_of(csv_of(rows))(office, request)

    return change


def repeated(office: Office, request: Json) -> Json:
    """The usual file with one person in it twice."""
    rows: list[Row] = people(request["batch_id"], 3)
    return file_of(csv_of([*rows, rows[0]]))(office, request)


def linked(office: Office, request: Json) -> Json:
    """A link in the inbox that leads out of it."""
    (office.inbox / "link.csv").unlink(missing_ok=True)
    (office.inbox / "link.csv").symlink_to("/etc/passwd")
    return pointing(uri="inbox://link.csv")(office, request)


def changed_after_signing(_: Office, request: Json) -> Json:
    """What was signed is not what was sent."""
    return request | {"purpose": "campaign"}


HEADER = ",".join(COLUMNS)
GOOD = "S-1,person,Testa Persona,1980-01-02,SG,"

REQUESTS: dict[str, tuple[Change, str]] = {
    "unknown field": (field(colour=CANARY), "colour: unknown field"),
    "missing field": (without("purpose"), "purpose: Field required"),
    "wrong type": (field(chains=CANARY), "chains: Input should be a valid list"),
    "number for text": (field(tenant=7), "tenant: Input should be a valid string"),
    "unknown purpose": (field(purpose=CANARY), "purpose: Input should be 'airdrop'"),
    "custody not offered": (field(custody="self_custody"), "custody: not offered yet"),
    "bad tenant": (field(tenant=CANARY), "tenant: String should match pattern"),
    "requester with a control character": (field(requested_by="ops\x07"), "requested_by: String should"),
    "unknown chain": (field(chains=[CANARY]), "chains: must be among ethereum, bsc, polygon"),
    "repeated chain": (field(chains=["bsc", "bsc"]), "chains: must not repeat"),
    "no chain": (field(chains=[]), "chains: List should have at least 1 item"),
    "unknown jurisdiction": (field(jurisdiction="Narnia"), "jurisdiction: must be one of DE, SG"),
    "jurisdiction as a path": (field(jurisdiction="../SG"), "jurisdiction: String should match pattern"),
    "waves that fall": (waves(50, 10, 100), "rollout.waves_percent: must rise and end at 100"),
    "waves that stop early": (waves(1, 10), "rollout.waves_percent: must rise and end at 100"),
    "wave over 100": (waves(10, 101), "rollout.waves_percent.1: Input should be less than or equal to 100"),
    "wave as text": (waves("10", 100), "rollout.waves_percent.0: Input should be a valid integer"),
    "no wave": (waves(), "rollout.waves_percent: List should have at least 1 item"),
    "negative soak": (waves(100, soak_seconds=-1), "rollout.soak_seconds: Input should be greater"),
    "unknown rollout field": (waves(100, pace=1), "rollout.pace: unknown field"),
    "unknown choice for bad rows": (field(on_bad_rows=CANARY), "on_bad_rows: Input should be"),
    "digest of the wrong form": (pointing(sha256=CANARY), "source.sha256: String should match pattern"),
    "another kind of place": (pointing(uri="file:///etc/passwd"), "source.uri: String should match pattern"),
    "forged signature": (changed_after_signing, "signature: The signature does not fit this exact text."),
    "unreadable signature": (
        lambda _, request: request | {"signature": CANARY},
        "signature: The signature is not a well-formed SSH signature.",
    ),
    "somebody else's name": (
        field(requested_by=COMPLIANCE.name),
        "signature: The request was signed by someone else than it names.",
    ),
}

SOURCES: dict[str, tuple[Change, str]] = {
    "missing": (pointing(uri=f"inbox://{CANARY}.csv"), "source.uri: no file of that name is in the inbox"),
    "path out of the inbox": (pointing(uri="inbox://../settings.toml"), "source.uri: names a place outside"),
    "absolute path": (pointing(uri="inbox:///etc/passwd"), "source.uri: names a place outside"),
    "link out of the inbox": (linked, "source.uri: the file cannot be read"),
    "bucket that is not configured": (pointing(uri="s3://bucket/key"), "source.uri: s3 is not configured"),
    "empty file": (file_of(""), "source.uri: the file is empty"),
    "header only": (file_of(HEADER), "source: has no rows"),
    "another digest": (pointing(sha256="0" * 64), "source.sha256: the file has another digest"),
    "header of other columns": (
        file_of(f"{CANARY},b\n1,2\n"),
        "the header is not the published one: subject_id is missing",
    ),
    "column nobody knows": (file_of(f"{HEADER},{CANARY}\n"), "unknown name at place 7"),
    "no header": (file_of(f"{GOOD}\n"), "the header is not the published one"),
    "not UTF-8": (file_of(f"{HEADER}\n{GOOD}\n".encode() + b"\xff\xfe\n"), "line 3, row: not UTF-8"),
    "header that is not UTF-8": (file_of(b"\xff\xfe\x00"), "source: the header is not UTF-8"),
    "too few fields": (file_of(f"{HEADER}\nS-1,person\n"), "line 2, row: has 2 fields, the header has 6"),
    "open quote": (file_of(f'{HEADER}\nS-1,person,"Tes\n'), "line 2, row: not readable as CSV"),
    "repeated subject": (repeated, "line 5, subject_id: the same as in line 2"),
    "impossible date": (row(date_of_birth="1980-02-30"), "line 3, date_of_birth: not a date of the calendar"),
    "future date": (row(date_of_birth="2999-01-01"), "line 3, date_of_birth: lies in the future"),
    "control character": (
        row(full_name=f"{CANARY}\x1b[2J"),
        "line 3, full_name: holds a control or invisible character",
    ),
    "text turned around": (
        row(full_name=f"{CANARY}\u202e"),
        "line 3, full_name: holds a control or invisible",
    ),
    "unknown country": (row(country=CANARY), "line 3, country: not an ISO 3166-1 alpha-2 country code"),
    "unknown kind": (row(subject_kind=CANARY), "line 3, subject_kind: must be person or entity"),
    "id with a space": (
        row(subject_id=f"{CANARY} 1"),
        "line 3, subject_id: must be 1 to 64 of the characters",
    ),
    "no name": (row(full_name=""), "line 3, full_name: missing"),
    "JSON line that is none": (file_of('{"subject_id": \n'), "line 1, row: not readable as JSON"),
}

CASES = {f"{name}": case for name, case in (REQUESTS | SOURCES).items()}


@pytest.mark.parametrize(("change", "reason"), CASES.values(), ids=CASES.keys())
async def test_bad_input_ends_failed_with_its_reason(office: Office, change: Change, reason: str) -> None:
    """The run fails at once, by our type, with field or row and reason; no value, no row in the store."""
    request = change(office, office.request(office.new_id("bad"), subjects=3))
    handle = await office.start(request)
    failure = await require_refused(office, handle, reason)
    assert not any(part in failure.message for part in ("passwd", "Testa", "\x1b", "\u202e"))
    assert (await office.status(handle.id))["counts"]["subjects"] == 0


@pytest.mark.parametrize("batch_id", ["Spring", "-spring", "spring_1", "a" * 64, "spring/1", "spring\n"])
async def test_bad_batch_id_is_refused_whatever_the_workflow_id(office: Office, batch_id: str) -> None:
    """An id that is unsafe in paths and queries never becomes a batch."""
    handle = await office.start(office.request(batch_id), workflow_id=batch_id)
    await require_refused(office, handle, "batch_id: String should")


@pytest.mark.parametrize("name", ["unknown field", "waves that fall", "another digest", "impossible date"])
async def test_submit_says_what_is_wrong_in_one_line(office: Office, name: str) -> None:
    """The command ends with 1 and one line: what is wrong with the request or with a row."""
    change, reason = CASES[name]
    request = change(office, office.request(office.new_id("told"), subjects=3))
    place = office.stage.folder / "told.json"
    place.write_text(json.dumps(request))
    done = await office.walletworks(REQUESTER, "submit", str(place))
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.strip().splitlines()
    assert (len(lines), reason in lines[0]) == (1, True), done.stderr
    assert CANARY not in done.stderr


async def test_submit_refuses_a_bad_request_without_starting_it(office: Office) -> None:
    """What can be seen in the request itself never reaches Temporal."""
    request = office.request(office.new_id("unstarted"), colour=CANARY)
    place = office.stage.folder / "unstarted.json"
    place.write_text(json.dumps(request))
    assert (await office.walletworks(REQUESTER, "submit", str(place))).returncode == 1
    with pytest.raises(RPCError):
        await office.handle(request["batch_id"]).describe()
