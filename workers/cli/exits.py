"""Exit codes, which are part of the outside face, and the errors that carry them."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command's end means to a script."""

    DONE = 0
    REFUSED = 1
    WRONG_USE = 2
    UNREACHABLE = 3
    EXCEPTIONS = 4


class CommandError(Exception):
    """Ends a command with one line for people and an exit code for scripts."""

    def __init__(self, message: str, code: Exit = Exit.REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


OUTCOME_EXITS = {"completed": Exit.DONE, "completed_with_exceptions": Exit.EXCEPTIONS}
"""How a batch's outcome shows in the exit code; every other outcome is REFUSED."""
