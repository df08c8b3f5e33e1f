"""Requests, plans and policies forged by somebody with every key: each fails the one check it is against."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import Floors
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, failures, report_on
from tests.integration.resealing import Dossier, Edit, forged

OTHER = "ab" * 32
OF_NOBODY = "a hold or a withholding is of a subject that the plan does not count"


def _of_another_tenant(made: Dossier) -> None:
    made.request["tenant"] = "another"


def _signed_by_another(made: Dossier) -> None:
    made.sign_request(by=made.office.compliance)


def _without_its_plan(made: Dossier) -> None:
    other_ends.rejected(made)
    del made.parts[layout.PLAN], made.parts[layout.POLICY]


def _went_on_though_refused(made: Dossier) -> None:
    made.told("policy.decided")["outcome"] = "refused"


def _screened_though_refused(made: Dossier) -> None:
    other_ends.refused_by_policy(made)
    made.parts[layout.SLICES] = made.was[layout.SLICES][2:4]


def _second_slice_longer(made: Dossier) -> None:
    other_ends.of_many_subjects(made)
    made.row(layout.SLICES, stage="intake", slice_index=1)["length"] += 1


def _slice(stage: str, **changes: int) -> Edit:
    return lambda made: made.row(layout.SLICES, stage=stage).update(changes)


def _told(kind: str, **changes: str) -> Edit:
    return lambda made: made.told(kind).update(changes)


FORGERIES = {
    "another tenant's": Forgery(
        check="request", sentence="the request is another batch's", edit=_of_another_tenant
    ),
    "not as claimed": Forgery(
        check="request",
        sentence="the request differs from the one that was claimed",
        edit=_told("batch.claimed", request_digest=OTHER),
    ),
    "no request": Forgery(
        check="request",
        sentence="the request is not valid",
        edit=lambda made: made.request.pop("purpose"),
    ),
    "another signer": Forgery(
        check="request_signature",
        sentence="the requester did not sign the request",
        edit=_signed_by_another,
    ),
    "never claimed": Forgery(
        check="request_signature",
        sentence="the requester did not sign the request",
        edit=lambda made: made.untell("batch.claimed"),
    ),
    "plan gone": Forgery(check="plan", sentence="the plan is missing", edit=_without_its_plan),
    "plan of another request": Forgery(
        check="plan",
        sentence="the plan holds another request",
        edit=lambda made: made.plan["request"].update(purpose="campaign"),
    ),
    "plan of another policy": Forgery(
        check="plan",
        sentence="the policy's text is another",
        edit=lambda made: made.plan.update(policy_digest=OTHER),
    ),
    "plan of more subjects": Forgery(
        check="plan",
        sentence="the intake slices do not cover the subjects",
        edit=lambda made: made.plan.update(subject_count=13),
    ),
    "intake from the second subject on": Forgery(
        check="plan",
        sentence="the intake slices do not cover the subjects",
        edit=_slice("intake", first_position=1),
    ),
    "second slice of a longer range": Forgery(
        check="plan",
        sentence="the intake slices do not cover the subjects",
        edit=_second_slice_longer,
    ),
    "intake of a longer range": Forgery(
        check="plan",
        sentence="the intake slices do not cover the subjects",
        edit=_slice("intake", length=13),
    ),
    "plan of another root": Forgery(
        check="plan",
        sentence="the manifest root differs from the intake slices",
        edit=lambda made: made.plan.update(manifest_root=OTHER),
    ),
    "a hold of nobody": Forgery(
        check="plan",
        sentence=OF_NOBODY,
        edit=lambda made: made.row(layout.ADJUDICATIONS, ordinal=7).update(ordinal=12),
    ),
    "a withholding of nobody": Forgery(
        check="plan",
        sentence=OF_NOBODY,
        edit=lambda made: made.row(layout.WITHHOLDINGS, ordinal=9).update(ordinal=12),
    ),
    "another plan told": Forgery(
        check="plan",
        sentence="the plan differs from the one in the audit log",
        edit=_told("batch.planned", plan_digest=OTHER),
    ),
    "another decision told": Forgery(
        check="policy",
        sentence="the policy decides otherwise than the audit log says",
        edit=_told("policy.decided", outcome="approved"),
    ),
    "went on though refused": Forgery(
        check="policy",
        sentence="the batch went on though the policy had refused it",
        edit=_went_on_though_refused,
    ),
    "screened though refused": Forgery(
        check="policy",
        sentence="the batch went on though the policy had refused it",
        edit=_screened_though_refused,
    ),
    "no policy": Forgery(
        check="policy",
        sentence="the policy is not valid",
        edit=lambda made: made.parts.update({layout.POLICY: "jurisdiction = 1\n"}),
    ),
    "screening from the second subject on": Forgery(
        check="evidence",
        sentence="the screening slices do not cover the subjects",
        edit=_slice("screen", first_position=1),
    ),
    "screening of a longer range": Forgery(
        check="evidence",
        sentence="the screening slices do not cover the subjects",
        edit=_slice("screen", length=13),
    ),
    "evidence of another root": Forgery(
        check="evidence",
        sentence="the verdict root differs from the screening slices",
        edit=lambda made: made.parts[layout.EVIDENCE[0]].update(verdict_root=OTHER),
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_plan_fails_the_check_it_is_against(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about request, plan and policy stands by itself: the check says which one was broken."""
    forgery = FORGERIES[name]
    assert failures(report_on(whole, tmp_path, forgery)).get(forgery.check) == forgery.sentence


NEVER_PLANNED = "the batch ended before it was planned"
UNSIGNED = "the request is unsigned; every gate asks for one person more"

SAID = {
    "at the door": (other_ends.ended_at_the_door, "plan", Status.SKIPPED, NEVER_PLANNED),
    "at the door, decided": (other_ends.ended_at_the_door, "policy", Status.SKIPPED, NEVER_PLANNED),
    "refused": (other_ends.refused_by_policy, "policy", Status.OK, "the policy's refusal stands"),
    "unsigned": (other_ends.of_an_unsigned_request, "request_signature", Status.SKIPPED, UNSIGNED),
    "unsigned, decided": (
        other_ends.of_an_unsigned_request,
        "policy",
        Status.OK,
        "the policy's text decides: needs_approvals",
    ),
    "signed by null": (
        lambda made: made.request.update(signature=None),
        "request_signature",
        Status.SKIPPED,
        UNSIGNED,
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_what_cannot_be_checked_is_skipped_with_its_reason(whole: Dossier, tmp_path: Path, name: str) -> None:
    """A check without anything to look at says so; one that was made says what it saw."""
    edit, check, status, sentence = SAID[name]
    report = report_on(whole, tmp_path, Forgery(check=check, sentence=sentence, edit=edit))
    assert (check, status, sentence) in [(each.name, each.status, each.sentence) for each in report.checks]


def _ungated(outcome: str) -> Edit:
    """Under a policy that asks nobody about plan, evidence and waves."""

    def edit(made: Dossier) -> None:
        gated = made.parts[layout.POLICY]
        for gate in ("compliance", "issuance", "wave"):
            gated = re.sub(rf"\[gates.{gate}\]\nroles = .*\n", "", gated)
        made.parts[layout.POLICY] = re.sub(r"approve_from_wave_max = .*\n", "", gated)
        made.told("policy.decided")["outcome"] = outcome

    return edit


def _unsigned_and_ungated(made: Dossier) -> None:
    _ungated("needs_approvals")(made)
    del made.request["signature"]


def _signed_by_another_and_ungated(made: Dossier) -> None:
    _ungated("needs_approvals")(made)
    _signed_by_another(made)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the policy says to a request, as one with or without trust sees it."""

    edit: Edit
    pinned: bool = True
    floor: int = 0
    decided: str


DECIDED = {
    "signed": Case(edit=_ungated("approved"), decided="approved"),
    "signed, below the floor": Case(edit=_ungated("needs_approvals"), floor=1, decided="needs_approvals"),
    "signed by another": Case(edit=_signed_by_another_and_ungated, decided="needs_approvals"),
    "signed by somebody": Case(edit=_ungated("approved"), pinned=False, decided="approved"),
    "unsigned by anybody": Case(edit=_unsigned_and_ungated, pinned=False, decided="needs_approvals"),
}


@pytest.mark.parametrize("name", DECIDED)
def test_the_policy_counts_whose_signature_it_is(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Without trust a signature is taken for one; with it, it is the requester's, and the floor is added."""
    case, trust = DECIDED[name], replace(whole.office.trust, floors=Floors(approvals_min=DECIDED[name].floor))
    path = forged(whole, tmp_path / "forged.zip", case.edit)
    report = verify_bundle(path, trust if case.pinned else None)
    told = {check.name: check.sentence for check in report.checks}
    assert told["policy"] == f"the policy's text decides: {case.decided}"


def test_nobodys_signature_is_judged_without_trust(whole: Dossier, tmp_path: Path) -> None:
    """Without a trust file the requester's key is unknown, and the request's signature says nothing."""
    report = verify_bundle(forged(whole, tmp_path / "whole.zip", lambda _: None), None)
    told = {check.name: (check.status, check.sentence) for check in report.checks}
    assert told["request_signature"] == (Status.SKIPPED, "the requester's key is not pinned")
