"""A batch id is claimed once for ever: the same request is answered from the record, another one refused."""

import json

from infra.demo.cast import AUDITOR, REQUESTER
from tests.integration.batch.after import RESULT_FIELDS, require_end
from tests.integration.batch.endings import failure_of
from tests.integration.batch.office import Json, Office


async def _completed(office: Office, word: str) -> tuple[Json, Json]:
    """A request whose batch has completed, and its result."""
    batch_id = office.new_id(word)
    request = office.request(batch_id)
    handle = await office.start(request)
    await office.pass_gate(batch_id, "compliance")
    await require_end(office, batch_id, "completed")
    return request, await handle.result()


async def test_ended_batch_is_answered_from_the_record(office: Office) -> None:
    """The same request again gives the recorded result, also when its file is gone."""
    request, result = await _completed(office, "again")
    batch_id = request["batch_id"]
    (office.inbox / request["source"]["uri"].removeprefix("inbox://")).unlink()
    assert await (await office.start(request)).result() == result
    status = await office.status(batch_id)
    assert {name: status[name] for name in RESULT_FIELDS.split()} == result
    assert (status["stage"], status["waiting_for"]) == ("ended", None)
    watched = await office.walletworks(REQUESTER, "watch", batch_id, "--json")
    assert (watched.returncode, json.loads(watched.stdout)["outcome"]) == (0, "completed")
    taken = await office.walletworks(
        AUDITOR, "bundle", batch_id, "--out", str(office.stage.folder / "again.zip")
    )
    assert taken.returncode == 0, taken.stderr
    assert office.states(batch_id) == {"active": 5}
    (claims,) = office.rows(
        "SELECT count(*) AS n FROM audit_entries WHERE chain = :chain AND body LIKE '%batch.claimed%'",
        chain=f"batch/{batch_id}",
    )
    assert claims.n == 1


async def test_other_content_under_an_ended_id_is_a_conflict_that_names_fields(office: Office) -> None:
    """The run fails with ConflictError and the names of what differs; the record stays as it is."""
    request, result = await _completed(office, "other")
    other = office.signed(request | {"purpose": "campaign", "chains": ["bsc"]})
    failure = await failure_of(await office.start(other))
    assert failure.type == "ConflictError"
    assert failure.message.endswith("fields that differ: chains, purpose, signature")
    status = await office.status(request["batch_id"])
    assert (status["stage"], status["outcome"], status["reasons"]) == ("ended", "failed", [failure.message])
    assert await (await office.start(request)).result() == result


async def test_running_batch_keeps_its_content(office: Office) -> None:
    """Started again with other content it goes on as it was; who asks properly is told."""
    batch_id = office.new_id("running")
    request = office.request(batch_id)
    await office.start(request)
    digest = (await office.at_gate(batch_id, "compliance"))["digest"]
    other = office.signed(request | {"purpose": "campaign"})
    place = office.stage.folder / f"{batch_id}.json"
    place.write_text(json.dumps(other))
    start = ["workflow", "start", "--type", "ProvisionBatch", "--task-queue", "provisioning"]
    start += ["--workflow-id", batch_id, "--input-file", str(place)]
    assert (await office.temporal(*start)).returncode == 0
    assert (await office.temporal(*start, "--fail-existing")).returncode != 0
    told = await office.walletworks(REQUESTER, "submit", str(place))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.strip().endswith("fields that differ: purpose, signature")
    place.write_text(json.dumps(request))
    same = await office.walletworks(REQUESTER, "submit", str(place), "--json")
    assert (same.returncode, json.loads(same.stdout)["started"]) == (0, False)
    assert (await office.at_gate(batch_id, "compliance"))["digest"] == digest
    await office.abort(batch_id)
    await require_end(office, batch_id, "aborted")


async def test_terminated_batch_is_not_worked_by_a_second_run(office: Office) -> None:
    """A batch whose run was terminated has not ended: another run of it is refused, and nothing happens."""
    batch_id = office.new_id("terminated")
    request = office.request(batch_id)
    await office.start(request)
    await office.at_gate(batch_id, "compliance")
    await office.handle(batch_id).terminate("an operator's mistake")
    failure = await failure_of(await office.start(request))
    assert failure.type == "ConflictError"
    assert "another run that has not ended" in failure.message
    assert office.states(batch_id) == {}
