"""How tests are shared out among processes: what looks back on one beginning stays together."""

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler.loadfile import LoadFileScheduling

BEGUN_ONCE: Final = {"chaos", "twice"}
"""Packages whose modules share one long beginning; elsewhere each module has its own."""


class SharingOut(LoadFileScheduling):  # type: ignore[misc]  # the library is not typed
    """Gives each process whole modules, and of these packages all modules."""

    def _split_scope(self, nodeid: str) -> str:
        module = PurePosixPath(nodeid.partition("::")[0])
        return str(module.parent if module.parent.name in BEGUN_ONCE else module)
