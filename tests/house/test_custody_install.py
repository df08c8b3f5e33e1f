"""The custody worker needs nothing but what its own lock file installs."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OURS_OR_THE_INTERPRETERS = {"walletworks", "setuptools", "pip"}

LOADED = """
import sys

class Absent:
    names = set(sys.argv[1:])

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
import workers.__main__
from workers.roster import role_named
print(role_named(ROLE).queue)
import activities.custody.second_path
"""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _not_locked() -> list[str]:
    """Gives every importable name of this environment that custody's lock file does not install."""
    lock = (REPOSITORY / "requirements-custody.lock").read_text()
    pinned = {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    allowed = pinned | OURS_OR_THE_INTERPRETERS
    owners = packages_distributions().items()
    return sorted(name for name, by in owners if not allowed & {_normal(each) for each in by})


def _starts(role: str) -> subprocess.CompletedProcess[str]:
    script = LOADED.replace("ROLE", repr(role))
    return subprocess.run(
        [sys.executable, "-c", script, *_not_locked()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_custody_starts_with_nothing_beyond_its_lock_file() -> None:
    """Where only requirements-custody.lock is installed, custody's worker and second path load."""
    done = _starts("custody")
    assert (done.returncode, done.stdout) == (0, "custody\n"), done.stderr


def test_provisioning_does_not_start_on_custodys_lock_file() -> None:
    """The check can fail: what provisioning needs is not there."""
    assert "ModuleNotFoundError" in _starts("provisioning").stderr
