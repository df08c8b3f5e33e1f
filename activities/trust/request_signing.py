"""The requester's own signature over the canonical request without it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activities.canonical import canonical_text
from activities.trust.names import name_key
from activities.trust.reasons import SENTENCES, Reason
from activities.trust.signatures import (
    REQUEST_NAMESPACE,
    SignatureProblem,
    VerifiedSignature,
    verify_signature,
)
from activities.trust.trust_file import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSigner:
    """Who signed a request, and with which key."""

    person: str
    key_fingerprint: str


def request_text(request: dict[str, Any]) -> str:
    """The text a requester signs: the canonical JSON of the request without its signature."""
    return canonical_text({name: value for name, value in request.items() if name != "signature"})


def request_signer(
    text: str, signature: str, *, trust: Trust, requested_by: str, tenant: str, now: datetime
) -> RequestSigner | SignatureProblem:
    """Who signed the request, or why its signature does not stand.

    `text` is what `request_text` gives; `requested_by`, the name in the request, must be one of the
    signer's own.
    """
    verified = verify_signature(text, signature, namespace=REQUEST_NAMESPACE)
    if not isinstance(verified, VerifiedSignature):
        return verified
    person, key = trust.person_for(verified.public_key), trust.key_for(verified.public_key)
    reason: Reason | None = None
    if person is None or key is None:
        return _problem(Reason.UNKNOWN_KEY)
    if not key.serves(REQUEST_NAMESPACE):
        reason = Reason.KEY_NOT_FOR_THIS
    elif not key.valid_at(now):
        reason = Reason.KEY_NOT_VALID_NOW
    elif person.revoked_by(now):
        reason = Reason.PERSON_REVOKED
    elif not person.serves_tenant(tenant):
        reason = Reason.PERSON_NOT_FOR_TENANT
    elif name_key(requested_by) not in person.name_keys:
        reason = Reason.SIGNER_IS_NOT_REQUESTER
    if reason is not None:
        return _problem(reason)
    return RequestSigner(person=person.name, key_fingerprint=key.fingerprint)


def _problem(reason: Reason) -> SignatureProblem:
    return SignatureProblem(reason=reason, sentence=SENTENCES[reason])
