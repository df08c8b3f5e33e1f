"""Evidence and lists forged by somebody with every key: each breaks one rule, and its check says which."""

from pathlib import Path
from typing import Any

import pytest

from activities.digests import withholding_root
from activities.evidence import layout
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, require_refused
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, Edit

pytestmark = pytest.mark.usefixtures("one_proof")

OTHER = "ab" * 32
NEWER = "33" * 32
OTHER_COUNTS = "the evidence counts other subjects than its parts"
OTHER_LISTS = "the lists differ from those in the audit log"
OTHERS_WITHHELD = "the audit log tells of other withheld subjects"


def _evidence(tranche: int, **changes: Any) -> Edit:
    return lambda made: made.parts[layout.EVIDENCE[tranche]].update(changes)


def _counts(tranche: int, **changes: int) -> Edit:
    return lambda made: made.parts[layout.EVIDENCE[tranche]]["counts"].update(changes)


def _screened(made: Dossier, **counts: int) -> None:
    """The verdicts counted otherwise, in the slice and in the log."""
    made.row(layout.SLICES, stage="screen")["counts"] = counts
    made.told("slice.outcome", stage="screen")["counts"] = counts


def _without_evidence(*tranches: int) -> Edit:
    def edit(made: Dossier) -> None:
        for tranche in tranches:
            del made.parts[layout.EVIDENCE[tranche]]
            made.untell("evidence.sealed", tranche=tranche)

    return edit


def _completed_at_the_gate(made: Dossier) -> None:
    other_ends.rejected(made)
    made.told("batch.ended")["outcome"] = made.table["outcome"] = "completed"


def _another_list_named(made: Dossier) -> None:
    made.parts[layout.EVIDENCE[0]]["list_digests"]["ofac-sdn"] = NEWER


def _one_list_left_out(made: Dossier) -> None:
    lists = _lists(made)
    lists[:] = [row for row in lists if row["list_id"] != "un-consolidated"]
    pinned = made.told("lists.pinned")
    for named in (
        pinned["lists"],
        pinned["editions"],
        *(made.parts[name]["list_digests"] for name in layout.EVIDENCE),
    ):
        del named["un-consolidated"]


def _verdicts_of_no_name(made: Dossier) -> None:
    _screened(made, clear=8, held=3, odd=1)
    _counts(0, refused=1)(made)


def _fewer_held(made: Dossier) -> None:
    _screened(made, clear=10, held=1, refused=1)
    _counts(0, clear=10, held=0)(made)


EVIDENCE: dict[str, Forgery] = {
    name: Forgery(check="evidence", sentence=sentence, edit=edit, besides=frozenset(besides))
    for name, sentence, edit, besides in (
        (
            "sealed once more",
            "the evidence differs from what was sealed",
            lambda made: made.tell("evidence.sealed", tranche=1, evidence_digest=OTHER),
            (),
        ),
        (
            "addresses without evidence",
            "addresses were derived without evidence",
            _without_evidence(0, 1),
            ("gates", "wallet_states", "waves"),
        ),
        (
            "completed without evidence",
            "the batch is completed without evidence",
            _completed_at_the_gate,
            (),
        ),
        (
            "the late one alone",
            "the late tranche has evidence and the main one has not",
            _without_evidence(0),
            ("gates", "wallet_states"),
        ),
        ("about another plan", "the evidence is about another plan", _evidence(0, plan_digest=OTHER), ()),
        (
            "the late one about another plan",
            "the evidence is about another plan",
            _evidence(1, plan_digest=OTHER),
            (),
        ),
        (
            "another list named",
            "the evidence names other lists than were pinned",
            _another_list_named,
            (),
        ),
        (
            "a list left out",
            "a list that the policy makes mandatory was not screened",
            _one_list_left_out,
            (),
        ),
        (
            "over other verdicts",
            "the verdict root differs from the screening slices",
            _evidence(1, verdict_root=OTHER),
            (),
        ),
        ("other holds", "the adjudications are others", _evidence(0, adjudication_root=OTHER), ()),
        ("fewer held", OTHER_COUNTS, _counts(0, held=0), ()),
        ("more refused", OTHER_COUNTS, _counts(0, refused=3), ()),
        ("more refused late", OTHER_COUNTS, _counts(1, refused=1), ()),
        ("some of no name", OTHER_COUNTS, _counts(0, odd=1), ()),
        ("more clear", OTHER_COUNTS, _counts(0, clear=9), ("wallet_states",)),
        ("clear late", OTHER_COUNTS, _counts(1, clear=1), ("wallet_states",)),
        ("more settled than were held", OTHER_COUNTS, _fewer_held, ("wallet_states",)),
        ("more cleared", OTHER_COUNTS, _counts(0, cleared=2), ("wallet_states",)),
        (
            "verdicts of no name",
            "a screening slice's counts do not add up",
            _verdicts_of_no_name,
            (),
        ),
        (
            "more verdicts",
            "a screening slice's counts do not add up",
            lambda made: _screened(made, clear=9, held=3, refused=1),
            (),
        ),
    )
}


def _lists(made: Dossier) -> list[Row]:
    lists: list[Row] = made.parts[layout.LISTS]["lists"]
    return lists


def _withheld(**changes: Any) -> Edit:
    return lambda made: made.row(layout.WITHHOLDINGS).update(changes)


def _withheld_by_an_unknown_list(made: Dossier) -> None:
    _withheld(list_digest=OTHER)(made)
    made.told("list.changed")["withheld_root"] = withholding_root([])


LISTS: dict[str, Forgery] = {
    name: Forgery(check="lists", sentence=sentence, edit=edit)
    for name, sentence, edit in (
        ("the newer first", "lists.json is not in its order", lambda made: _lists(made).reverse()),
        ("one twice", "lists.json is not in its order", lambda made: _lists(made).append(_lists(made)[-1])),
        ("another edition", OTHER_LISTS, lambda made: _lists(made)[-1].update(digest=OTHER)),
        ("applied later", OTHER_LISTS, lambda made: _lists(made)[-1].update(applied_in_wave=3)),
        ("a change untold", OTHER_LISTS, lambda made: made.untell("list.changed")),
        ("nobody withheld", OTHERS_WITHHELD, lambda made: made.parts[layout.WITHHOLDINGS].clear()),
        ("withheld later", OTHERS_WITHHELD, _withheld(before_wave=3)),
        (
            "fewer than nobody withheld",
            OTHERS_WITHHELD,
            lambda made: made.tell("list.changed", wave=3, lists={}, withheld=-1),
        ),
        (
            "withheld by an unknown list",
            "a subject is withheld by a list that was not applied",
            _withheld_by_an_unknown_list,
        ),
        ("somebody else withheld", "a list change withheld other subjects", _withheld(ordinal=8)),
        (
            "withheld by another list",
            "a list change withheld other subjects",
            _withheld(list_id="un-consolidated", list_digest="22" * 32),
        ),
        (
            "another source",
            "a list is said to be another than was applied",
            lambda made: _lists(made)[0].update(source="elsewhere.csv"),
        ),
        (
            "of another day",
            "a list is said to be another than was applied",
            lambda made: _lists(made)[1].update(published_on="2026-01-06"),
        ),
        (
            "of more entries",
            "a list is said to be another than was applied",
            lambda made: _lists(made)[-1].update(entry_count=11),
        ),
    )
}

FORGERIES = {**EVIDENCE, **LISTS}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence_fails_the_check_it_is_against(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about evidence and lists stands by itself: without it the forgery would verify."""
    require_refused(whole, tmp_path, FORGERIES[name])
