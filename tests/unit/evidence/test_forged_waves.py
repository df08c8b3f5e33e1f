"""Waves that the log tells of and nobody planned: a wave too large would pass by the gates of later ones."""

from pathlib import Path

import pytest

from activities.evidence import layout
from tests.integration.forgeries import Forgery, require_refused
from tests.integration.resealing import Dossier, Edit

pytestmark = pytest.mark.usefixtures("one_proof")


def _of(wave: int, **changes: int) -> Edit:
    """A wave with other terms, in its member and in the log."""

    def edit(made: Dossier) -> None:
        made.parts[layout.WAVES]["waves"][wave - 1].update(changes)
        made.told("wave.opened", wave=wave).update(changes)

    return edit


def _by_the_policy(made: Dossier) -> None:
    """The request names no waves, and the policy's begin with another share."""
    del made.request["rollout"]
    policy = made.parts[layout.POLICY]
    made.parts[layout.POLICY] = policy.replace("[1, 10, 50, 100]", "[2, 50, 100]")


FORGERIES: dict[str, Edit] = {
    "a smaller share asked for": lambda made: made.request["rollout"].update(waves_percent=[1, 100]),
    "more shares asked for": lambda made: made.request["rollout"].update(waves_percent=[10, 50, 100]),
    "the policy's shares": _by_the_policy,
    "another share than planned": _of(1, percent=100),
    "longer than planned": _of(1, length=12),
    "another share of those cleared late": _of(3, percent=99),
    "longer than those cleared late": _of(3, length=2),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_wave_that_nobody_planned_is_refused(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Shares are the request's or the policy's, cumulative and rounded up; both verifiers say so."""
    sentence = "a wave is another than the plan has next"
    require_refused(whole, tmp_path, Forgery(check="waves", sentence=sentence, edit=FORGERIES[name]))
