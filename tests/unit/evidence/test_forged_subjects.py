"""Restricted parts forged by somebody with every key: an auditor who opens one finds each of them."""

from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from tests.integration import other_ends
from tests.integration.builder_rows import detail_of, hold_of
from tests.integration.builders import HELD_EARLY, REFUSED
from tests.integration.forgeries import Forgery, failures, report_on
from tests.integration.resealing import Dossier, Edit, forged, leaf_of_verdict, manifest_leaf

OTHER = "ab" * 32
CLEAR = 3


def _subject(number: int, **changes: object) -> Edit:
    """One subject's line changed, and nothing with it."""
    return lambda made: made.subjects[number].update(changes)


def _screened(number: int, **changes: object) -> Edit:
    """One subject's line changed, with the leaves and roots over it."""

    def edit(made: Dossier) -> None:
        made.subjects[number] |= changes
        made.reroot_subjects()

    return edit


def _swapped(made: Dossier) -> None:
    made.subjects[3], made.subjects[4] = made.subjects[4], made.subjects[3]
    made.reroot_subjects()


def _last_gone(made: Dossier) -> None:
    other_ends.rejected(made)
    made.subjects.pop()
    made.reroot_subjects()


def _second_slice_gone(made: Dossier) -> None:
    other_ends.of_many_subjects(made)
    del made.subjects[1024:]


def _without_wallets(made: Dossier) -> None:
    made.drop(layout.WALLETS, ordinal=CLEAR)
    made.reroot_wallets()


def _completed_without_wallets(made: Dossier) -> None:
    _without_wallets(made)
    made.table["outcome"] = made.told("batch.ended")["outcome"] = "completed"


def _row_and_leaf(made: Dossier) -> None:
    row = made.subjects[CLEAR]
    row["row"] = {"subject_id": "s-another"}
    row["leaf"] = manifest_leaf(row)


def _of_another_list(made: Dossier) -> None:
    row = made.subjects[REFUSED]
    row["verdict_detail"]["algorithm"] = "another/1"


def _other_hits(made: Dossier) -> None:
    made.subjects[HELD_EARLY]["verdict_detail"]["hits"][0]["score"] = "0.9200"


def _held_for_another(made: Dossier) -> None:
    batch_id, score = made.request["batch_id"], "0.9200"
    made.subjects[HELD_EARLY]["verdict_detail"] = detail_of(HELD_EARLY, score=score)
    made.subjects[HELD_EARLY]["hold_digest"] = hold_of(batch_id, HELD_EARLY, score=score)
    made.reroot_subjects()


def _another_verdict(made: Dossier) -> None:
    row = made.subjects[REFUSED]
    row |= {"verdict": "held", "verdict_detail": None}
    row["verdict_leaf"] = leaf_of_verdict(row)


def _counted_as_held(made: Dossier) -> None:
    counts = {"clear": 8, "held": 4, "refused": 0}
    made.row(layout.SLICES, stage="screen")["counts"] = counts
    made.told("slice.outcome", stage="screen")["counts"] = counts
    made.parts[layout.EVIDENCE[0]]["counts"] |= {"held": 2, "refused": 1}


def _verdicts_gone(made: Dossier) -> None:
    other_ends.aborted_when_screened(made)
    made.parts[layout.ADJUDICATIONS] = []
    none = dict.fromkeys(("verdict", "score", "verdict_leaf", "hold_digest"))
    made.subjects = [{**row, **none} for row in made.subjects]


def _never_screened(made: Dossier) -> None:
    subjects = made.subjects
    other_ends.rejected(made)
    made.subjects = subjects


FORGERIES = {
    "two swapped": Forgery(
        check="restricted", sentence="restricted.age has a gap, a repetition or a swap", edit=_swapped
    ),
    "last one gone": Forgery(check="restricted", sentence="restricted.age lacks subjects", edit=_last_gone),
    "second slice gone": Forgery(
        check="restricted", sentence="restricted.age lacks subjects", edit=_second_slice_gone
    ),
    "another row": Forgery(
        check="restricted",
        sentence="a subject's row differs from its manifest leaf",
        edit=_subject(CLEAR, row={"subject_id": "s-another"}),
    ),
    "another row with its leaf": Forgery(
        check="restricted", sentence="the rows differ from the manifest", edit=_row_and_leaf
    ),
    "row without salt": Forgery(
        check="restricted", sentence="a subject is erased in part", edit=_subject(CLEAR, salt=None)
    ),
    "salt without row": Forgery(
        check="restricted", sentence="a subject is erased in part", edit=_subject(CLEAR, row=None)
    ),
    "verdict without leaf": Forgery(
        check="restricted",
        sentence="a subject's verdict is there in part",
        edit=_subject(CLEAR, verdict_leaf=None),
    ),
    "verdict without score": Forgery(
        check="restricted",
        sentence="a subject's verdict is there in part",
        edit=_subject(CLEAR, score=None),
    ),
    "leaf without verdict": Forgery(
        check="restricted",
        sentence="a subject's verdict is there in part",
        edit=_subject(CLEAR, verdict=None),
    ),
    "another leaf": Forgery(
        check="restricted",
        sentence="a verdict differs from its leaf",
        edit=_subject(CLEAR, verdict_leaf=OTHER),
    ),
    "another algorithm": Forgery(
        check="restricted", sentence="a verdict differs from its leaf", edit=_of_another_list
    ),
    "other hits": Forgery(
        check="restricted", sentence="a hold's hits differ from its digest", edit=_other_hits
    ),
    "cleared by people without a hold": Forgery(
        check="restricted",
        sentence="people decided on a subject that was not held for that",
        edit=_screened(HELD_EARLY, verdict="refused"),
    ),
    "cleared by people for another hold": Forgery(
        check="restricted",
        sentence="people decided on a subject that was not held for that",
        edit=_held_for_another,
    ),
    "wallets of a refused one": Forgery(
        check="restricted",
        sentence="a subject has a wallet without a clear verdict",
        edit=_screened(CLEAR, verdict="refused"),
    ),
    "no wallets of a clear one": Forgery(
        check="restricted", sentence="an eligible subject has no wallet", edit=_without_wallets
    ),
    "completed without wallets of a clear one": Forgery(
        check="restricted", sentence="an eligible subject has no wallet", edit=_completed_without_wallets
    ),
    "verdicts gone": Forgery(
        check="restricted", sentence="the verdicts differ from their root", edit=_verdicts_gone
    ),
    "verdicts of nobody's screening": Forgery(
        check="restricted", sentence="the verdicts differ from their root", edit=_never_screened
    ),
    "another verdict with its leaf": Forgery(
        check="restricted",
        sentence="the verdicts differ from their root",
        edit=_another_verdict,
    ),
    "counted as held": Forgery(
        check="restricted",
        sentence="a slice counts other verdicts than its subjects have",
        edit=_counted_as_held,
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_subject_fails_the_restricted_check(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about rows, verdicts and who got wallets stands by itself: the sentence says which it was."""
    forgery = FORGERIES[name]
    assert failures(report_on(whole, tmp_path, forgery)).get(forgery.check) == forgery.sentence


def _two_erased(made: Dossier) -> None:
    for number in (CLEAR, HELD_EARLY):
        made.subjects[number] |= {"row": None, "salt": None, "verdict_detail": None}


@pytest.mark.parametrize(("edit", "told"), [(lambda _: None, ""), (_two_erased, ", 2 of them erased")])
def test_what_was_opened_is_counted(whole: Dossier, tmp_path: Path, edit: Edit, told: str) -> None:
    """Erased subjects are told of: their rows could not be compared with their leaves."""
    report = report_on(whole, tmp_path, Forgery(check="", sentence="", edit=edit))
    assert report.checks[-1].sentence == f"12 subjects{told}: leaves, roots and verdicts recomputed"


def test_what_is_not_opened_is_skipped(whole: Dossier, tmp_path: Path) -> None:
    """Without a key, or without a restricted part, the check says that it proves nothing."""
    shut = forged(whole, tmp_path / "whole.zip", lambda _: None)
    bare = Forgery(check="", sentence="", edit=lambda made: made.parts.pop(layout.RESTRICTED))
    reports = (verify_bundle(shut, whole.office.trust), report_on(whole, tmp_path, bare))
    told = [(check.status, check.sentence) for report in reports for check in report.checks[-1:]]
    assert told == [
        (Status.SKIPPED, "no identity was given to open the restricted part"),
        (Status.SKIPPED, "the bundle has no restricted part"),
    ]
