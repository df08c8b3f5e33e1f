"""Two rounds of a few commands: the same exit code each time; and growth is told from standing still."""

from pathlib import Path

from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.bench.measures import Measure
from tests.soak.forms import USES, standing_forms
from tests.soak.rounds import run_forms
from tests.soak.runner import Runner
from tests.soak.upkeep import Upkeep
from workers.cli.main import COMMANDS

FEW = ("inbox", "submit", "verify")
"""Commands that no worker answers: none is running here."""

ROUNDS = 2


def test_soak_knows_every_command() -> None:
    """A new command is soaked, too."""
    assert set(USES) == set(COMMANDS)
    assert {form.arguments[0] for form in standing_forms()} == set(COMMANDS)


def test_exit_codes_of_a_few_commands_are_the_same_each_time(stack: Stack, tmp_path: Path) -> None:
    """Refused, wrongly used and without the engine: one code each, whenever it is run."""
    runner = Runner(stack=stack, stage=set_stage(stack), folder=tmp_path)
    for _ in range(ROUNDS):
        run_forms(runner, [form for form in standing_forms() if form.arguments[0] in FEW])
    assert runner.surprises == []
    assert all(codes.total() == ROUNDS for codes in runner.codes.values())


def test_what_grows_is_below_its_bar_and_what_stands_still_is_not(stack: Stack) -> None:
    """A leak of one file a round shows; memory that was taken once and kept does not."""
    upkeep = Upkeep(stack=stack)
    upkeep.files["leaking"] = [10.0 + number for number in range(40)]
    upkeep.files["steady"] = [10.0] * 40
    upkeep.mebibytes["warm"] = [80.0] + [120.0] * 39
    upkeep.rows["even"] = [7.0 * number for number in range(40)]
    upkeep.rows["ever_more"] = [float(number**2) for number in range(40)]
    verdicts = {each.name: each.verdict for each in upkeep.measures()}
    expected = {"leaking": "below", "steady": "PASS", "warm": "PASS", "even": "PASS", "ever_more": "below"}
    assert verdicts == expected


def test_few_rounds_are_shown_and_not_judged(stack: Stack) -> None:
    """A bar that two samples decide would say nothing."""
    upkeep = Upkeep(stack=stack, files={"worker": [10.0, 99.0]})
    assert upkeep.measures() == [Measure(table="open files", name="worker", value=99.0, unit="files")]
