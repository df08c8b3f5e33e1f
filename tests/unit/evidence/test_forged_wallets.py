"""Wallets forged by somebody with every key: each breaks one rule, and its check says which."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from activities.evidence import layout
from activities.evidence.verify import verify_bundle
from activities.keys.chains import CHAINS
from activities.keys.child_keys import child_points
from activities.keys.derivation import derive_wallets
from activities.keys.derivation_path import DerivationPath
from activities.keys.extended_key import ExtendedKey
from activities.keys.possession import PossessionContext, possession_message, sign_eip191
from tests.integration import other_ways
from tests.integration.builder_rows import SEED
from tests.integration.forgeries import Forgery, failures, require_refused
from tests.integration.resealing import Dossier, Edit, forged
from tests.integration.tampering import replaced, rewritten

OTHER = "ab" * 32

UNSIGNED = "a wallet belongs to no slice that custody signed"
OTHERS_SIGNED = "the wallets of a slice differ from the root custody signed"
UNVERIFIED = "a wallet is in no range that was verified"
OTHERS_VERIFIED = "the wallets of a verified range differ from its root in the audit log"
NOT_ACTIVATED = "a wallet is active outside of every activated slice"
OTHERS_ACTIVATED = "the activated wallets of a slice differ from its root in the audit log"
NO_SUBJECTS_CHAINS = "a subject lacks a wallet or has one twice"
NOBODYS = "a wallet is of a subject that the plan does not count"
NOT_ITS_PATH = "a wallet's path is not the chain registry's for its subject"
NOT_ITS_PROOF = "a proof of possession does not belong to its address"
NOT_ITS_WAVE = "a wallet's state does not fit its wave"
NOT_THAT_WAVE = "a wallet is active in a wave that does not hold its position"
NOT_CLEARED = "a wallet's subject was held and not cleared in time"
NOT_CLEARED_LATE = "a late wallet's subject was not cleared by people"


def _wallets(ordinal: int, **changes: Any) -> Edit:
    """A subject's wallets with other values; what slices say of them is left as it was."""

    def edit(made: Dossier) -> None:
        for row in made.rows(layout.WALLETS, ordinal=ordinal):
            row.update(changes)

    return edit


def _of_nobody(made: Dossier) -> None:
    for row in made.rows(layout.WALLETS, ordinal=11):
        row["ordinal"] = 12


def _one_wallet(ordinal: int, **changes: Any) -> Edit:
    return lambda made: made.row(layout.WALLETS, ordinal=ordinal).update(changes)


def _slice(stage: str, **changes: Any) -> Edit:
    """A slice of the main tranche otherwise than it was, and the log tells of it so."""

    def edit(made: Dossier) -> None:
        made.row(layout.SLICES, stage=stage, tranche=0).update(changes)
        again = stage == "verify"
        where = {"tranche": 0} if again else {"tranche": 0, "stage": stage}
        said = made.told("range.verified" if again else "slice.outcome", **where)
        said |= {name: value for name, value in changes.items() if name in said}

    return edit


def _all(*edits: Edit) -> Edit:
    def edit(made: Dossier) -> None:
        for each in edits:
            each(made)

    return edit


def _reroot(made: Dossier) -> None:
    made.reroot_wallets()


def _root_of_its_own(stage: str) -> Edit:
    """Has a slice's root followed apart from that of another slice over the same wallets."""
    return _slice(stage, root="cd" * 32)


def _cut_off(stage: str, *, length: int, count: int) -> Edit:
    return _all(_root_of_its_own(stage), _slice(stage, length=length, row_count=count), _reroot)


def _last_not_ready(made: Dossier) -> None:
    """The last subject's addresses were not derived a second time, and all else is as if they had been."""
    _all(_wallets(11, state="derived", wave=None), _slice("wave/2", row_count=10))(made)
    whole = made.row(layout.SLICES, stage="derive", tranche=0)["root"]
    _root_of_its_own("derive")(made)
    made.row(layout.SLICES, stage="derive", tranche=0).update(length=11)
    made.reroot_wallets()
    shorter = made.row(layout.SLICES, stage="derive", tranche=0)["root"]
    made.row(layout.SLICES, stage="derive", tranche=0).update(length=12)
    _slice("derive", root=whole)(made)
    _slice("verify", root=shorter, length=11, row_count=16)(made)


def _rolled_back_unverified(made: Dossier) -> None:
    other_ways.rolled_back(made)
    made.drop(layout.SLICES, stage="verify", tranche=1)
    made.untell("range.verified", tranche=1)


def _swapped_subjects(made: Dossier) -> None:
    rows = made.parts[layout.WALLETS]
    made.parts[layout.WALLETS] = rows[2:4] + rows[:2] + rows[4:]


def _context(made: Dossier) -> PossessionContext:
    return PossessionContext(
        deployment=made.table["deployment"], batch_id=made.table["batch_id"], plan_digest=made.plan_digest
    )


def _of_another_seed(made: Dossier) -> None:
    """One of a subject's two wallets has another key, which is proven to be held."""
    row = made.row(layout.WALLETS, ordinal=0)
    (proven,) = derive_wallets(
        bytes(64), account=0, indexes=[0], chain_ids=[row["chain"]], context=_context(made)
    )
    row |= {"address": proven.address, "possession": proven.possession.hex()}
    made.reroot_wallets()


def _of_one_key(made: Dossier) -> None:
    """The second subject's wallets are the first one's, whose key signs for both."""
    address = made.row(layout.WALLETS, ordinal=0)["address"]
    above = DerivationPath(steps=CHAINS["bsc"].path(account=0, index=0).steps[:-1])
    parent = ExtendedKey.from_seed(SEED).descend(above)
    with parent.slot() as slot:
        for _ in child_points(slot, parent, [0]):
            for row in made.rows(layout.WALLETS, ordinal=1):
                about = {"chain_id": row["chain"], "path": row["path"], "address": address}
                proof = sign_eip191(slot, possession_message(_context(made), **about))
                row |= {"address": address, "possession": proof.hex()}
    made.reroot_wallets()


def _withheld_activated(made: Dossier) -> None:
    _all(
        _wallets(9, state="active", wave=2),
        _slice("wave/2", row_count=14, counts={"active": 14}),
        _reroot,
    )(made)


def _adjudicated(ordinal: int, **changes: Any) -> Edit:
    return lambda made: made.row(layout.ADJUDICATIONS, ordinal=ordinal).update(changes)


def _nothing(_: Dossier) -> None:
    pass


def _forgeries(check: str, *rows: tuple[str, str, Edit, tuple[str, ...]]) -> dict[str, Forgery]:
    return {
        name: Forgery(check=check, sentence=sentence, edit=edit, besides=frozenset(besides))
        for name, sentence, edit, besides in rows
    }


SLICES = _forgeries(
    "wallets",
    ("signed from the second on", UNSIGNED, _slice("derive", first_position=1, length=11), ()),
    ("signed but for the last", UNSIGNED, _cut_off("derive", length=11, count=16), ()),
    ("another root signed", OTHERS_SIGNED, _slice("derive", root=OTHER), ()),
    ("another number signed", OTHERS_SIGNED, _slice("derive", row_count=17), ()),
    ("verified from the second on", UNVERIFIED, _slice("verify", first_position=1, length=11), ()),
    ("verified but for one not ready", UNVERIFIED, _last_not_ready, ()),
    ("frozen and never verified", UNVERIFIED, _rolled_back_unverified, ()),
    ("another root verified", OTHERS_VERIFIED, _slice("verify", root=OTHER), ()),
    ("another number verified", OTHERS_VERIFIED, _slice("verify", row_count=17), ()),
    ("activated from the second on", NOT_ACTIVATED, _slice("wave/1", first_position=1, length=1), ()),
    ("activated but for the last", NOT_ACTIVATED, _cut_off("wave/1", length=1, count=2), ()),
    ("another root activated", OTHERS_ACTIVATED, _slice("wave/1", root=OTHER), ()),
    ("another number activated", OTHERS_ACTIVATED, _slice("wave/1", row_count=5), ()),
)

SUBJECTS = _forgeries(
    "wallets",
    ("subjects swapped", "the wallets are not in their order", _swapped_subjects, ()),
    ("a wallet too few", NO_SUBJECTS_CHAINS, lambda made: made.parts[layout.WALLETS].pop(), ()),
    ("a wallet twice", NO_SUBJECTS_CHAINS, _one_wallet(3, chain="ethereum"), ()),
    ("of two tranches", "a subject's wallets are of two tranches", _one_wallet(0, tranche=1), ()),
    ("of nobody", NOBODYS, _of_nobody, ()),
    ("late and never held", NOT_CLEARED_LATE, _wallets(6, tranche=1), ()),
    ("late and refused", NOT_CLEARED_LATE, _adjudicated(5, decision="refuse"), ("evidence", "holds")),
    ("cleared late", NOT_CLEARED, _adjudicated(2, tranche=1), ("evidence",)),
    ("refused in time", NOT_CLEARED, _adjudicated(2, decision="refuse"), ("evidence", "holds")),
    (
        "another key",
        "a subject has two addresses in one family of chains",
        _of_another_seed,
        (),
    ),
    ("one key for two", "two subjects share an address", _of_one_key, ()),
)

WALLETS = _forgeries(
    "wallets",
    ("of another index", NOT_ITS_PATH, _one_wallet(0, path="m/44'/60'/0'/0/99"), ()),
    ("of another account", NOT_ITS_PATH, _wallets(3, path="m/44'/60'/1'/0/3"), ()),
    ("active in no wave", NOT_ITS_WAVE, _wallets(11, wave=None), ()),
    ("frozen in no wave", NOT_ITS_WAVE, _wallets(9, state="frozen"), ()),
    ("ready in a wave", NOT_ITS_WAVE, _wallets(9, wave=2), ()),
    ("in a wave that never was", NOT_THAT_WAVE, _wallets(0, wave=9), ()),
    ("in the wave after its own", NOT_THAT_WAVE, _wallets(0, wave=2), ()),
    ("in the wave before its own", NOT_THAT_WAVE, _wallets(2, wave=1), ()),
    ("in the late wave", NOT_THAT_WAVE, _wallets(0, wave=3), ()),
    ("withheld and active", "a withheld subject's wallet was activated", _withheld_activated, ()),
    (
        "withheld and frozen",
        "a withheld subject's wallet was activated",
        _all(other_ways.rolled_back, _wallets(9, state="frozen", wave=2)),
        (),
    ),
    (
        "on no chain",
        "a wallet is on a chain that is not in the registry",
        _one_wallet(0, chain="nowhere"),
        (),
    ),
    (
        "in no state",
        "wallets.jsonl does not have the published shape",
        _one_wallet(0, state="lost"),
        (),
    ),
)


PROOFS = _forgeries(
    "wallets",
    ("an address of others", NOT_ITS_PROOF, _wallets(0, address="0x" + "ab" * 20), ()),
    ("a proof that is none", NOT_ITS_PROOF, _one_wallet(0, possession="ab"), ()),
)


def _undone(kind: str, **changes: int) -> Edit:
    return _all(other_ways.rolled_back, lambda made: made.told(kind).update(changes))


def _thawed(made: Dossier) -> None:
    _undone("undo.activation", frozen=0)(made)
    for row in made.rows(layout.WALLETS, state="frozen"):
        row["state"] = "active"


def _of_a_wave_that_never_was(stage: str, tranche: int, made: Dossier) -> None:
    row = {**made.row(layout.SLICES, stage="wave/3"), "stage": stage, "tranche": tranche}
    made.parts[layout.SLICES].append(row)
    made.parts[layout.SLICES].sort(key=lambda each: (each["stage"], each["tranche"], each["slice_index"]))
    said = {**made.told("slice.outcome", stage="wave/3"), "stage": stage, "tranche": tranche}
    del said["kind"]
    made.tell("slice.intent", **said)
    made.tell("slice.outcome", **said)


def _judged(made: Dossier, *, clear: int, held: int) -> None:
    """Verdicts of so many, in the slice, the log and the evidence."""
    _slice("screen", counts={"clear": clear, "held": held, "refused": 1})(made)
    made.parts[layout.EVIDENCE[0]]["counts"].update(clear=clear, held=held - 2)


def _one_not_active(made: Dossier) -> None:
    _all(
        other_ways.completed,
        _wallets(11, state="ready", wave=None),
        _slice("wave/2", row_count=10, counts={"active": 10}),
        _reroot,
    )(made)


STATES = _forgeries(
    "wallet_states",
    (
        "fewer told frozen",
        "the audit log tells of other frozen wallets",
        _undone("undo.activation", frozen=17),
        (),
    ),
    (
        "more told revoked",
        "the audit log tells of other revoked wallets",
        _undone("undo.derivation", revoked=3),
        (),
    ),
    ("active after all", "wallets are active although the batch was undone", _thawed, ()),
    (
        "a slice of no wave",
        "a slice is of a stage or a wave that the batch does not have",
        partial(_of_a_wave_that_never_was, "wave/9", 0),
        (),
    ),
    (
        "a slice of the other tranche",
        "a slice is of a stage or a wave that the batch does not have",
        partial(_of_a_wave_that_never_was, "wave/1", 1),
        (),
    ),
    (
        "verdicts of the late tranche",
        "a slice is of a stage or a wave that the batch does not have",
        partial(_of_a_wave_that_never_was, "screen", 1),
        (),
    ),
    (
        "one without a verdict",
        "others than the eligible subjects have wallets",
        partial(_judged, clear=7, held=4),
        (),
    ),
    (
        "one left out",
        "an eligible subject has no wallets",
        partial(_judged, clear=9, held=2),
        (),
    ),
    (
        "one not active",
        "the batch is completed and wallets are not active",
        _one_not_active,
        (),
    ),
)

SIGNATURES = {
    "unsigned": Forgery(
        check="wallet_signatures",
        sentence="no pinned key signed a slice of addresses",
        after=lambda made: made.row(layout.SLICES, stage="derive").update(signature=None),
        besides=frozenset({"audit_slices"}),
    ),
    "signed by nobody": Forgery(
        check="wallet_signatures",
        sentence="no pinned key signed a slice of addresses",
        after=lambda made: made.row(layout.SLICES, stage="derive", tranche=1).update(signature="QUFB"),
    ),
}

UNPLANNED = Forgery(
    check="wallets",
    sentence=NOBODYS,
    after=lambda made: [made.parts.pop(name) for name in (layout.PLAN, layout.POLICY)],
    besides=frozenset({"plan", "evidence", "waves"}),
)

FORGERIES = {"never planned": UNPLANNED, **SLICES, **SUBJECTS, **WALLETS, **STATES, **SIGNATURES}


@pytest.mark.usefixtures("one_proof")
@pytest.mark.parametrize("name", FORGERIES)
def test_forged_wallets_fail_the_check_they_are_against(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about wallets stands by itself: without it the forgery would verify."""
    require_refused(whole, tmp_path, FORGERIES[name])


@pytest.mark.parametrize("name", PROOFS)
def test_forged_proofs_are_proofs_of_nothing(whole: Dossier, tmp_path: Path, name: str) -> None:
    """An address is its key's, and a proof its wallet's."""
    require_refused(whole, tmp_path, PROOFS[name])


def test_a_wallet_in_another_spelling_is_refused(whole: Dossier, tmp_path: Path) -> None:
    """A line has one spelling, though another has the same values."""
    path = forged(whole, tmp_path / "whole.zip", _nothing)
    spelt = rewritten(path, tmp_path / "spelt.zip", replaced(layout.WALLETS, b'{"address"', b'{ "address"'))
    assert failures(verify_bundle(spelt, whole.office.trust)) == {
        "wallets": "wallets.jsonl is not canonical JSON"
    }


@pytest.mark.parametrize("name", [" acme-prod", "acme\nprod", "acme-prod\u2028"])
def test_a_name_that_no_proof_can_hold_is_reported(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Whatever a stranger calls the deployment, the verifier answers with a report."""

    def renamed(made: Dossier) -> None:
        made.table["deployment"] = name

    path = forged(whole, tmp_path / "named.zip", _nothing, after=renamed)
    found = failures(verify_bundle(path, None))
    assert found["wallets"] == "this part of the bundle cannot be read"
