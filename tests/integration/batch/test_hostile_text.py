"""A real batch made of hostile strings, run to its end; then all that people take away of it is read back."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

from activities.intake.columns import COLUMNS, ColumnRules
from infra.demo.cast import COMPLIANCE
from tests.hostile.strings import OWN, RUN_BY_SPREADSHEETS, UNSEEN, hostile_strings, telling
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office
from tests.integration.batch.people import people
from tests.integration.batch.taken_away import PublicPart, public_part
from workflows.status import escaped

NAMES = tuple(sorted(COLUMNS))
SIGNATURE = "-----BEGIN SSH SIGNATURE-----"

MESSAGE = re.compile(r"[A-Za-z0-9_./@:-]{1,200}")
"""What is left of a message's name, however it was misspelt: the log tells of it, so it is made harmless."""

NAMED = (
    "=cmd|' /C calc'!A0 [link=http://x.example]y[/link] :skull: <script>alert(1)</script> https://x.example/a"
    " | # `x` ![](http://x.example/a.png) [/] \\"
)
"""A requester whom the request takes: printable and in ASCII, and hostile in every other way."""

REASON = "\u202egnp.exe \u200b\u2066 \U000e0041 " + NAMED
"""A reason that a statement takes."""


def hostile_rows(batch_id: str) -> Iterator[Json]:
    """Every string in every column, each in a row that is good otherwise."""
    (good,) = people(batch_id, 1)
    number = 0
    for column in NAMES:
        for text in hostile_strings():
            number += 1
            yield {**dict.fromkeys(NAMES, ""), **good, "subject_id": f"{batch_id}.{number}", column: text}


def source_of(rows: list[Json]) -> str:
    """The rows as CSV."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, fieldnames=NAMES, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


def good_ids(rows: list[Json]) -> list[str]:
    """The ids of the rows that intake takes, each once."""
    rules = ColumnRules(today=datetime.now(tz=UTC).date())
    given = ({name: value for name, value in row.items() if value} for row in rows)
    return list(dict.fromkeys(row["subject_id"] for row in given if not rules.problems(row)))


def required_calm(*texts: str) -> None:
    """Fails when a terminal would obey something in what a command printed."""
    for text in texts:
        assert not UNSEEN.search(text), ascii(UNSEEN.search(text))


async def said(office: Office, *command: str, code: int = 0) -> str:
    """What a command printed; nothing of it is obeyed by a terminal."""
    done = await office.walletworks(COMPLIANCE, *command)
    assert done.returncode == code, (command, done.stdout, done.stderr)
    required_calm(done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


async def test_a_batch_of_hostile_rows_ends_well_and_leaks_nothing(office: Office, tmp_path: Path) -> None:
    """Bad rows are listed in our words, good ones become wallets, and no text of theirs gets out."""
    batch_id = office.new_id("hostile")
    rows = list(hostile_rows(batch_id))
    taken = good_ids(rows)
    assert len(taken) > 500
    request = office.request(batch_id, source=office.put_source(source_of(rows)), on_bad_rows="skip")
    await office.start(request)
    await office.pass_gate(batch_id, "compliance")
    for hold in await held(office, batch_id):
        await office.adjudicate(batch_id, hold, "clear")
    status = await office.until_ended(batch_id)
    assert status["outcome"] in {"completed", "completed_with_exceptions"}
    await require_end(office, batch_id, status["outcome"])
    assert (status["counts"]["rows"], status["counts"]["subjects"]) == (len(rows), len(taken))
    await require_table(office, batch_id, taken)
    await require_answers(office, batch_id, rows)
    await require_bundle_and_logs_are_calm(office, batch_id, tmp_path)
    require_no_row_in(public_part(tmp_path / "bundle.zip"), batch_id, rows)


def require_no_row_in(public: PublicPart, batch_id: str, rows: list[Json]) -> None:
    """Of a row nothing may stand there: no hostile text, no id, and no value that tells a person."""
    assert public.repeats(text for text in hostile_strings() if telling(text)) == []
    (good,) = people(batch_id, 1)
    assert public.repeats([value for value in good.values() if telling(value) or " " in value]) == []
    assert not re.search(rb"%b\.\d" % re.escape(batch_id.encode()), b"\n".join(public.parts.values()))
    assert len(public.rows("wallets.jsonl")) > 0.99 * len(good_ids(rows))


async def held(office: Office, batch_id: str) -> list[Json]:
    """The holds, once everybody is screened."""
    seen = await office.until(
        batch_id, lambda s: s["stage"] not in {"intake", "review", "screening"}, what="the verdicts"
    )
    return list(office.holds(batch_id).values()) if seen["counts"]["in_review"] else []


async def require_table(office: Office, batch_id: str, taken: list[str]) -> None:
    """The table of wallets parses back to the ids that were taken; no cell of it is run."""
    text = await said(office, "wallets", batch_id, "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["subject_id"].removeprefix("'") for row in rows} <= set(taken)
    assert len(rows) > 0.99 * len(taken)
    assert not [cell for row in rows for cell in row.values() if cell.startswith(RUN_BY_SPREADSHEETS)]
    told = json.loads(await said(office, "wallets", batch_id, "--json"))
    assert told == rows


async def require_answers(office: Office, batch_id: str, rows: list[Json]) -> None:
    """`why` answers for ids that are odd and refuses those that are none, in one line each."""
    odd = [row["subject_id"] for row in rows if row["subject_id"] in hostile_strings()]
    known = next(text for text in odd if re.fullmatch(r"[A-Za-z0-9._:]+", text))
    assert json.loads(await said(office, "why", batch_id, known, "--json"))["subject_id"] == known
    for text in (
        "=1+1",
        "[bold red]x[/]",
        "\x1b[2J",
        "\u202egnp.exe",
        "'; DROP TABLE batches; --",
        "a\nb",
        "\udcff",
    ):
        told = await said(office, "why", batch_id, "--", text, code=1)
        assert len(told.splitlines()) == 1
        assert "no such subject" in told
    await said(office, "status", "--", "-2+3\x1b[2J[/]", code=1)
    await said(office, "wallets", batch_id, "--reason", OWN[1], "--as", "[/]=1+1")
    json.loads(await said(office, "status", batch_id, "--json"))
    json.loads(await said(office, "holds", batch_id, "--json", "--key", str(office.stage.key(COMPLIANCE))))


async def require_bundle_and_logs_are_calm(office: Office, batch_id: str, folder: Path) -> None:
    """No string of a row stands in the public part, and every line of the workers' logs is one of ours."""
    place = folder / "bundle.zip"
    await said(office, "bundle", batch_id, "--out", str(place))
    trust = ("--trust", str(office.stage.auditor_trust))
    assert "VERIFIED" in await said(office, "verify", str(place), *trust)
    logs = [log.read_text(encoding="utf-8", errors="strict") for log in log_files(office)]
    assert logs
    for log in logs:
        for line in log.splitlines():
            assert isinstance(json.loads(line), dict), line
            required_calm(line)
        assert not [text for text in hostile_strings() if telling(text) and len(text) > 12 and text in log]


def log_files(office: Office) -> list[Path]:
    """What the workers wrote on standard error."""
    folder = office.stack.state_dir / "logs"
    return [path for path in folder.glob("*.log") if "worker" in path.stem]


async def test_hostile_messages_to_a_hostile_requesters_batch(office: Office, tmp_path: Path) -> None:
    """Whoever asks and whatever is sent to it: the batch shows it as text, records it, and goes on."""
    batch_id = office.new_id("hostile-words")
    request = office.request(batch_id)
    request = {k: v for k, v in request.items() if k != "signature"} | {"requested_by": NAMED}
    await office.start(request)
    gate = await office.at_gate(batch_id, "compliance")
    handle = office.handle(batch_id)
    for text in (text for text in OWN[::4] if "\x00" not in text):
        await handle.signal(text[:100] or "x", {"statement": text, "signature": text})
    for text in filter(str.strip, (*OWN[::6], "\ud800", "a\x00b")):
        answer = await office.send(batch_id, "approve", {"statement": text, "signature": SIGNATURE})
        assert not answer["counted"]
    for text in ("\ud800", "a\x00b", "\x1b[2J\u202e"):
        await office.send(batch_id, "pause", {"reason": text})
    await require_shown(office, batch_id)
    refused = await office.decide(batch_id, gate, COMPLIANCE, by="reject", decision="reject", reason=REASON)
    assert refused["counted"], refused
    await require_end(office, batch_id, "rejected")
    place = tmp_path / "bundle.zip"
    await said(office, "bundle", batch_id, "--out", str(place))
    require_words_where_they_belong(public_part(place))
    await require_harmless_where_shown(office, batch_id, place)


def require_words_where_they_belong(public: PublicPart) -> None:
    """What was signed stands there to the letter, what was refused is kept, and no other place repeats them.

    An approver's reason is public: it is what the signature is about.
    """
    (decision,) = [row for row in public.rows("approvals.jsonl") if row["message"] == "reject"]
    assert json.loads(decision["statement"])["reason"] == REASON
    assert public.rows("request.json")[0]["requested_by"] == NAMED
    assert all(MESSAGE.fullmatch(row["message"]) for row in public.rows("approvals.jsonl"))
    words = [text for text in (*OWN, NAMED, REASON) if telling(text) and not MESSAGE.fullmatch(text)]
    assert {NAMED, "'; DROP TABLE batches; --", "</textarea>"} <= set(public.repeats(words))
    assert public.without_words().repeats(words, hashed=False) == []  # the log holds digests of statements


async def require_harmless_where_shown(office: Office, batch_id: str, bundle: Path) -> None:
    """Tables, details and reports of the batch show the words as text, cut and escaped, or not at all."""
    trust = ("--trust", str(office.stage.auditor_trust))
    for more in ((), ("--json",)):
        told = await said(office, "verify", str(bundle), *trust, *more)
        assert not [word for word in (NAMED, REASON) if word in told]
    assert list(csv.reader(io.StringIO(await said(office, "wallets", batch_id, "--csv"))))[1:] == []
    metadata = await office.handle(batch_id).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    details = metadata.current_details
    required_calm(details)
    assert escaped(NAMED) in details
    assert "gnp.exe" not in details
    assert not re.search(r"(?<!\\)[<\[`!]", details)


async def require_shown(office: Office, batch_id: str) -> None:
    """Every command that shows the batch shows its words, and no terminal obeys them."""
    status = json.loads(await said(office, "status", batch_id, "--json"))
    assert status["requested_by"] == NAMED
    assert status["messages_refused"]
    for command in (("status", batch_id), ("inbox",), ("show", batch_id), ("show", batch_id, "--brief")):
        told = await said(office, *command)
        if command[0] == "show":
            assert NAMED in told
    found = json.loads(await said(office, "inbox", "--json"))
    assert batch_id in [entry["batch_id"] for entry in found] or status["paused"]
    described = await office.temporal("workflow", "show", "--workflow-id", batch_id, "--output", "json")
    assert json.loads(described.stdout)


@pytest.mark.parametrize("field", ["requested_by", "jurisdiction", "source", "chains", "extra"])
async def test_hostile_fields_end_a_start_cleanly(office: Office, field: str) -> None:
    """A request that cannot be taken is Failed at once, with a text that is one calm line."""
    changes: dict[str, Any] = {
        "requested_by": "\ud800",
        "jurisdiction": "../../etc/passwd",
        "source": {"uri": "inbox://../secrets\u202e", "sha256": "ab" * 32},
        "chains": ["ethereum\x1b[2J"],
        "extra": "x",
    }
    batch_id = office.new_id("hostile-field")
    request = {k: v for k, v in office.request(batch_id).items() if k != "signature"}
    name = "\x1b[2J\n[red]" if field == "extra" else field
    await office.start(request | {name: changes[field]})
    status = await office.until_ended(batch_id)
    assert status["outcome"] == "failed"
    for reason in status["reasons"]:
        required_calm(reason)
        assert reason.isprintable()
        assert "passwd" not in reason
    await said(office, "status", batch_id)
