"""The bundle of a whole batch: written from the real store, verified offline."""

import gzip
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import select, update

from activities.clients.transit import Transit
from activities.contracts.shapes import SLICE_SIZE, BatchStep, batch_chain
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from activities.failures import IntegrityError, InvalidRequestError, ServiceUnavailableError
from activities.reading.log import reads_chain
from activities.store import audit
from activities.store import tables as t
from infra.devstack import Stack
from tests.integration.builders import BatchOnRecord
from tests.integration.office import an_office, private_key
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import edited, failed, members, rewritten
from tests.integration.verdict_room import announce_late


@pytest.fixture(scope="module")
def batch(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> BatchOnRecord:
    """A batch that went all the way, with holds, refusals and a withheld subject."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path_factory.mktemp("office")))
    made.complete()
    return made


@pytest.fixture
async def bundle(batch: BatchOnRecord, tmp_path: Path) -> Path:
    """Its bundle, in a file of the test's own."""
    _, path = await batch.bundle()
    own = tmp_path / "bundle.zip"
    own.write_bytes(path.read_bytes())
    return own


async def test_a_whole_batch_verifies_with_pinned_trust(batch: BatchOnRecord, bundle: Path) -> None:
    """Everything a bundle claims is recomputed and agrees; only the restricted part stays shut."""
    report = verify_bundle(bundle, batch.office.trust)
    assert failed(report) == []
    assert report.ok
    assert report.verdict == "VERIFIED"
    assert report.batch_id == batch.batch_id
    skipped = [check.name for check in report.checks if check.status is Status.SKIPPED]
    assert skipped == ["restricted"]
    assert report.counts["wallets"] == 10 * 2
    assert report.as_dict()["ok"] is True


async def test_an_auditor_opens_the_restricted_part(batch: BatchOnRecord, bundle: Path) -> None:
    """Rows, salts and verdicts give the public roots again, and the eligible are the holders."""
    identity = pyrage.ssh.Identity.from_buffer(private_key(batch.office.auditor))
    report = verify_bundle(bundle, batch.office.trust, restricted_identity=identity)
    assert report.ok, failed(report)
    assert report.checks[-1].name == "restricted"
    assert report.checks[-1].status is Status.OK


async def test_somebody_else_does_not_open_it(batch: BatchOnRecord, bundle: Path) -> None:
    """The restricted part is for auditors alone; a wrong key is a failed check."""
    identity = pyrage.ssh.Identity.from_buffer(private_key(batch.office.compliance))
    report = verify_bundle(bundle, batch.office.trust, restricted_identity=identity)
    assert failed(report) == ["restricted"]


async def test_an_unsigned_batch_of_one_chain_verifies(databases: Databases, tmp_path: Path) -> None:
    """An unsigned request needs one person more at every gate; with them it verifies the same."""
    made = BatchOnRecord(
        databases=databases, office=an_office(tmp_path), chains=("polygon",), signed=False, scene=False
    )
    made.complete()
    _, path = await made.bundle()
    report = verify_bundle(path, made.office.trust)
    assert report.ok, failed(report)
    assert report.counts["wallets_active"] == made.count


@pytest.mark.parametrize("outcome", ["rejected", "refused"])
async def test_a_batch_that_ended_early_verifies(databases: Databases, tmp_path: Path, outcome: str) -> None:
    """A record without evidence and wallets is whole when the log says that it ended so."""
    waves = (50, 100) if outcome == "refused" else (10, 100)
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path), waves_percent=waves)
    made.begin()
    assert (made.plan.outcome == "refused") == (outcome == "refused")
    if outcome == "rejected":
        made.pass_gate("compliance", made.plan.plan_digest, outcome="rejected")
    made.finish(outcome)
    _, path = await made.bundle()
    report = verify_bundle(path, made.office.trust)
    assert report.ok, failed(report)
    assert report.counts["wallets"] == 0


async def test_an_unpinned_bundle_is_never_ok(bundle: Path) -> None:
    """Without a trust file nothing says whose signatures these should be."""
    report = verify_bundle(bundle, None)
    assert failed(report) == []
    assert not report.ok
    assert report.verdict == "UNPINNED"


async def test_another_deployments_trust_does_not_vouch(bundle: Path, tmp_path: Path) -> None:
    """The same names with other keys approve nothing and attest nothing."""
    (tmp_path / "other").mkdir()
    report = verify_bundle(bundle, an_office(tmp_path / "other").trust)
    assert not report.ok
    assert {"audit_head", "wallet_signatures", "approvals", "gates", "holds"} <= set(failed(report))


async def test_pinned_attest_keys_are_needed(batch: BatchOnRecord, bundle: Path) -> None:
    """A trust file that pins no key of custody cannot vouch for addresses."""
    report = verify_bundle(bundle, replace(batch.office.trust, attest_keys=()))
    assert {"trust", "audit_head", "wallet_signatures"} <= set(failed(report))


async def test_writing_again_gives_the_same_record(batch: BatchOnRecord) -> None:
    """A retry writes the whole bundle again: same bytes but for the encryption's own randomness."""
    first, path = await batch.bundle()
    before = members(path)
    second, path = await batch.bundle()
    after = members(path)
    random = {"restricted.age", "bundle.json", "histories.jsonl"}
    assert {name: before[name] for name in before.keys() - random} == {
        name: after[name] for name in after.keys() - random
    }
    assert first.uri == second.uri
    assert path.stat().st_size == second.size


async def test_the_public_part_names_nobody(bundle: Path) -> None:
    """No subject_id and no personal data stands outside of the restricted part."""
    public = members(bundle)
    public.pop("restricted.age")
    everything = b"\n".join(public.values())
    for private in (b"Person Number", b"1990-01-31", b"kyc-3", b"s-3", b"LISTED PERSON"):
        assert private not in everything


async def test_writing_moves_no_attested_head(batch: BatchOnRecord) -> None:
    """Opening personal data for the auditors is on record, on the readers' chain."""
    with batch.provisioning.transaction() as connection:
        before = audit.head(connection, batch_chain(batch.batch_id))
        reads = audit.head(connection, reads_chain(batch.batch_id))
    await batch.bundle()
    with batch.provisioning.transaction() as connection:
        assert audit.head(connection, batch_chain(batch.batch_id)) == before
        assert audit.head(connection, reads_chain(batch.batch_id)).seq == reads.seq + 1


async def test_entries_after_the_attested_head_are_not_of_the_record(
    databases: Databases, tmp_path: Path
) -> None:
    """What is delivered after the end is logged after the head, and the bundle still verifies."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path))
    made.complete()
    announce_late(made)
    _, path = await made.bundle()
    assert verify_bundle(path, made.office.trust).ok


async def test_a_batch_without_attested_head_has_no_bundle(databases: Databases, tmp_path: Path) -> None:
    """Nothing is let out that an auditor could not hold against a signed head."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path))
    made.begin()
    with pytest.raises(IntegrityError, match="not attested"):
        await made.bundle()
    with pytest.raises(InvalidRequestError, match="batch_id: no such batch"):
        await made.record().write_bundle(BatchStep(batch_id="nobodys", fence=1))


async def test_a_thousand_subjects_verify_in_three_seconds(databases: Databases, tmp_path: Path) -> None:
    """An auditor's check of a usual batch is a matter of seconds, every signature included."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path), count=1000, scene=False)
    made.complete()
    _, path = await made.bundle()
    begun = time.process_time()
    report = verify_bundle(path, made.office.trust)
    spent = time.process_time() - begun
    assert report.ok, failed(report)
    assert report.counts["wallets"] == 2000
    assert spent < 3


async def test_the_store_is_the_only_source(batch: BatchOnRecord, bundle: Path) -> None:
    """Every wallet of the store is in the bundle, in its state."""
    with batch.provisioning.transaction() as connection:
        rows = connection.execute(
            select(t.wallets.c.ordinal, t.wallets.c.chain, t.wallets.c.state).where(
                t.wallets.c.batch_no == batch.batch_no
            )
        ).all()
    listed = [json.loads(line) for line in members(bundle)["wallets.jsonl"].splitlines()]
    assert {(row.ordinal, row.chain, row.state) for row in rows} == {
        (line["ordinal"], line["chain"], line["state"]) for line in listed
    }
    assert len(rows) == len(listed)


async def test_the_real_key_services_signatures_verify(
    databases: Databases, stack: Stack, tmp_path: Path
) -> None:
    """Addresses and heads signed by the transit key `attest`, rows under `pii`, as in production."""
    secrets = stack.state_dir / "secrets"
    custody, provisioning = (
        Transit(address=stack.openbao.address, token_file=secrets / worker / "vault_token")
        for worker in ("custody", "provisioning")
    )
    office = an_office(tmp_path, data_keys=provisioning)
    office.attest = partial(custody.sign, "attest")
    office.attest_key = custody.public_keys("attest")[1]
    office.write_trust()
    made = BatchOnRecord(databases=databases, office=office)
    made.complete()
    _, path = await made.bundle()
    identity = pyrage.ssh.Identity.from_buffer(private_key(office.auditor))
    report = verify_bundle(path, office.trust, restricted_identity=identity)
    assert report.ok, failed(report)


async def test_a_rolled_back_batch_verifies_with_its_frozen_wallets(
    databases: Databases, tmp_path: Path
) -> None:
    """What was active is frozen and on record as such; what was not is revoked by custody."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path), scene=False)
    made.leave_after_a_wave()
    _, path = await made.bundle()
    report = verify_bundle(path, made.office.trust)
    assert report.ok, failed(report)
    assert report.counts["wallets_frozen"] == 2 * 2
    assert report.counts["wallets_revoked"] == 10 * 2
    thawed = edited(
        "wallets.jsonl", lambda rows: [r.update(state="active") for r in rows if r["state"] == "frozen"]
    )
    forged = rewritten(path, tmp_path / "forged.zip", thawed)
    assert failed(verify_bundle(forged, made.office.trust)) == ["wallet_states"]


async def test_an_erased_subject_leaves_every_proof_valid(databases: Databases, tmp_path: Path) -> None:
    """Over several slices, with one person's salt deleted: leaves and roots still agree, the row is gone."""
    office = an_office(tmp_path)
    made = BatchOnRecord(
        databases=databases, office=office, count=SLICE_SIZE + 76, chains=("bsc",), scene=False
    )
    made.complete()
    own = t.subjects.c
    with made.provisioning.transaction() as connection:
        erased = (own.batch_no == made.batch_no) & (own.ordinal == SLICE_SIZE)
        connection.execute(update(t.subjects).where(erased).values(salt=None))
    _, path = await made.bundle()
    identity = pyrage.ssh.Identity.from_buffer(private_key(office.auditor))
    report = verify_bundle(path, office.trust, restricted_identity=identity)
    assert report.ok, failed(report)
    assert "1 of them erased" in report.checks[-1].sentence
    rows = pyrage.decrypt(members(path)["restricted.age"], [identity])
    assert b'"subject_id":"s-1023"' in gzip.decompress(rows)
    assert b'"subject_id":"s-1024"' not in gzip.decompress(rows)


async def test_without_auditors_the_restricted_part_is_left_out(databases: Databases, tmp_path: Path) -> None:
    """Nobody who could read it: no personal data is opened, and the public part verifies by itself."""
    office = an_office(tmp_path)
    office.trust_path.write_text(office.trust_path.read_text().replace('["auditor"]', '["observer"]'))
    made = BatchOnRecord(databases=databases, office=office, scene=False)
    made.complete()
    _, path = await made.bundle()
    assert "restricted.age" not in members(path)
    assert verify_bundle(path, office.trust).ok
    office.trust_path.write_text("no trust")
    with pytest.raises(ServiceUnavailableError, match="trust file"):
        await made.bundle()
