"""A mutant of each of a few modules, both drawn by a seed: the whole run is `make mutants`."""

import random
import subprocess
import sys

from tests.mutants.__main__ import reviewed_names
from tests.mutants.mutations import compiled, mutants_of
from tests.mutants.targets import REPOSITORY, TARGETS

SEED = 1
MODULES = 6


def test_drawn_mutants_are_noticed() -> None:
    """Taking any one check out of a module makes one of its quick tests fail."""
    quick = [target.module for target in TARGETS if target.unit]
    drawn = random.Random(SEED).sample(quick, MODULES)  # noqa: S311 - draws a sample, no secret
    command = [sys.executable, "-m", "tests.mutants", "--unit-only", "--sample", "1", "--seed", str(SEED)]
    command += [word for module in drawn for word in ("--only", module)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_reviewed_mutant_exists_and_has_a_reason() -> None:
    """The list of equivalent mutants names nothing that is not there, and says why for each."""
    names = {mutant.name for target in TARGETS for mutant in mutants_of(target.module, target.source)}
    reviewed = reviewed_names()
    assert set(reviewed) <= names
    assert all(len(reason) > 10 for reason in reviewed.values())


def test_a_mutant_lacks_what_it_is_named_for() -> None:
    """Each way of taking something out leaves a module that does without it."""
    source = (
        "def f(a, b):\n    if a > 1 and b:\n        raise ValueError\n    check(a)\n"
        "    return text('SELECT WHERE a BETWEEN 1 AND b AND (SELECT WHERE c) AND d ORDER BY e') or b\n"
        "    return True\n\nasync def g():\n    await check(1)\n\nRULES = (('x', f), ('y', f))\n"
    )
    found = {mutant.what for mutant in mutants_of("m", source)}
    assert {
        "never `if a > 1 and b`",
        "dropped `b` of `a > 1 and b`",
        "Gt became GtE in `a > 1`",
        "removed `raise ValueError`",
        "removed `check(a)`",
        "removed `await check(1)`",
        *(
            f"dropped the condition `{condition}` of the statement"
            for condition in ("a BETWEEN 1 AND b", "(SELECT WHERE c)", "c", "d")
        ),
        "not `return True`",
        "dropped the element `('y', f)`",
    } <= found
    assert len(found) == len(mutants_of("m", source))
    for mutant in mutants_of("m", source):
        compiled(mutant, source, path="m.py")
