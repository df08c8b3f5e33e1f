"""A long run that is told to end puts away what it started, as it does after Ctrl-C."""

import signal
import sys


def put_away_when_told_to_end() -> None:
    """Makes the first SIGTERM unwind the program, its `finally` blocks included; the exit code is 1."""
    signal.signal(signal.SIGTERM, _unwind)


def _unwind(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once told is enough: a second one would cut the first off
    sys.exit(1)
