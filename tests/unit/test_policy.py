"""Policies: their shape, what they decide, and the demonstration files."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import InvalidRequestError
from activities.policy.decision import Decision, PlanFacts, RolloutWish, decide, resolve_gates
from activities.policy.folder import SUPERSEDED, known_jurisdictions, mounted_digests, read_policy
from activities.policy.shape import Policy, load_policy, policy_digest
from activities.trust.gates import still_needed

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "policies"
SG_TEXT = (FOLDER / "SG.toml").read_text(encoding="utf-8")
SG = load_policy(SG_TEXT)
DEFAULT = load_policy((FOLDER / "default.toml").read_text(encoding="utf-8"))

FACTS = PlanFacts(
    purpose="airdrop",
    custody="custodial",
    jurisdiction="SG",
    subject_count=1_000,
    wallets_per_subject=3,
    kyc_references_missing=0,
    request_signed=True,
)


def _problem(old: str, new: str) -> str:
    assert old in SG_TEXT
    with pytest.raises(InvalidRequestError) as caught:
        load_policy(SG_TEXT.replace(old, new))
    return caught.value.message


def _without(*sections: str) -> Policy:
    """Singapore's policy without some of its gates."""
    kept = [part for part in SG_TEXT.split("\n\n") if not part.startswith(tuple(f"[{s}]" for s in sections))]
    text = "\n\n".join(kept)
    return load_policy(text.replace("approve_from_wave_max = 2\n", "") if "gates.wave" in sections else text)


def _decided(policy: Policy = SG, **changes: Any) -> Decision:
    return decide(policy, replace(FACTS, **changes))


@pytest.mark.parametrize("code", known_jurisdictions(FOLDER))
def test_demonstration_policy_can_be_met_by_two_officers(code: str) -> None:
    """One compliance officer and one wallet officer pass every gate of a signed request."""
    stored = read_policy(FOLDER, code)
    officers = [frozenset({"compliance_officer"}), frozenset({"wallet_officer"})]
    facts = replace(FACTS, jurisdiction=code)
    for rule in resolve_gates(stored.policy, facts).values():
        assert still_needed(rule, officers) == {}


@pytest.mark.parametrize("code", known_jurisdictions(FOLDER))
def test_demonstration_policy_screens_both_lists(code: str) -> None:
    """No jurisdiction goes without OFAC and UN."""
    assert read_policy(FOLDER, code).policy.screening.lists == ["ofac-sdn", "un-consolidated"]


def test_there_are_four_demonstration_policies() -> None:
    """Singapore, the United States, Germany and the default."""
    assert known_jurisdictions(FOLDER) == ("DE", "SG", "US", "default")


def test_digest_is_of_the_exact_text() -> None:
    """A comment more is another policy."""
    assert policy_digest(SG_TEXT) == hashlib.sha256(SG_TEXT.encode()).hexdigest()
    assert read_policy(FOLDER, "SG").digest == policy_digest(SG_TEXT)


def test_superseded_policy_is_mounted_and_in_force_nowhere(tmp_path: Path) -> None:
    """Batches planned before an edit are finished by the old text; no new one is planned by it."""
    now = SG_TEXT + "# edited"
    (tmp_path / "SG.toml").write_text(now, encoding="utf-8")
    assert mounted_digests(tmp_path) == {policy_digest(now)}
    (tmp_path / SUPERSEDED).mkdir()
    (tmp_path / SUPERSEDED / "SG before 2026-03.toml").write_text(SG_TEXT, encoding="utf-8")
    assert mounted_digests(tmp_path) == {policy_digest(now), policy_digest(SG_TEXT)}
    assert read_policy(tmp_path, "SG").digest == policy_digest(now)
    (tmp_path / SUPERSEDED / "half.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidRequestError, match="The policy half cannot be read"):
        mounted_digests(tmp_path)


def test_signed_request_needs_the_policys_approvals() -> None:
    """The gates are those of the file, and the reasons say how many persons each asks for."""
    decision = _decided()
    assert decision.outcome == "needs_approvals"
    assert {name: rule.persons for name, rule in decision.gates.items()} == {
        "compliance": 2, "issuance": 1, "wave": 1, "hold": 1, "resume": 1, "rollback": 1,
    }  # fmt: skip
    assert [reason.code for reason in decision.reasons] == [
        "compliance_approval_needed",
        "issuance_approval_needed",
        "wave_approval_needed",
    ]
    assert [reason.sentence for reason in decision.reasons][:2] == [
        "gate compliance asks for 2 persons",
        "gate issuance asks for 1 person",
    ]


@pytest.mark.parametrize("left", ["compliance", "issuance", "wave"])
def test_any_gate_on_the_way_means_that_approvals_are_needed(left: str) -> None:
    """A batch that somebody must still approve is not told to be approved."""
    gates = {"compliance", "issuance", "wave"} - {left}
    decision = _decided(_without(*(f"gates.{gate}" for gate in gates)))
    assert (decision.outcome, gates.isdisjoint(decision.gates)) == ("needs_approvals", True)


def test_unsigned_request_needs_one_person_more_at_every_gate() -> None:
    """Nobody proved who asked, so one person more looks at it."""
    signed, unsigned = _decided(), _decided(request_signed=False)
    for name, rule in unsigned.gates.items():
        assert rule.persons == signed.gates[name].persons + 1
    assert unsigned.gates["compliance"].persons == 3
    assert unsigned.reasons[0].code == "request_unsigned"


def test_policy_without_gates_approves_a_signed_request() -> None:
    """Where nobody is asked for, the policy alone decides."""
    decision = _decided(_without("gates.compliance", "gates.issuance", "gates.wave"))
    assert (decision.outcome, decision.rollout.approve_from_wave) == ("approved", 0)


def test_policy_without_gates_still_asks_one_person_for_an_unsigned_request() -> None:
    """An unsigned request is never approved by a file alone."""
    policy = _without("gates.compliance", "gates.issuance", "gates.wave")
    decision = _decided(policy, request_signed=False)
    assert decision.outcome == "needs_approvals"
    assert decision.gates["compliance"].seats == {"compliance_officer|wallet_officer": 1}
    assert "wave" not in decision.gates


@pytest.mark.parametrize(("floor", "persons"), [(1, 2), (2, 2), (3, 3)])
def test_floor_of_the_deployment_raises_the_compliance_gate(floor: int, persons: int) -> None:
    """A policy cannot ask for fewer persons than the deployment does."""
    decision = _decided(approvals_min=floor)
    assert decision.gates["compliance"].persons == persons
    assert decision.gates["issuance"].persons == 1


def test_floor_of_the_deployment_opens_a_compliance_gate() -> None:
    """Also where the policy has none."""
    decision = _decided(_without("gates.compliance", "gates.issuance"), approvals_min=2)
    assert decision.gates["compliance"].persons == 2


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"jurisdiction": "US"}, "jurisdiction", "wrong_jurisdiction"),
        ({"purpose": "other"}, "purpose", "purpose_not_allowed"),
        ({"custody": "watch_only"}, "custody", "custody_not_allowed"),
        ({"subject_count": 0}, "source", "no_subjects"),
        ({"subject_count": 1_000_001}, "source", "too_many_subjects"),
        ({"wallets_per_subject": 13}, "chains", "too_many_wallets"),
        ({"kyc_references_missing": 1}, "source", "kyc_reference_missing"),
        ({"rollout": RolloutWish(waves_percent=(11, 100))}, "rollout.waves_percent", "first_wave_too_large"),
        (
            {"rollout": RolloutWish(approve_from_wave=3)},
            "rollout.approve_from_wave",
            "wave_approval_too_late",
        ),
    ],
)
def test_plan_outside_the_policy_is_refused_by_field(changes: dict[str, Any], field: str, code: str) -> None:
    """The reason names the request's field and a stable word."""
    decision = _decided(**changes)
    assert decision.outcome == "refused"
    assert [(reason.field, reason.code) for reason in decision.reasons] == [(field, code)]


def test_plan_at_the_edge_of_the_policy_passes() -> None:
    """Caps and floors include their own value."""
    wish = RolloutWish(waves_percent=(10, 100), soak_seconds=0, approve_from_wave=2)
    decision = _decided(subject_count=1_000_000, wallets_per_subject=12, rollout=wish)
    assert decision.outcome == "needs_approvals"
    assert _decided(subject_count=1).outcome == "needs_approvals"


def test_soak_below_the_floor_is_refused() -> None:
    """A request may soak longer, never shorter."""
    policy = load_policy(SG_TEXT.replace("soak_seconds_min = 0", "soak_seconds_min = 60"))
    decision = _decided(policy, rollout=RolloutWish(soak_seconds=59))
    assert [reason.field for reason in decision.reasons] == ["rollout.soak_seconds"]
    assert _decided(policy, rollout=RolloutWish(soak_seconds=60)).outcome == "needs_approvals"


def test_every_reason_for_a_refusal_is_given() -> None:
    """One round is enough to mend a request."""
    assert len(_decided(purpose="other", custody="other", subject_count=0).reasons) == 3


def test_missing_kyc_references_are_fine_where_none_are_required() -> None:
    """The default policy asks for no reference."""
    decision = _decided(DEFAULT, jurisdiction="default", kyc_references_missing=1_000)
    assert decision.outcome == "needs_approvals"


def test_rollout_left_open_is_the_policys() -> None:
    """What the request does not say, the policy says."""
    terms = _decided().rollout
    assert (terms.waves_percent, terms.soak_seconds, terms.approve_from_wave) == ((1, 10, 50, 100), 600, 2)


def test_stricter_rollout_is_the_requests() -> None:
    """Smaller waves, longer soak, earlier approvals stand."""
    wish = RolloutWish(waves_percent=(1, 100), soak_seconds=900, approve_from_wave=1)
    terms = _decided(rollout=wish).rollout
    assert (terms.waves_percent, terms.soak_seconds, terms.approve_from_wave) == ((1, 100), 900, 1)
    assert _decided(rollout=wish).gates["wave"].seats == {"wallet_officer": 1}


def test_wave_gate_that_only_the_request_asks_for_takes_one_officer() -> None:
    """A requester may ask for approvals that the policy does not."""
    decision = _decided(DEFAULT, jurisdiction="default", rollout=RolloutWish(approve_from_wave=2))
    assert decision.gates["wave"].seats == {"compliance_officer|wallet_officer": 1}
    assert decision.rollout.approve_from_wave == 2


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('version = "2026-01"', "", "version: missing"),
        ('version = "2026-01"', 'version = "2026-01"\nspare = 1', "spare: unknown field"),
        ("[caps]", "[caps]\nspare = 1", "caps.spare: unknown field"),
        ("[gates.hold]", "[gates.hld]", "gates.hld: unknown field"),
        ("wallet_officer = 1 }", "wallet_officer = 0 }", "gates.compliance.roles.wallet_officer: "),
        ("wallet_officer = 1 }", '"Wallet Officer" = 1 }', "has the wrong form"),
        ("wallet_officer = 1 }", '"a|b" = 1 }', "has the wrong form"),
        ("remind_hours = 24", "remind_hours = 100", "must rise in this order"),
        ("wait_hours = 168", 'wait_hours = "168"', "approvals.wait_hours: "),
        ("threshold = 0.80", "threshold = 0", "screening.threshold: "),
        ("threshold = 0.80", "threshold = nan", "screening.threshold: "),
        ('lists = ["ofac-sdn", "un-consolidated"]', "lists = []", "screening.lists: "),
        ("waves_percent = [1, 10, 50, 100]", "waves_percent = [1, 10, 50]", "must rise and end at 100"),
        ("waves_percent = [1, 10, 50, 100]", "waves_percent = [1, 1, 100]", "must rise and end at 100"),
        ("waves_percent = [1, 10, 50, 100]", "waves_percent = [50, 100]", "must begin at or below"),
        ("soak_seconds_min = 0", "soak_seconds_min = 601", "must not be below soak_seconds_min"),
        ("approve_from_wave_max = 2\n", "", "must stand together"),
        ("subjects_per_batch = 1_000_000", "subjects_per_batch = 10_000_001", "caps.subjects_per_batch: "),
        ('purposes = ["airdrop", ', 'purposes = ["other", ', "purposes.0: "),
        ('jurisdiction = "SG"', 'jurisdiction = "../SG"', "jurisdiction: has the wrong form"),
        ("years = 5", "years = 5.5", "retention.years: "),
        ("[health]", "[health]\n[health]", "not valid TOML: line"),
    ],
)
def test_wrong_or_unknown_field_is_refused_by_name(old: str, new: str, problem: str) -> None:
    """The field and the rule are told."""
    assert problem in _problem(old, new)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_a_policy_or_refused_in_our_words(text: str) -> None:
    """The reader raises nothing but its own error."""
    with pytest.raises(InvalidRequestError):
        load_policy(text)


@pytest.mark.parametrize("code", ["FR", "sg", "", "../SG", "SG.toml", "Default", "SG\n"])
def test_unknown_jurisdiction_is_refused_by_field_and_never_defaulted(code: str) -> None:
    """The default is taken by name only, and no code can leave the folder."""
    with pytest.raises(InvalidRequestError) as caught:
        read_policy(FOLDER, code)
    assert caught.value.details[0] == ["jurisdiction: must be one of DE, SG, US, default"]


def test_policy_file_that_names_another_jurisdiction_is_refused(tmp_path: Path) -> None:
    """A file copied under another name does not become that jurisdiction's."""
    (tmp_path / "US.toml").write_text(SG_TEXT, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="must name its own"):
        read_policy(tmp_path, "US")


def test_policy_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Not UTF-8, or no file at all: told by its code."""
    (tmp_path / "US.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "DE.toml").mkdir()
    for code in ("US", "DE"):
        with pytest.raises(InvalidRequestError, match=f"The policy {code} cannot be read"):
            read_policy(tmp_path, code)


def test_policy_file_over_its_size_is_refused(tmp_path: Path) -> None:
    """Nothing after 64 KiB is passed over in silence."""
    (tmp_path / "SG.toml").write_text(SG_TEXT + "#" * 65_536, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="longer than 65,536 bytes"):
        read_policy(tmp_path, "SG")
