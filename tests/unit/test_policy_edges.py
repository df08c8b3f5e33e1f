"""How far each number and list of a policy may go: what lies beyond is refused by its path."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from activities.contracts.request import parse_request
from activities.edges import problems_of
from activities.policy.decision import RolloutWish, rollout_wish
from activities.policy.shape import Policy
from activities.trust.gates import SEATS_MAX
from tests.requests import a_request

SG: dict[str, Any] = tomllib.loads(
    (Path(__file__).resolve().parents[2] / "infra" / "policies" / "SG.toml").read_text(encoding="utf-8")
)


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Singapore's policy with one value changed."""
    policy = copy.deepcopy(SG)
    *tables, last = path.split(".")
    place: Any = policy
    for name in tables:
        place = place[name]
    place[last] = value
    return policy


def _roles(*counts: int) -> dict[str, int]:
    return {f"role_{index}": count for index, count in enumerate(counts)}


BEYOND: dict[str, tuple[Any, ...]] = {
    "version": ("", "../1", "x" * 65),
    "data_region": ("", "a b"),
    "custody_modes": ([],),
    "purposes": ([],),
    "caps.subjects_per_batch": (0, 10_000_001),
    "caps.wallets_per_subject": (0, 1_001),
    "gates.hold.roles": ({}, _roles(*[1] * 11)),
    "gates.compliance.roles.wallet_officer": (0, 11),
    "approvals.validity_hours_max": (0, 8_785),
    "approvals.extra_roles": ([], [f"role_{index}" for index in range(11)]),
    "screening.lists": ([], [f"list-{index}" for index in range(51)]),
    "screening.threshold": (0, 1.01),
    "screening.list_age_days_max": (0, 36_601),
    "screening.list_shrink_share_max": (-0.01, 1.01),
    "rollout.first_wave_percent_max": (0, 101),
    "rollout.soak_seconds_min": (-1, 2_592_001),
    "rollout.approve_from_wave_max": (0, 22),
    "rollout.waves_percent": ([], [*range(1, 21), 100]),
    "rollout.soak_seconds": (-1, 2_592_001),
    "retention.years": (0, 101),
}


@pytest.mark.parametrize("path", BEYOND)
def test_value_beyond_its_bounds_is_refused_by_path(path: str) -> None:
    """Every bound of a policy holds, and nothing but the field is to blame."""
    for value in BEYOND[path]:
        with pytest.raises(ValidationError) as caught:
            Policy.model_validate(_changed(path, value))
        assert [problem.partition(":")[0] for problem in problems_of(caught.value)] == [path]


@pytest.mark.parametrize(("waves", "at"), [([0, 100], 0), ([1, 101], 1)])
def test_wave_beyond_its_bounds_is_refused_by_its_place(waves: list[int], at: int) -> None:
    """A wave is a share of 1 to 100 percent."""
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate(_changed("rollout.waves_percent", waves))
    assert problems_of(caught.value)[0].startswith(f"rollout.waves_percent.{at}: ")


AT_THE_EDGE: dict[str, tuple[str, Any]] = {
    "the first wave at its most": ("rollout.first_wave_percent_max", 1),
    "the soak at its least": ("rollout.soak_seconds_min", 600),
    "reminded when it is escalated": ("approvals.remind_hours", 72),
    "escalated when it is over": ("approvals.escalate_hours", 168),
    "a seat less than a gate may have": ("gates.hold.roles", _roles(10, 10, 10, 10, SEATS_MAX - 41)),
}


@pytest.mark.parametrize("case", AT_THE_EDGE)
def test_value_at_its_edge_is_a_policy(case: str) -> None:
    """Bounds between fields include their own value."""
    assert Policy.model_validate(_changed(*AT_THE_EDGE[case]))


def test_gate_for_more_persons_than_can_be_matched_is_refused() -> None:
    """An unsigned request adds one person, and must not make the gate impossible."""
    crowd = _roles(10, 10, 10, 10, SEATS_MAX - 40)
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate(_changed("gates.issuance.roles", crowd))
    assert problems_of(caught.value) == ["gates: a gate asks for too many persons"]


@pytest.mark.parametrize(
    ("rollout", "wish"),
    [
        ({}, RolloutWish()),
        ({"rollout": {"waves_percent": [5, 100]}}, RolloutWish(waves_percent=(5, 100))),
        (
            {"rollout": {"waves_percent": [100], "soak_seconds": 0, "approve_from_wave": 1}},
            RolloutWish(waves_percent=(100,), soak_seconds=0, approve_from_wave=1),
        ),
    ],
    ids=["nothing", "waves", "everything"],
)
def test_request_wishes_for_what_it_says(rollout: dict[str, Any], wish: RolloutWish) -> None:
    """What a request leaves out is the policy's to choose, also a soak it could have set to zero."""
    assert rollout_wish(parse_request(a_request(**rollout))) == wish
