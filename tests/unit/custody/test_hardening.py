"""Hardening: a process that opens seeds leaves no core dump."""

import subprocess
import sys
from pathlib import Path

import pytest

from activities.custody import hardening

_SCRIPT = """
import ctypes, resource
from activities.custody.hardening import end_with_parent, harden_process
harden_process()
end_with_parent()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
_PR_GET_DUMPABLE_OFF = 0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_hardened_process_is_not_dumpable() -> None:
    """Afterwards the core limit is zero for good and the kernel reports the process as not dumpable."""
    root = str(Path(hardening.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", _SCRIPT],
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"(0, 0) {_PR_GET_DUMPABLE_OFF}"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_refusal_of_the_kernel_is_an_error() -> None:
    """A process that could not be hardened does not go on as if it were."""
    unknown_option = -1
    with pytest.raises(OSError, match="Invalid argument"):
        hardening._prctl(unknown_option, 0)
