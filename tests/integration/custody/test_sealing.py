"""Sealing, both derivation paths and attestation against the real key service."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from activities.clients.transit import Transit
from activities.custody.key_room import derive_slice, make_seed
from activities.custody.permissions import KEY_SERVICE_NEEDS, KEY_SERVICE_NEVER
from activities.custody.scope import SealScope
from activities.custody.sealing import TransitKeyService, opened
from activities.custody.second_path_run import (
    KeyServiceAddress,
    SecondPathJob,
    SecondPathReport,
    run_second_path,
)
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    ServiceUnavailableError,
)
from activities.keys.possession import PossessionContext
from infra.devstack import Stack
from tests.unit.custody.key_service_contract import assert_keeps_the_contract

SCOPE = SealScope(tenant="acme", keyring_id="keyring-1", purpose="wallets")
CONTEXT = PossessionContext(deployment="acme-test", batch_id="spring-airdrop", plan_digest="ab" * 32)


def _token_file(stack: Stack, worker: str) -> Path:
    return stack.state_dir / "secrets" / worker / "vault_token"


def _transit(stack: Stack, worker: str = "custody") -> Transit:
    return Transit(address=stack.openbao.address, token_file=_token_file(stack, worker))


@pytest.fixture
def keys(stack: Stack) -> TransitKeyService:
    """The key service as custody's token sees it."""
    return TransitKeyService(transit=_transit(stack))


def test_the_real_key_service_keeps_the_contract(keys: TransitKeyService) -> None:
    """What the tests' key service in memory promises, the real one does."""
    assert_keeps_the_contract(keys)


def _job(stack: Stack, indexes: range) -> tuple[SecondPathJob, list[tuple[int, str]]]:
    """A job over a fresh seed and the addresses the fast path finds for it."""
    keys = TransitKeyService(transit=_transit(stack))
    sealed = make_seed(keys, SCOPE)
    wallets = derive_slice(
        keys, sealed, SCOPE, account=0, indexes=indexes, chain_ids=["ethereum"], possession=CONTEXT
    )
    found = [(wallet.index, wallet.address) for wallet in wallets]
    job = SecondPathJob(
        key_service=_at(stack),
        sealed=sealed,
        scope=SCOPE,
        family="evm",
        account=0,
        count=len(found),
        expected=found,
    )
    return job, found


def _at(stack: Stack, worker: str = "custody") -> KeyServiceAddress:
    return KeyServiceAddress(address=stack.openbao.address, token_file=_token_file(stack, worker))


def test_the_second_path_agrees_with_the_first(stack: Stack) -> None:
    """Every address of a range is found again by a fresh process that opens the seed itself."""
    job, _ = _job(stack, range(1500, 2524))
    report = run_second_path(job)
    assert report == SecondPathReport(checked=1024, sampled=100, mismatch_count=0, mismatches=())


def test_one_wrong_address_is_found_by_its_index(stack: Stack) -> None:
    """An address of the neighbour's, and one of another case, are each reported."""
    job, found = _job(stack, range(150))
    wrong = [*found]
    wrong[17] = (17, found[18][1])
    wrong[91] = (91, found[91][1].lower())
    report = run_second_path(replace(job, expected=wrong))
    assert report.mismatches == (17, 91)
    assert report.mismatch_count == 2
    assert report.checked == 150


def test_a_foreign_seed_differs_everywhere(stack: Stack) -> None:
    """Addresses of another seed are all reported, and only the first hundred are listed."""
    job, _ = _job(stack, range(150))
    _, foreign = _job(stack, range(150))
    report = run_second_path(replace(job, expected=foreign))
    assert report.mismatch_count == 150
    assert len(report.mismatches) == 100


def test_a_seed_of_another_scope_opens_on_neither_path(stack: Stack, keys: TransitKeyService) -> None:
    """The real transit engine's derived key refuses another tenant's context."""
    job, _ = _job(stack, range(1))
    other = replace(SCOPE, tenant="other")
    with pytest.raises(IntegrityError), opened(keys, job.sealed, other):
        pass
    with pytest.raises(IntegrityError):
        run_second_path(replace(job, scope=other))


def test_the_provisioning_worker_opens_no_seed(stack: Stack) -> None:
    """Another role's token is refused on every way to a seed."""
    job, _ = _job(stack, range(1))
    foreign = TransitKeyService(transit=_transit(stack, "provisioning"))
    for use in (
        lambda: make_seed(foreign, SCOPE),
        lambda: foreign.unwrap(job.sealed.wrapped_key, SCOPE.context()),
        lambda: run_second_path(replace(job, key_service=_at(stack, "provisioning"))),
    ):
        with pytest.raises(AccessDeniedError):
            use()


@pytest.mark.usefixtures("sealed_key_service")
def test_a_sealed_key_service_can_be_waited_for(stack: Stack) -> None:
    """While the key service is sealed, every step says so by the error that retries."""
    keys = TransitKeyService(transit=_transit(stack))
    with pytest.raises(ServiceUnavailableError):
        make_seed(keys, SCOPE)


def test_work_goes_on_after_unsealing(stack: Stack, keys: TransitKeyService) -> None:
    """The same client and the same sealed seed work again once the key service is unsealed."""
    job, found = _job(stack, range(3))
    stack.openbao.seal()
    try:
        with pytest.raises(ServiceUnavailableError):
            run_second_path(job)
    finally:
        stack.openbao.unseal()
    with opened(keys, job.sealed, SCOPE) as entropy:
        assert entropy != bytes(32)
    assert run_second_path(job).checked == len(found)


def test_custodys_token_can_do_what_it_must_and_no_more(stack: Stack) -> None:
    """The start check passes for custody's token and refuses the other role's and the root's."""
    _transit(stack).require_exactly(KEY_SERVICE_NEEDS, never=KEY_SERVICE_NEVER)
    with pytest.raises(AccessDeniedError):
        _transit(stack, "provisioning").require_exactly(KEY_SERVICE_NEEDS, never=KEY_SERVICE_NEVER)


def test_attestations_verify_with_the_published_key(stack: Stack) -> None:
    """A signature of the attest key verifies offline, and not over another message."""
    transit = _transit(stack)
    signature = transit.sign("attest", b"slice root")
    newest = max(transit.public_keys("attest").items())[1]
    Ed25519PublicKey.from_public_bytes(newest).verify(signature, b"slice root")
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(newest).verify(signature, b"other root")


def test_custodys_token_reaches_no_other_key(stack: Stack) -> None:
    """A key the policy does not name is refused, whether it exists or not."""
    for key in ("pii", "absent"):
        with pytest.raises(AccessDeniedError):
            make_seed(TransitKeyService(transit=_transit(stack), key=key), SCOPE)
