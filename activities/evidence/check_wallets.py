"""Wallets: custody's signature over every address, every path, every proof of possession, every state.

One pass over the stream; what is kept per subject is one address, to see that no two share it.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from activities import merkle
from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from activities.digests import wallet_leaf
from activities.evidence import layout
from activities.evidence.attested import signed_by_one, signed_slice
from activities.evidence.check_evidence import COMPLETED, eligible
from activities.evidence.facts import AuditFacts, BundleFacts
from activities.evidence.report import CheckFailedError, CheckSkippedError, require
from activities.evidence.rows import SliceRow, WalletRow
from activities.keys.chains import CHAINS
from activities.keys.possession import PossessionContext, possession_holds

_GOING_ON: Final = COMPLETED | {""}
"""Outcomes under which wallets may be active; every other one undoes or freezes."""

_UNVERIFIED: Final = frozenset({"derived", "revoked"})
"""States in which a wallet of a batch that is not completed may be without a second derivation."""

_STAGES: Final = frozenset(
    {("intake", 0), ("screen", 0), ("derive", 0), ("derive", 1), ("verify", 0), ("verify", 1)}
)
"""The stages with the tranches they are worked for; each wave is one more."""

_DERIVED: Final = (
    "a wallet belongs to no slice that custody signed",
    "the wallets of a slice differ from the root custody signed",
)
_VERIFIED: Final = (
    "a wallet is in no range that was verified",
    "the wallets of a verified range differ from its root in the audit log",
)
_ACTIVATED: Final = (
    "a wallet is active outside of every activated slice",
    "the activated wallets of a slice differ from its root in the audit log",
)


class _SliceRoots:
    """Rebuilds the slices of one stage and tranche from the wallets as they pass."""

    def __init__(self, slices: list[SliceRow], sentences: tuple[str, str]) -> None:
        self._outside, self._differs = sentences
        self._waiting = deque(sorted(slices, key=lambda row: row.first_position))
        self._leaves: list[bytes] = []

    def take(self, position: int, leaf: bytes, *, needed: bool = True) -> None:
        """Adds one wallet at its position; one that needs no slice may be outside of all."""
        while self._waiting and position >= self._waiting[0].first_position + self._waiting[0].length:
            self._end_slice()
        if self._waiting and position >= self._waiting[0].first_position:
            self._leaves.append(leaf)
        else:
            require(not needed, self._outside)

    def _end_slice(self) -> None:
        """Compares the current slice with its leaves and goes on to the next."""
        row = self._waiting.popleft()
        same = len(self._leaves) == row.row_count and merkle.root(self._leaves).hex() == row.root
        require(same, self._differs)
        self._leaves = []

    def end(self) -> None:
        """Compares what is left."""
        while self._waiting:
            self._end_slice()


class WalletWalk:
    """Walks the wallets once; afterwards `counts` says what there was."""

    def __init__(self, facts: BundleFacts) -> None:
        self._facts = facts
        self._roots, self._verified = (
            {
                tranche: _SliceRoots(facts.stage(stage, tranche=tranche), sentences)
                for tranche in (MAIN_TRANCHE, LATE_TRANCHE)
            }
            for stage, sentences in (("derive", _DERIVED), ("verify", _VERIFIED))
        )
        self._wave_roots = {
            row.wave: _SliceRoots(facts.stage(f"wave/{row.wave}", tranche=row.tranche), _ACTIVATED)
            for row in facts.waves.values()
        }
        late = (row for row in facts.adjudications.values() if _is_late(row.tranche, row.decision))
        self._ranks = {row.ordinal: rank for rank, row in enumerate(late)}
        self._families: dict[str, dict[str, int]] = {}
        self._accounts: dict[int, str] = {}
        self._asked = facts.chains
        self.states: Counter[str] = Counter()
        self.subjects: Counter[int] = Counter()
        self.ordinals = array("q")
        self.total = 0

    @cached_property
    def _context(self) -> PossessionContext:
        """What proofs are bound to; made with the first of them, for it raises for names of another form."""
        return PossessionContext(
            deployment=self._facts.table.deployment,
            batch_id=self._facts.table.batch_id,
            plan_digest=self._facts.plan_digest,
        )

    def run(self) -> str:
        """Checks every wallet by itself and the slices they make up."""
        for subject in self._subjects():
            self._require_subject(subject)
        for roots in (*self._roots.values(), *self._verified.values(), *self._wave_roots.values()):
            roots.end()
        return f"{self.total} wallets: paths, roots and proofs of possession recomputed"

    def _subjects(self) -> Iterator[list[WalletRow]]:
        """The wallets of each subject together."""
        subject: list[WalletRow] = []
        for row in wallet_rows(self._facts):
            if subject and row.ordinal != subject[-1].ordinal:
                require(row.ordinal > subject[-1].ordinal, "the wallets are not in their order")
                yield subject
                subject = []
            subject.append(row)
        if subject:
            yield subject

    def _require_subject(self, subject: list[WalletRow]) -> None:
        first = subject[0]
        require([row.chain for row in subject] == self._asked, "a subject lacks a wallet or has one twice")
        require(len({row.tranche for row in subject}) == 1, "a subject's wallets are of two tranches")
        subjects = self._facts.plan.subject_count if self._facts.plan else 0
        require(first.ordinal < subjects, "a wallet is of a subject that the plan does not count")
        position = self._position(first)
        self.subjects[first.tranche] += 1
        self.ordinals.append(first.ordinal)
        for row in subject:
            self._require_wallet(row, position)
            leaf = wallet_leaf(ordinal=row.ordinal, chain=row.chain, path=row.path, address=row.address)
            self._roots[row.tranche].take(position, leaf)
            needed = row.state not in _UNVERIFIED or self._facts.table.outcome in COMPLETED
            self._verified[row.tranche].take(position, leaf, needed=needed)
        self._require_own_addresses(subject)

    def _position(self, row: WalletRow) -> int:
        decided = self._facts.adjudications.get(row.ordinal)
        if row.tranche == LATE_TRANCHE:
            require(row.ordinal in self._ranks, "a late wallet's subject was not cleared by people")
            return self._ranks[row.ordinal]
        cleared = decided is None or (decided.decision == "clear" and decided.tranche == MAIN_TRANCHE)
        require(cleared, "a wallet's subject was held and not cleared in time")
        return row.ordinal

    def _require_wallet(self, row: WalletRow, position: int) -> None:
        chain = CHAINS[row.chain]
        account = self._accounts.setdefault(chain.coin_type, row.path.split("/")[3].removesuffix("'"))
        path = chain.path_template.format(coin=chain.coin_type, account=account, index=row.ordinal)
        require(row.path == path, "a wallet's path is not the chain registry's for its subject")
        held = possession_holds(
            self._context,
            chain=chain,
            path=row.path,
            address=row.address,
            signature=bytes.fromhex(row.possession),
        )
        require(held, "a proof of possession does not belong to its address")
        self._require_state(row, position)
        self.states[row.state] += 1
        self.total += 1

    def _require_state(self, row: WalletRow, position: int) -> None:
        activated = row.state in {"active", "frozen"}
        require(activated == (row.wave is not None), "a wallet's state does not fit its wave")
        if row.wave is None:
            return
        wave = self._facts.waves.get(row.wave)
        within = (
            wave is not None
            and wave.tranche == row.tranche
            and 0 <= position - wave.first_position < wave.length
        )
        require(within, "a wallet is active in a wave that does not hold its position")
        withheld = row.ordinal in self._facts.withholdings
        require(not withheld, "a withheld subject's wallet was activated")
        self._wave_roots[row.wave].take(position, activated_leaf(row))

    def _require_own_addresses(self, subject: list[WalletRow]) -> None:
        """Chains of one family share a subject's address; no two subjects share any."""
        own: dict[str, str] = {}
        for row in subject:
            family = CHAINS[row.chain].family
            shared = own.setdefault(family, row.address)
            require(shared == row.address, "a subject has two addresses in one family of chains")
        for family, address in own.items():
            seen = self._families.setdefault(family, {})
            owner = seen.setdefault(address, subject[0].ordinal)
            require(owner == subject[0].ordinal, "two subjects share an address")


def check_signatures(facts: BundleFacts) -> str:
    """Custody signed every slice of addresses with a pinned key."""
    derived = [row for row in facts.slices if row.stage == "derive"]
    if not derived:
        raise CheckSkippedError("no addresses were derived")
    if facts.trust is None:
        raise CheckSkippedError("custody's keys are not pinned")
    for row in derived:
        message = signed_slice(row, deployment=facts.table.deployment, batch_id=facts.table.batch_id)
        signed = signed_by_one(facts.trust.attest_keys, message, row.signature or "")
        require(signed, "no pinned key signed a slice of addresses")
    return f"{len(derived)} slices of addresses are signed by custody"


def check_states(facts: BundleFacts, found: AuditFacts, walk: WalletWalk) -> str:
    """States and numbers fit the waves, the evidence, the audit log and the outcome."""
    for kind, undone in (("undo.activation", "frozen"), ("undo.derivation", "revoked")):
        moved = sum(entry.facts.get(undone, 0) for entry in found.of_kind(kind))
        require(moved == walk.states[undone], f"the audit log tells of other {undone} wallets")
    waves = {(f"wave/{wave.wave}", wave.tranche) for wave in facts.waves.values()}
    stages = {(row.stage, row.tranche) for row in facts.slices}
    require(stages <= _STAGES | waves, "a slice is of a stage or a wave that the batch does not have")
    outcome = facts.table.outcome
    if outcome not in _GOING_ON:
        require(not walk.states["active"], "wallets are active although the batch was undone")
    for tranche in (MAIN_TRANCHE, LATE_TRANCHE):
        most, count = eligible(facts, tranche), walk.subjects[tranche]
        require(count <= most, "others than the eligible subjects have wallets")
        require(count == most or outcome not in COMPLETED, "an eligible subject has no wallets")
    if outcome == "completed":
        withheld = len(facts.withholdings) * len(facts.chains)
        idle = walk.total - walk.states["active"]
        require(idle <= withheld, "the batch is completed and wallets are not active")
    told = ", ".join(f"{count} {state}" for state, count in sorted(walk.states.items())) or "no wallets"
    return f"states fit waves, evidence and outcome: {told}"


def wallet_rows(facts: BundleFacts) -> Iterator[WalletRow]:
    """The wallets one by one; each line must be spelt exactly as its values are."""
    for line in facts.reader.lines(layout.WALLETS):
        try:
            row = WalletRow.model_validate_json(line)
        except ValueError:
            raise CheckFailedError("wallets.jsonl does not have the published shape") from None
        require(wallet_line(row) == line, "wallets.jsonl is not canonical JSON")
        require(row.chain in CHAINS, "a wallet is on a chain that is not in the registry")
        yield row


def wallet_line(row: WalletRow) -> bytes:
    """The canonical JSON of a wallet: its texts need no escapes, which makes this ten times faster."""
    wave = "null" if row.wave is None else row.wave
    return (
        f'{{"address":"{row.address}","chain":"{row.chain}","ordinal":{row.ordinal},"path":"{row.path}",'
        f'"possession":"{row.possession}","state":"{row.state}","tranche":{row.tranche},"wave":{wave}}}'
    ).encode("ascii")


def activated_leaf(row: WalletRow) -> bytes:
    """The canonical JSON that the roots of activated slices are over."""
    return f'{{"address":"{row.address}","chain":"{row.chain}","ordinal":{row.ordinal}}}'.encode("ascii")


def _is_late(tranche: int | None, decision: str) -> bool:
    return tranche == LATE_TRANCHE and decision == "clear"
