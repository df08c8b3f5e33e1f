"""Custody's signatures over what it wrote: roots of slices and heads of audit chains."""

import base64
from dataclasses import dataclass

from activities.clients.transit import Transit
from activities.contracts.shapes import SliceStep
from activities.digests import head_message, slice_message
from activities.store.audit import AuditHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A canonical message and its signature in base64."""

    message: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attester:
    """Signs for one deployment with the key service's key `attest`."""

    transit: Transit
    deployment: str
    key: str = "attest"

    def sign_slice(self, step: SliceStep, *, row_count: int, root: str) -> str:
        """Gives the signature over a slice's addresses."""
        message = slice_message(
            deployment=self.deployment,
            batch_id=step.batch_id,
            tranche=step.tranche,
            slice_index=step.slice_index,
            first_position=step.offset,
            length=step.length,
            row_count=row_count,
            root=root,
        )
        return self._sign(message).signature

    def sign_head(self, *, batch_id: str, chain: str, head: AuditHead) -> Signed:
        """Gives the signed statement of where a chain stands."""
        message = head_message(
            deployment=self.deployment, batch_id=batch_id, chain=chain, seq=head.seq, head=head.hash.hex()
        )
        return self._sign(message)

    def _sign(self, message: bytes) -> Signed:
        signature = self.transit.sign(self.key, message)
        return Signed(message=message.decode(), signature=base64.b64encode(signature).decode("ascii"))
