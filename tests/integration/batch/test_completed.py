"""Batches that go all the way, with everybody or with some left out."""

from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office, all_of
from tests.integration.batch.people import csv_of, people

SG_WAVES = {"waves_percent": [10, 100], "soak_seconds": 0}


async def test_batches_complete_under_each_kind_of_policy(office: Office) -> None:
    """One chain, three chains, and a policy with gates at issuance and waves: all wallets become active."""
    one, three, gated = (office.new_id(word) for word in ("one", "three", "gated"))
    chains = ["ethereum", "bsc", "polygon"]

    async def on_one_chain() -> None:
        handle = await office.start(office.request(one))
        await office.pass_gate(one, "compliance")
        status = await require_end(office, one, "completed")
        waves = [(wave["wallets"], wave["state"]) for wave in status["waves"]]
        assert waves == [(1, "passed"), (4, "passed")]
        assert (await handle.result())["counts"] == status["counts"]

    async def on_three_chains() -> None:
        await office.start(office.request(three, subjects=40, chains=chains))
        await office.pass_gate(three, "compliance")
        await require_end(office, three, "completed")

    async def with_all_gates() -> None:
        await office.start(office.request(gated, jurisdiction="SG", chains=chains, rollout=SG_WAVES))
        await office.pass_gates(gated, "compliance", "issuance", "wave/2")
        status = await require_end(office, gated, "completed")
        assert [gate["gate"] for gate in status["gates"] if gate["passed"]] == [
            "compliance",
            "issuance",
            "wave/2",
        ]

    await all_of(on_one_chain(), on_three_chains(), with_all_gates())
    assert [office.states(batch) for batch in (one, three, gated)] == [
        {"active": 5},
        {"active": 120},
        {"active": 15},
    ]
    assert _addresses(office, three) == (40, 40)


def _addresses(office: Office, batch_id: str) -> tuple[int, int]:
    """How many addresses there are, and how many pairs of subject and address."""
    (row,) = office.rows(
        "SELECT count(DISTINCT address) AS addresses, count(DISTINCT (ordinal, address)) AS pairs"
        " FROM wallets JOIN batches USING (batch_no) WHERE batch_id = :id",
        id=batch_id,
    )
    return row.addresses, row.pairs


async def test_batches_with_holds_or_bad_rows_complete_with_exceptions(office: Office) -> None:
    """Who is cleared joins the late wave, who is refused gets nothing, bad rows are left out."""
    held, gated, skipped = (office.new_id(word) for word in ("held", "heldsg", "skipped"))

    async def one_cleared_one_refused() -> None:
        await office.start(office.request(held, held=2))
        await office.pass_gate(held, "compliance")
        await _settle(office, held, {0: "clear", 1: "refuse"})
        status = await require_end(office, held, "completed_with_exceptions")
        assert status["counts"] | {"clear": 4, "not_eligible": 1, "in_review": 0} == status["counts"]
        waves = [wave["wallets"] for wave in status["waves"]]
        assert (len(waves), sum(waves)) == (3, 4)

    async def cleared_under_all_gates() -> None:
        await office.start(office.request(gated, held=1, jurisdiction="SG", rollout=SG_WAVES))
        await office.pass_gates(gated, "compliance", "issuance", "wave/2")
        main_digest = (await office.status(gated))["evidence_digest"]
        await _settle(office, gated, {0: "clear"})
        await office.pass_gates(gated, "issuance", "wave/3")
        status = await require_end(office, gated, "completed")
        assert status["evidence_digest"] != main_digest

    async def bad_row_left_out() -> None:
        rows = people(skipped, 5)
        rows[2]["country"] = "Atlantis"
        request = office.request(skipped, on_bad_rows="skip", source=office.put_source(csv_of(rows)))
        await office.start(request)
        await office.pass_gate(skipped, "compliance")
        status = await require_end(office, skipped, "completed_with_exceptions")
        assert (status["counts"]["rows"], status["counts"]["bad_rows"]) == (5, 1)

    await all_of(one_cleared_one_refused(), cleared_under_all_gates(), bad_row_left_out())
    assert [office.states(batch) for batch in (held, gated, skipped)] == [{"active": n} for n in (4, 5, 4)]
    assert not office.rows(
        "SELECT 1 FROM wallets JOIN batches USING (batch_no) WHERE batch_id = :id AND ordinal = 1", id=held
    )


async def _settle(office: Office, batch_id: str, decisions: dict[int, str]) -> None:
    """Decides on the holds the batch waits for."""
    await office.until(batch_id, _waits_for_holds, what="waiting for holds")
    holds = office.holds(batch_id)
    assert holds.keys() == decisions.keys()
    for ordinal, decision in decisions.items():
        answer = await office.adjudicate(batch_id, holds[ordinal], decision)
        assert answer["counted"], answer


def _waits_for_holds(status: Json) -> bool:
    return bool((status["waiting_for"] or {}).get("kind") == "hold")
