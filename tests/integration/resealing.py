"""A forger who holds every key of a deployment: rewrites a bundle so that all the rest agrees again.

Pure: the bundle is a kept one, made over to keys of the test's own. What is edited is followed through
digests, statements, proofs, signatures, the audit log, its attested head and the table; a value that
the forger sets against that stays as it was set, so that a forgery breaks one rule and no other.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from activities import merkle
from activities.canonical import canonical, canonical_text, digest, text_digest
from activities.digests import (
    VERDICT_ALGORITHMS,
    adjudication_root,
    verdict_leaf,
    wallet_leaf,
    withholding_root,
)
from activities.evidence import layout
from activities.keys.derivation import derive_wallets
from activities.keys.possession import PossessionContext
from activities.trust.request_signing import request_text
from activities.trust.signatures import REQUEST_NAMESPACE
from tests.integration.builder_rows import SEED
from tests.integration.pages import Pages, Row
from tests.integration.verdict_room import rehashed
from tests.signers import Signer


@dataclass(kw_only=True)
class Dossier(Pages):
    """A bundle to forge."""

    was: dict[str, Any]
    """The members as everything last agreed with them."""

    def copied(self) -> Self:
        """Another one, to forge."""
        return type(self)(
            office=self.office,
            parts=_copy(self.parts),
            subjects=_copy(self.subjects),
            was=_copy(self.was),
        )

    def follow(self, old: str, new: str) -> None:
        """Puts one digest for another wherever it stands."""
        if old and old != new:
            self.parts = json.loads(json.dumps(self.parts).replace(old, new))
            self.subjects = json.loads(json.dumps(self.subjects).replace(old, new))

    def drop(self, name: str, **where: Any) -> None:
        """Takes lines out of a member."""
        gone = self.rows(name, **where)
        assert gone
        self.parts[name] = [row for row in self.parts[name] if row not in gone]

    def untell(self, kind: str, **where: Any) -> None:
        """Takes entries out of the log."""
        gone = self.entries(kind, **where)
        assert gone
        self.parts[layout.AUDIT] = [row for row in self.parts[layout.AUDIT] if row not in gone]

    def forget_attempt(self, row: Row) -> None:
        """Takes an attempt out of its member and of the log."""
        self.drop(layout.APPROVALS, attempt_key=row["attempt_key"])
        kind = "attempt.counted" if row["counted"] else "attempt.refused"
        self.untell(kind, attempt_key=row["attempt_key"])

    def forget_chain(self, chain: str) -> None:
        """Takes a whole shard's chain out of the log, and its end out of the batch's own."""
        self.untell("shard.closed", chain=chain)
        self.parts[layout.AUDIT] = [row for row in self.parts[layout.AUDIT] if row["chain"] != chain]

    def tell(self, kind: str, *, before: str = "batch.ended", **body: Any) -> None:
        """Puts an entry into the batch's own chain, ahead of the first one of a kind."""
        log, at = self.parts[layout.AUDIT], self.entries(before)[0]
        log.insert(log.index(at), {**at, "body": {"kind": kind, **body}})

    def state(self, row: Row, *, by: Signer | None = None, **changes: Any) -> None:
        """Changes what an attempt's statement says and has it signed; the log follows."""
        said = {**self.said(row), **changes}
        self.restate(row, canonical_text(said), by=by or self.signer_of(row))

    def restate(self, row: Row, statement: str, *, by: Signer) -> None:
        """Gives an attempt another text, signed by somebody."""
        entry = next(
            each["body"]
            for each in self.parts[layout.AUDIT]
            if each["body"].get("attempt_key") == row["attempt_key"]
        )
        row |= {"statement": statement, "signature": by.sign(statement)}
        if "statement_sha256" in entry:
            entry["statement_sha256"] = text_digest(statement)
            entry["signature_sha256"] = text_digest(row["signature"])

    def decide(self, like: Row, *, by: Signer, **changes: Any) -> Row:
        """Adds an attempt that counted, like another one and right after it, by another person."""
        key = str(UUID(int=len(self.parts[layout.APPROVALS])))
        log, attempts = self.parts[layout.AUDIT], self.parts[layout.APPROVALS]
        entry = next(each for each in log if each["body"].get("attempt_key") == like["attempt_key"])
        body = {**entry["body"], "attempt_key": key}
        body |= {"kind": "attempt.counted", "reason_code": "counted"}
        log.insert(log.index(entry) + 1, {**entry, "body": body})
        row = {**like, "attempt_key": key, "counted": True, "reason_code": "counted"}
        attempts.insert(attempts.index(like) + 1, row)
        self.state(row, by=by, approver=by.name, nonce=f"nonce-{key}", **changes)
        self.was[layout.APPROVALS].append(dict(row))
        return row

    def reroot_subjects(self) -> None:
        """Leaves and roots of rows and verdicts anew; the plan and the evidence follow."""
        for row in self.subjects:
            if row["row"] is not None:
                row["leaf"] = manifest_leaf(row)
            if row["verdict"] is not None:
                row["verdict_leaf"] = leaf_of_verdict(row)
        for stage, leaf in (("intake", "leaf"), ("screen", "verdict_leaf")):
            leaves = [bytes.fromhex(row[leaf]) for row in self.subjects if row[leaf] is not None]
            self._reroot(stage, leaves)

        self.plan["manifest_root"] = self._composed("intake")
        for name in layout.EVIDENCE:
            if name in self.parts:
                self.parts[name]["verdict_root"] = self._composed("screen")

    def _reroot(self, stage: str, leaves: list[bytes]) -> None:
        for row in self.rows(layout.SLICES, stage=stage):
            start = row["first_position"]
            self.follow(row["root"], merkle.root(leaves[start : start + row["length"]]).hex())

    def _composed(self, stage: str) -> str:
        roots = [bytes.fromhex(row["root"]) for row in self.rows(layout.SLICES, stage=stage)]
        return merkle.compose(roots, total=len(self.subjects)).hex()

    def reroot_wallets(self) -> None:
        """The roots and numbers of derived, verified and activated wallets anew; the log follows."""
        for row in list(self.parts[layout.SLICES]):
            if row["stage"] == "derive" or row["stage"].startswith("wave/"):
                leaves = [_leaf_of(row["stage"], wallet) for wallet in self._within(row)]
                self._recount(row, len(leaves))
                self.follow(row["root"], merkle.root(leaves).hex())

    def _recount(self, of: Row, wallets: int) -> None:
        """A slice of so many wallets, its second derivation, and what the log says of both."""
        place = {name: of[name] for name in ("tranche", "slice_index")}
        told = [self.told("slice.outcome", stage=of["stage"], **place)]
        rows = [self.row(layout.SLICES, stage=of["stage"], **place)]
        if of["stage"] == "derive":
            again = {"checked": wallets, "sampled": wallets}
            rows.append(self.row(layout.SLICES, stage="verify", **place))
            rows[-1]["counts"] = again
            told.append(self.told("range.verified", **place))
            told[-1].update(again)
        else:
            for each in (*rows, *told):
                each["counts"] = {"active": wallets}
        for each in (*rows, *told):
            each["row_count"] = wallets

    def _within(self, part: Row) -> Iterator[Row]:
        late = [row["ordinal"] for row in self.rows(layout.ADJUDICATIONS, tranche=1, decision="clear")]
        for wallet in self.rows(layout.WALLETS, tranche=part["tranche"]):
            ordinal = wallet["ordinal"]
            position = late.index(ordinal) if part["tranche"] else ordinal
            active = part["stage"] == "derive" or f"wave/{wallet['wave']}" == part["stage"]
            if active and 0 <= position - part["first_position"] < part["length"]:
                yield wallet

    def reroot_adjudications(self) -> None:
        """What the evidence says of settled holds anew."""
        for tranche, name in enumerate(layout.EVIDENCE):
            settled = self.rows(layout.ADJUDICATIONS, tranche=tranche)
            root = adjudication_root((row["ordinal"], row["hold_digest"], row["decision"]) for row in settled)
            self.parts[name]["adjudication_root"] = root

    def reroot_withheld(self) -> None:
        """What the log says of whom a list change withheld anew."""
        for entry in self.entries("list.changed"):
            hit = self.rows(layout.WITHHOLDINGS, before_wave=entry["body"]["wave"])
            named = [(row["ordinal"], row["list_id"], row["list_digest"]) for row in hit]
            entry["body"] |= {"withheld": len(hit), "withheld_root": withholding_root(named)}

    # How the rest comes to agree.

    def reseal(self) -> None:
        """Follows what was edited since the last time through the whole bundle."""
        for step in (self._request, self._plan, self._evidence, self._statements, self._proofs):
            step()
        self._sign_slices()
        self.relog()
        self.was = _copy(self.parts)

    def sign_request(self, *, by: Signer) -> None:
        """Puts somebody's signature on the request."""
        unsigned = {name: value for name, value in self.request.items() if name != "signature"}
        self.request["signature"] = by.sign(request_text(unsigned), REQUEST_NAMESPACE)

    def _request(self) -> None:
        was, now = self.was[layout.REQUEST], self.parts[layout.REQUEST]
        if now != was and now.get("signature") and now["signature"] == was.get("signature"):
            self.sign_request(by=self.office.requester)
        if layout.PLAN in self.parts and self.plan["request"] == was:
            self.plan["request"] = _copy(now)
        self.follow(digest(was), digest(now))

    def _plan(self) -> None:
        if layout.PLAN not in self.parts:
            return
        texts = (self.was[layout.POLICY], self.parts[layout.POLICY])
        self.follow(*(text_digest(text) for text in texts))
        self.follow(digest(self.was[layout.PLAN]), self.plan_digest)

    def _evidence(self) -> None:
        for tranche, name in enumerate(layout.EVIDENCE):
            if name in self.parts:
                self.follow(digest(self.was[name]), self.evidence_digest(tranche))

    def _statements(self) -> None:
        before = {row["attempt_key"]: row for row in self.was[layout.APPROVALS]}
        for key in [row["attempt_key"] for row in self.parts[layout.APPROVALS]]:
            was, now = before.get(key), self.row(layout.APPROVALS, attempt_key=key)
            if was and now["statement"] != was["statement"] and now["signature"] == was["signature"]:
                self.restate(now, now["statement"], by=self.signer_of(now))

    def _proofs(self) -> None:
        """Proofs of possession name the plan: another one asks for others."""
        context = self._context(self.parts)
        if context == self._context(self.was):
            return
        for tranche in (0, 1):
            wallets = self.rows(layout.WALLETS, tranche=tranche)
            proven = derive_wallets(
                SEED,
                account=0,
                indexes=sorted({row["ordinal"] for row in wallets}),
                chain_ids=sorted({row["chain"] for row in wallets}),
                context=context,
            )
            proofs = {(each.index, each.chain_id): each.possession.hex() for each in proven}
            for row in wallets:
                row["possession"] = proofs[row["ordinal"], row["chain"]]

    @staticmethod
    def _context(parts: dict[str, Any]) -> PossessionContext:
        table = parts[layout.BUNDLE]
        plan = digest(parts[layout.PLAN]) if layout.PLAN in parts else "0" * 64
        return PossessionContext(deployment=table["deployment"], batch_id=table["batch_id"], plan_digest=plan)

    def _sign_slices(self) -> None:
        made = {row["signature"] for row in self.was[layout.SLICES]}
        for row in self.rows(layout.SLICES, stage="derive"):
            if row["signature"] in made:
                row["signature"] = self.slice_signature(row)

    def relog(self) -> None:
        """Numbers and hashes of the log anew, ends of shards in it, and custody's word on its head."""
        log: list[Row] = self.parts[layout.AUDIT]
        own = f"batch/{self.was[layout.BUNDLE]['batch_id']}"
        chains: dict[str, list[Row]] = {}
        for row in log:
            chains.setdefault(row["chain"], []).append(row)
        for name in sorted(chains, key=lambda chain: chain == own):
            if name == own:
                self._tell_ends(chains, own)
            rehashed(chains[name])
        last = chains[own][-1]
        if self.parts[layout.HEADS] == self.was[layout.HEADS]:
            self.parts[layout.HEADS] = {"heads": [self.head(last)]}
        if self.table["made_at"] == self.was[layout.BUNDLE]["made_at"]:
            self.table["made_at"] = last["recorded_at"]

    def _tell_ends(self, chains: dict[str, list[Row]], own: str) -> None:
        before = {row["chain"]: row["hash"] for row in self.was[layout.AUDIT]}
        for row in chains[own]:
            body = row["body"]
            if body["kind"] == "shard.closed" and body["head"] == before.get(body["chain"]):
                last = chains[body["chain"]][-1] if body["chain"] in chains else {}
                body |= {"seq": last.get("seq", body["seq"]), "head": last.get("hash", body["head"])}


Edit = Callable[[Dossier], object]


def forged(whole: Dossier, target: Path, edit: Edit, *, after: Edit | None = None) -> Path:
    """A bundle with an edit that everything else agrees with, and one that only the table agrees with."""
    own = whole.copied()
    edit(own)
    own.reseal()
    if after is not None:
        after(own)
    return own.write(target)


def manifest_leaf(row: Row) -> str:
    """The leaf of a subject's row under its salt."""
    return hmac.digest(bytes.fromhex(row["salt"]), canonical(row["row"]), hashlib.sha256).hex()


def leaf_of_verdict(row: Row) -> str:
    """The leaf of a subject's verdict."""
    return verdict_leaf(
        ordinal=row["ordinal"],
        verdict=row["verdict"],
        score=float(row["score"]),
        hold_digest=row["hold_digest"] or "",
        algorithm=VERDICT_ALGORITHMS[-1],
    ).hex()


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))  # several times faster than the general way


def _leaf_of(stage: str, wallet: Row) -> bytes:
    told = {name: wallet[name] for name in ("ordinal", "chain", "address")}
    return wallet_leaf(**told, path=wallet["path"]) if stage == "derive" else canonical(told)
