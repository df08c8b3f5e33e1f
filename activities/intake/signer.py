"""The requester's signature on a request, judged against the mounted trust file."""

from datetime import UTC, datetime
from typing import Any

from activities.contracts.request import BatchRequest
from activities.failures import InvalidRequestError
from activities.trust.request_signing import RequestSigner, request_signer, request_text
from activities.trust.trust_file import Trust


def verified_signer(received: dict[str, Any], request: BatchRequest, trust: Trust) -> RequestSigner | None:
    """Gives who signed the request as received, or None for an unsigned one.

    Raises: InvalidRequestError when there is a signature that does not stand.
    """
    if request.signature is None:
        return None
    signer = request_signer(
        request_text(received),
        request.signature,
        trust=trust,
        requested_by=request.requested_by,
        tenant=request.tenant,
        now=datetime.now(tz=UTC),
    )
    if isinstance(signer, RequestSigner):
        return signer
    raise InvalidRequestError(f"signature: {signer.sentence}")
