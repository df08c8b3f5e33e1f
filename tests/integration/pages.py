"""A bundle taken apart for a test: documents and lines by member, bodies of the log and subjects read."""

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from activities.canonical import canonical, canonical_text, digest
from activities.digests import head_message, slice_message
from activities.evidence import layout
from tests.integration.office import Office
from tests.integration.tampering import Members, packed, with_table
from tests.signers import Signer

Row = dict[str, Any]


@dataclass(kw_only=True)
class Pages:
    """Its parts, the subjects in its restricted one, and the office whose bundle it is."""

    office: Office
    parts: dict[str, Any]
    subjects: list[Row]

    @property
    def table(self) -> Row:
        """`bundle.json`."""
        table: Row = self.parts[layout.BUNDLE]
        return table

    @property
    def request(self) -> Row:
        """`request.json`."""
        request: Row = self.parts[layout.REQUEST]
        return request

    @property
    def plan(self) -> Row:
        """`plan.json`."""
        plan: Row = self.parts[layout.PLAN]
        return plan

    @property
    def plan_digest(self) -> str:
        """The plan's digest as it stands."""
        return digest(self.parts[layout.PLAN]) if layout.PLAN in self.parts else ""

    @property
    def chain(self) -> str:
        """The batch's own audit chain."""
        return f"batch/{self.request['batch_id']}"

    def evidence_digest(self, tranche: int = 0) -> str:
        """The digest of a tranche's evidence as it stands."""
        return digest(self.parts[layout.EVIDENCE[tranche]])

    def rows(self, name: str, **where: Any) -> list[Row]:
        """The lines of a member in which these fields have these values."""
        return [row for row in self.parts[name] if where.items() <= row.items()]

    def row(self, name: str, **where: Any) -> Row:
        """The first of them, which must be there."""
        return self.rows(name, **where)[0]

    def attempt(self, gate: str, *, counted: bool = True, decision: str = "") -> Row:
        """The first attempt on a gate."""
        for row in self.rows(layout.APPROVALS, counted=counted):
            if self.said(row)["gate"] == gate and decision in ("", self.said(row)["decision"]):
                return row
        raise LookupError(gate)

    @staticmethod
    def said(attempt: Row) -> Row:
        """What an attempt's statement says."""
        said: Row = json.loads(attempt["statement"])
        return said

    def entries(self, kind: str, **where: Any) -> list[Row]:
        """The log's entries of a kind whose body holds this; each with its `body`."""
        wanted = {"kind": kind, **where}.items()
        return [row for row in self.parts[layout.AUDIT] if wanted <= _flat(row["body"]).items()]

    def told(self, kind: str, **where: Any) -> Row:
        """The body of the first of them, which must be there."""
        body: Row = self.entries(kind, **where)[0]["body"]
        return body

    def signer(self, name: str) -> Signer:
        """The key of somebody in the trust file."""
        office = self.office
        known = (office.requester, office.compliance, office.wallets, office.third, office.auditor)
        return next(signer for signer in known if signer.name == name)

    def signer_of(self, row: Row) -> Signer:
        """Whose key an attempt was signed with."""
        if row["reason_code"] == "unknown_key":
            return self.office.stranger
        return self.signer(self.said(row)["approver"])

    def slice_signature(self, row: Row) -> str:
        """Custody's signature on a slice."""
        about = {name: row[name] for name in ("tranche", "slice_index", "first_position", "length")}
        about |= {name: row[name] for name in ("row_count", "root")}
        told = {name: self.table[name] for name in ("deployment", "batch_id")}
        return base64.b64encode(self.office.attest(slice_message(**told, **about))).decode()

    def head(self, row: Row) -> Row:
        """Custody's attestation of an entry."""
        at = {"chain": row["chain"], "seq": row["seq"], "head": row["hash"]}
        told = {name: self.table[name] for name in ("deployment", "batch_id")}
        message = head_message(**told, **at)
        signature = base64.b64encode(self.office.attest(message)).decode()
        return {"message": message.decode(), "signature": signature}

    def write(self, target: Path) -> Path:
        """Puts the bundle together, its table anew."""
        raw: Members = {str(name): self._bytes(name) for name in layout.MEMBERS if name in self.parts}
        raw[layout.BUNDLE] = with_table(raw)
        return packed(raw, target)

    def _bytes(self, name: str) -> bytes:
        value = self.parts[name]
        if name == layout.RESTRICTED:
            return self._restricted()
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict):
            return canonical(value)
        return b"".join(canonical(_spelt(row)) + b"\n" for row in value)

    def _restricted(self) -> bytes:
        lines = b"".join(canonical(row) + b"\n" for row in self.subjects)
        recipient = pyrage.ssh.Recipient.from_str(self.office.auditor.openssh)
        return bytes(pyrage.encrypt(gzip.compress(lines, mtime=0), [recipient]))


def _spelt(row: Row) -> Row:
    return {**row, "body": canonical_text(row["body"])} if "body" in row else row


def _flat(body: Row) -> Row:
    return {name: value for name, value in body.items() if not isinstance(value, dict | list)}
