"""The evidence bundle's format, fixed names and limits.

A bundle is one zip: deflate, names below in this order, timestamps 1980-01-01, no comment, no fields or flags
of its own, headers and packed lengths exactly as the directory says. `.json` members
are one RFC 8785 document; `.jsonl` members are one RFC 8785 object a line, each ended by a line feed, in
the order stated. Digests, roots and possession signatures are lower-case hex; attest signatures are base64.

- `request.json`: the request as received. Its digest: SHA-256 of the member.
- `plan.json`: request, manifest_root, subject_count, policy_digest. The plan digest: SHA-256 of the member.
- `policy.toml`: the exact text the batch was planned under.
- `evidence-0.json`, `evidence-1.json` (late tranche, optional): plan_digest, list_digests, verdict_root,
  adjudication_root, counts. The evidence digest: SHA-256 of the member. Verdicts of the public part are
  these counts and root and the `screen` roots in `slices.jsonl`. A batch that ended earlier lacks these,
  and one refused at the door of planning lacks `plan.json` and `policy.toml` too.
- `lists.json`: list_id, digest, applied_in_wave (0: the verdicts'), source, published_on, entry_count.
- `gates.jsonl` by opening: gate, digest, terms, expires_at, outcome (when is in the audit log).
- `approvals.jsonl` by arrival: every attempt, counted or refused: attempt_key, message, statement (exact
  text), signature, counted, reason_code, received_at. A no that came while its gate was open and breaks no
  rule stands whatever `counted` says.
- `slices.jsonl` by (stage, tranche, slice_index): stage, tranche, slice_index, first_position, length,
  row_count, counts, root, signature (custody's, stage `derive` only).
- `adjudications.jsonl` by ordinal: ordinal, hold_digest, decision, tranche.
- `withholdings.jsonl` by ordinal: ordinal, list_id, list_digest, before_wave.
- `waves.json`: wave, tranche, first_position, length, percent, outcome (when is in the audit log).
- `wallets.jsonl` by (ordinal, chain): ordinal, chain, path, address, possession, state, tranche, wave.
- `audit.jsonl` by (chain, seq): chain, seq, recorded_at, body (exact text), prev, hash. The batch's own
  chain up to its attested head, every other chain up to the head chained into it.
- `heads.json`: custody's attestations of the batch's chain: message (exact text), signature.
- `histories.jsonl` by (workflow_id, run_id, event_id): workflow_id, run_id, event_id, event_type,
  payload_digests (SHA-256 of each payload's data, in order).
- `restricted.age`: age-encrypted gzip of JSON lines, see `restricted`. Absent when no auditor has a key.
- `bundle.json`: v, deployment, batch_id, tenant, outcome, made_at (the attested entry's time), members:
  name, sha256, size.

The public part holds no personal data and no subject_id. Everything in it is bound to custody's signatures,
to the approvers' or to the attested log, except `histories.jsonl`. In bundles of before, whose logs do not
tell of them, these are not bound either: source, date and number of entries in `lists.json`, the message
name of an attempt, the signature of a refused one, an attempt's time by less than its entry's few minutes,
where a verified range lies, and which subjects a list change withheld (how many is attested). A whole older
bundle is genuine: only who kept a newer one (`verify --kept`) can tell that the log went on since.
"""

from typing import Final

FORMAT_VERSION: Final = 1

BUNDLE: Final = "bundle.json"
REQUEST: Final = "request.json"
PLAN: Final = "plan.json"
POLICY: Final = "policy.toml"
EVIDENCE: Final = ("evidence-0.json", "evidence-1.json")
LISTS: Final = "lists.json"
GATES: Final = "gates.jsonl"
APPROVALS: Final = "approvals.jsonl"
SLICES: Final = "slices.jsonl"
ADJUDICATIONS: Final = "adjudications.jsonl"
WITHHOLDINGS: Final = "withholdings.jsonl"
WAVES: Final = "waves.json"
WALLETS: Final = "wallets.jsonl"
AUDIT: Final = "audit.jsonl"
HEADS: Final = "heads.json"
HISTORIES: Final = "histories.jsonl"
RESTRICTED: Final = "restricted.age"

MEMBERS: Final = (
    REQUEST,
    PLAN,
    POLICY,
    *EVIDENCE,
    LISTS,
    GATES,
    APPROVALS,
    SLICES,
    ADJUDICATIONS,
    WITHHOLDINGS,
    WAVES,
    WALLETS,
    AUDIT,
    HEADS,
    HISTORIES,
    RESTRICTED,
    BUNDLE,
)
"""Every name a bundle may hold, in its order; the table comes last, because it is written last."""

OPTIONAL: Final = frozenset({PLAN, POLICY, *EVIDENCE, RESTRICTED})
"""Members that a batch may end without."""

MEMBER_BYTES_MAX: Final = 64 * 2**30
"""Largest unpacked member: ten million subjects on twenty chains stay below it."""

KEPT_BYTES_MAX: Final = 2**30
"""Largest unpacked member that is kept in memory; `STREAMED` ones are not."""

STREAMED: Final = frozenset({WALLETS, HISTORIES, RESTRICTED})
"""Members of which little is kept, whatever their size."""

DOCUMENT_BYTES_MAX: Final = 4 * 2**20
"""Largest member that is read whole into memory (`.json` and `.toml`)."""

LINE_BYTES_MAX: Final = 2**20
"""Longest line of a `.jsonl` member: statements and audit bodies are kilobytes."""

ROWS_MAX: Final = 1_000_000
"""Most rows of a member that is kept in memory (gates, approvals, slices, adjudications, withholdings)."""

UNPACK_RATIO_MAX: Final = 200
"""Most bytes a packed byte may become; real members stay below 40, a zip bomb reaches 1,000."""

UNPACK_FLOOR: Final = 2**20
"""Members up to this size are read whatever their ratio: a short repetitive file packs well."""


def bundle_key(batch_id: str) -> str:
    """Where a batch's bundle lies in the object store."""
    return f"batches/{batch_id}/bundle.zip"
