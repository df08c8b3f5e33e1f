"""What a long run is asked for, and the command that repeats it."""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KILLS: Final = 100
SUBJECTS: Final = 20_000
OTHERS_SHARE: Final = 0.4
ANSWERS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run: everything that decides what happens in it."""

    seed: int
    kills: int
    others: int
    subjects: int
    answers: int
    json: Path | None = None

    @property
    def command(self) -> str:
        """The command that runs the same again."""
        return (
            f"python -m tests.chaos --seed {self.seed} --kills {self.kills} --others {self.others}"
            f" --subjects {self.subjects} --answers {self.answers}"
        )


def parse(arguments: list[str] | None) -> Options:
    """Reads the command line; a run without a seed draws one."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats a run: same faults, victims, moments")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"SIGKILLs in all (default {KILLS})")
    parser.add_argument(
        "--others", type=int, help=f"other faults in all (default {OTHERS_SHARE} of the kills)"
    )
    parser.add_argument("--subjects", type=int, default=SUBJECTS, help="size of the first batch")
    parser.add_argument(
        "--answers", type=int, default=ANSWERS, help=f"kills in the moment of an answer (default {ANSWERS})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    given = parser.parse_args(arguments)
    return Options(
        seed=random.SystemRandom().randrange(10**6) if given.seed is None else given.seed,
        kills=given.kills,
        others=round(given.kills * OTHERS_SHARE) if given.others is None else given.others,
        subjects=given.subjects,
        answers=given.answers,
        json=given.json,
    )
