"""The requester's own signature."""

from typing import Any

import pytest

from activities.trust.reasons import Reason
from activities.trust.request_signing import RequestSigner, request_signer, request_text
from activities.trust.trust_file import Trust
from tests.signers import Signer
from tests.trust_room import LEE, LEE_SECOND, NOW, STRANGER, at, person, trust

REQUEST: dict[str, Any] = {"tenant": "acme", "batch_id": "spring-airdrop", "requested_by": LEE.name}
NAMESPACE = "walletworks-request"


def _signer(
    signer: Signer,
    *,
    whom: Trust | None = None,
    name: str = LEE.name,
    tenant: str = "acme",
    namespace: str = NAMESPACE,
) -> RequestSigner | Reason:
    text = request_text(REQUEST)
    result = request_signer(
        text,
        signer.sign(text, namespace),
        trust=whom or trust(),
        requested_by=name,
        tenant=tenant,
        now=NOW,
    )
    return result if isinstance(result, RequestSigner) else result.reason


def test_signed_text_is_the_canonical_request_without_its_signature() -> None:
    """The signature is not part of what it signs, and the order of fields does not matter."""
    reordered = dict(reversed(REQUEST.items()))
    assert request_text({**reordered, "signature": "x"}) == request_text(REQUEST)
    assert "signature" not in request_text({**REQUEST, "signature": "x"})


@pytest.mark.parametrize("key", [LEE, LEE_SECOND])
def test_requester_is_known_by_each_of_their_keys(key: Signer) -> None:
    """The signer's person and key are told."""
    found = trust().key_for(key.public_key)
    assert found is not None
    assert _signer(key) == RequestSigner(person=LEE.name, key_fingerprint=found.fingerprint)


def test_requester_may_use_another_of_their_names() -> None:
    """A person's other names are theirs."""
    whom = trust(person(LEE, extra='also_known_as = ["old-lee@acme.example"]'))
    assert isinstance(_signer(LEE, whom=whom, name="OLD-LEE@acme.example"), RequestSigner)


def test_signature_in_another_name_is_refused() -> None:
    """Nobody signs for somebody else, known or not."""
    for name in ("kim@acme.example", "shop@acme.example", "l\u0435e@acme.example"):
        assert _signer(LEE, name=name) is Reason.SIGNER_IS_NOT_REQUESTER


def test_foreign_key_is_refused() -> None:
    """A key that nobody here holds is not the requester's."""
    assert _signer(STRANGER) is Reason.UNKNOWN_KEY


def test_approval_signature_does_not_sign_a_request() -> None:
    """Each purpose has its own namespace."""
    assert _signer(LEE, namespace="walletworks-approval") is Reason.WRONG_NAMESPACE


def test_requester_of_another_tenant_is_refused() -> None:
    """A person asks only for their tenants."""
    assert _signer(LEE, tenant="globex") is Reason.PERSON_NOT_FOR_TENANT


def test_revoked_requester_is_refused() -> None:
    """Revoked is revoked for requests too."""
    whom = trust(person(LEE, extra=f'revoked_at = "{at(-1)}"'))
    assert _signer(LEE, whom=whom) is Reason.PERSON_REVOKED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('namespaces="walletworks-approval"', Reason.KEY_NOT_FOR_THIS),
        ('valid-before="20260101Z"', Reason.KEY_NOT_VALID_NOW),
    ],
)
def test_limits_on_the_key_are_kept(options: str, reason: Reason) -> None:
    """Purposes and times of the allowed-signers line bind the key."""
    assert _signer(LEE, whom=trust(person(LEE, options=options))) is reason


def test_request_changed_after_signing_is_refused() -> None:
    """Any field changed voids the signature."""
    changed = request_text({**REQUEST, "batch_id": "autumn-airdrop"})
    signature = LEE.sign(request_text(REQUEST), NAMESPACE)
    result = request_signer(
        changed,
        signature,
        trust=trust(),
        requested_by=LEE.name,
        tenant="acme",
        now=NOW,
    )
    assert not isinstance(result, RequestSigner)
    assert result.reason is Reason.BAD_SIGNATURE
