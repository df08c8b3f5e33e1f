"""Which command runs: told by the table of commands, read where a command is reported of."""

from contextvars import ContextVar
from typing import Final

CALLED: Final[ContextVar[str]] = ContextVar("called", default="walletworks")
"""The program and the command, without what was given to it: `walletworks submit`."""
