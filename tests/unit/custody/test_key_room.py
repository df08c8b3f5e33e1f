"""The key room: makes seeds, derives wallets, and lets no secret out by any door."""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import CancelledError

from activities.custody.door import key_room_door
from activities.custody.key_room import derive_slice, make_seed
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed, opened, seal
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    RateLimitedError,
    SealingIncompleteError,
    ServiceUnavailableError,
)
from activities.keys.chains import CHAINS
from activities.keys.possession import PossessionContext, ProvenAddress, possession_holds
from tests.unit.custody.local_key_service import LocalKeyService
from tests.unit.keys.second_library import other_addresses, other_seed

SCOPE = SealScope(tenant="acme", keyring_id="k-1", purpose="wallets")
CONTEXT = PossessionContext(deployment="acme-prod", batch_id="spring-airdrop", plan_digest="ab" * 32)
CANARY = "abandon abandon abandon canary 5eb00bbddcf069084889a8ab9155568165f5c453"

FAILURES: list[tuple[Callable[[], Exception], type[Exception]]] = [
    (lambda: ValueError(CANARY), SealingIncompleteError),
    (lambda: KeyError(CANARY), SealingIncompleteError),
    (lambda: SealingIncompleteError(CANARY), SealingIncompleteError),
    (lambda: ServiceUnavailableError(CANARY), ServiceUnavailableError),
    (lambda: RateLimitedError(CANARY, retry_after=timedelta(seconds=3)), RateLimitedError),
    (lambda: AccessDeniedError(CANARY), AccessDeniedError),
    (lambda: IntegrityError(CANARY, CANARY), IntegrityError),
    (lambda: CancelledError(CANARY), CancelledError),
]


def _everything_told(error: BaseException) -> str:
    """All text that a log or Temporal's failure converter could show of an error."""
    wire = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), wire)
    return "\n".join([*traceback.format_exception(error), repr(error), repr(error.args), str(wire)])


def _assert_nothing_inside_is_told(error: BaseException, secret: str) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert names[-1] == "through_the_door"
    assert secret not in _everything_told(error)


@key_room_door("Nothing was done")
def _room(fail: Callable[[], Exception]) -> None:
    secrets_by_name: dict[str, str] = {}
    try:
        secrets_by_name[CANARY]
    except LookupError as cause:
        raise fail() from cause


@pytest.mark.parametrize(("fail", "expected"), FAILURES)
def test_nothing_of_an_error_inside_comes_out(
    fail: Callable[[], Exception], expected: type[Exception]
) -> None:
    """Type and fixed sentence leave; text, details, cause, context and frames stay inside."""
    with pytest.raises(expected) as raised:
        _room(fail)
    _assert_nothing_inside_is_told(raised.value, CANARY)


@dataclass(slots=True, kw_only=True)
class _LeakyKeys(LocalKeyService):
    """A key service whose errors repeat the key that it was about to give."""

    told: list[str]

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        data_key = LocalKeyService.unwrap(self, wrapped, context)
        self.told.append(data_key.hex())
        raise ValueError(data_key.hex())


def test_a_key_services_talkative_error_stays_inside() -> None:
    """A data key in the text of a foreign error does not leave with either function."""
    keys = _LeakyKeys(told=[])
    sealed = seal(keys, os.urandom(32), SCOPE)
    for use in (lambda: make_seed(keys, SCOPE), lambda: _derive(keys, sealed, [0])):
        with pytest.raises(SealingIncompleteError) as raised:
            use()
        _assert_nothing_inside_is_told(raised.value, keys.told[-1])


def test_a_made_seed_opens_to_fresh_entropy() -> None:
    """Two seeds of one scope are sealed apart and hold different entropy."""
    keys = LocalKeyService()
    found = []
    for _ in range(2):
        sealed = make_seed(keys, SCOPE)
        with opened(keys, sealed, SCOPE) as entropy:
            found.append(bytes(entropy))
    assert len(found[0]) == 32
    assert found[0] != found[1]


@dataclass(slots=True, kw_only=True)
class _ForgetfulKeys(LocalKeyService):
    """A key service that unwraps to another key than it wrapped."""

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        del wrapped, context
        return b"\x11" * 32


def test_a_seed_that_does_not_read_back_is_not_made() -> None:
    """What cannot be opened right after sealing is refused before anybody stores it."""
    with pytest.raises(IntegrityError):
        make_seed(_ForgetfulKeys(), SCOPE)


@dataclass(slots=True, kw_only=True)
class _DeadSource(LocalKeyService):
    """A key service whose generator gives zeros."""

    def random(self, count: int) -> bytes:
        return bytes(count)


def test_a_dead_source_makes_no_seed() -> None:
    """Zeros from the key service stop the making of a seed, whatever the operating system gives."""
    with pytest.raises(SealingIncompleteError):
        make_seed(_DeadSource(), SCOPE)


def _derive(keys: LocalKeyService, sealed: SealedSeed, indexes: list[int]) -> list[ProvenAddress]:
    return derive_slice(
        keys,
        sealed,
        SCOPE,
        account=0,
        indexes=indexes,
        chain_ids=["ethereum", "polygon"],
        possession=CONTEXT,
    )


def test_a_slice_gives_the_addresses_of_the_sealed_seed() -> None:
    """Zero entropy, whose mnemonic is published, gives its published addresses with valid proofs."""
    keys = LocalKeyService()
    sealed = seal(keys, bytes(32), SCOPE)
    wallets = _derive(keys, sealed, [0, 7])
    expected = other_addresses(other_seed(bytes(32)), 0, [0, 7])
    assert [w.address for w in wallets] == [expected[0], expected[0], expected[1], expected[1]]
    for wallet in wallets:
        assert possession_holds(
            CONTEXT,
            chain=CHAINS[wallet.chain_id],
            path=wallet.path,
            address=wallet.address,
            signature=wallet.possession,
        )


def test_a_slice_of_another_scope_is_refused() -> None:
    """A seed sealed for another keyring derives nothing here."""
    keys = LocalKeyService()
    sealed = seal(keys, bytes(32), SealScope(tenant="acme", keyring_id="k-2", purpose="wallets"))
    with pytest.raises(IntegrityError):
        _derive(keys, sealed, [0])


def test_what_leaves_the_room_shows_no_secret() -> None:
    """The representations of all that is returned hold neither entropy nor seed."""
    keys = LocalKeyService()
    sealed = make_seed(keys, SCOPE)
    with opened(keys, sealed, SCOPE) as entropy:
        secret = bytes(entropy)
    shown = repr((sealed, _derive(keys, sealed, [0])))
    for hidden in (secret, other_seed(secret)):
        assert hidden.hex() not in shown
        assert repr(hidden)[2:-1] not in shown
