"""Why an attempt counts or not: stable words for machines, one fixed sentence each for people."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Words that audit entries, messages and tests rely on: added to, never renamed."""

    COUNTED = "counted"
    MALFORMED_STATEMENT = "malformed_statement"
    MALFORMED_SIGNATURE = "malformed_signature"
    UNSUPPORTED_KEY = "unsupported_key"
    WRONG_NAMESPACE = "wrong_namespace"
    BAD_SIGNATURE = "bad_signature"
    TOUCH_MISSING = "touch_missing"
    UNKNOWN_KEY = "unknown_key"
    KEY_NOT_FOR_THIS = "key_not_for_this"
    KEY_NOT_VALID_NOW = "key_not_valid_now"
    PERSON_REVOKED = "person_revoked"
    PERSON_NOT_FOR_TENANT = "person_not_for_tenant"
    APPROVER_IS_NOT_SIGNER = "approver_is_not_signer"
    WRONG_DEPLOYMENT = "wrong_deployment"
    WRONG_TENANT = "wrong_tenant"
    WRONG_BATCH = "wrong_batch"
    GATE_NOT_OPEN = "gate_not_open"
    WRONG_DIGEST = "wrong_digest"
    REQUESTER_MAY_NOT_APPROVE = "requester_may_not_approve"
    REQUESTER_UNRECOGNISABLE = "requester_unrecognisable"
    ROLE_MISSING = "role_missing"
    ISSUED_IN_FUTURE = "issued_in_future"
    EXPIRED = "expired"
    VALIDITY_TOO_LONG = "validity_too_long"
    NONCE_ALREADY_USED = "nonce_already_used"
    SIGNER_IS_NOT_REQUESTER = "signer_is_not_requester"


SENTENCES: Final[dict[Reason, str]] = {
    Reason.COUNTED: "The decision counts.",
    Reason.MALFORMED_STATEMENT: "The statement is not valid.",
    Reason.MALFORMED_SIGNATURE: "The signature is not a well-formed SSH signature.",
    Reason.UNSUPPORTED_KEY: "The signature was made with a kind or size of key that is not accepted.",
    Reason.WRONG_NAMESPACE: "The signature was made for another purpose (its namespace differs).",
    Reason.BAD_SIGNATURE: "The signature does not fit this exact text.",
    Reason.TOUCH_MISSING: "The security key was not touched when it signed.",
    Reason.UNKNOWN_KEY: "No person of this deployment holds the signing key.",
    Reason.KEY_NOT_FOR_THIS: "The signing key is not allowed for this kind of signature.",
    Reason.KEY_NOT_VALID_NOW: "The signing key is not valid at this time.",
    Reason.PERSON_REVOKED: "The person has been revoked.",
    Reason.PERSON_NOT_FOR_TENANT: "The person may not act for this tenant.",
    Reason.APPROVER_IS_NOT_SIGNER: "The approver named is not the person whose key signed.",
    Reason.WRONG_DEPLOYMENT: "The statement is for another deployment.",
    Reason.WRONG_TENANT: "The statement is for another tenant.",
    Reason.WRONG_BATCH: "The statement is for another batch.",
    Reason.GATE_NOT_OPEN: "The gate named is not open.",
    Reason.WRONG_DIGEST: "The statement is about another digest than the one that is open.",
    Reason.REQUESTER_MAY_NOT_APPROVE: "Whoever requested the batch may not decide on it.",
    Reason.REQUESTER_UNRECOGNISABLE: "The requester's name has letters that could hide who it is.",
    Reason.ROLE_MISSING: "The person has none of the roles this gate asks for.",
    Reason.ISSUED_IN_FUTURE: "The statement was issued in the future.",
    Reason.EXPIRED: "The statement has expired.",
    Reason.VALIDITY_TOO_LONG: "The statement is valid for longer than the policy allows.",
    Reason.NONCE_ALREADY_USED: "The statement's nonce has been used before.",
    Reason.SIGNER_IS_NOT_REQUESTER: "The request was signed by someone else than it names.",
}


class SignatureRefusedError(Exception):
    """Carries a reason up to this package's door, where it becomes a value; never leaves the package."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
