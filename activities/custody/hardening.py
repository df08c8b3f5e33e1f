"""Keeps a process that opens seeds out of core dumps and out of other processes' reach.

Standard library only: the second derivation path starts with it too.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
"""Option numbers of prctl(2)."""


def harden_process() -> None:
    """Turns core dumps off and makes the process not dumpable: no debugger of its user attaches.

    Off Linux only the core limit exists; there this is no place for real seeds.

    Raises: OSError when the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent() -> None:
    """Asks the kernel to end this process when the thread that started it ends."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
