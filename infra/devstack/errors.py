"""The one error the dev stack raises."""


class StackError(Exception):
    """Says in one line what could not be done and what to do next.

    Attributes:
        log_end: last lines of the log of the server concerned; empty when none is.
    """

    def __init__(self, message: str, *, log_end: str = "") -> None:
        super().__init__(message)
        self.log_end = log_end
