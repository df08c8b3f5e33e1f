"""What the command lines of `infra` share: exit codes, one-line errors, and which database they are for."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

DONE, REFUSED, WRONG_USE, UNREACHABLE = 0, 1, 2, 3

URL_VARIABLE: Final = "DATABASE_URL"


class CommandError(Exception):
    """Why a command cannot go on, in one line, and the exit code it ends with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def add_url_option(parser: argparse.ArgumentParser, *, whose: str) -> None:
    """Lets the URL stand in a file: in an argument list everybody could read the password."""
    said = f"{whose} URL (default: {URL_VARIABLE})"
    parser.add_argument("--url-file", type=Path, metavar="FILE", help=said)


def database_url(url_file: Path | None) -> str:
    """Gives the URL out of the file, else out of the environment.

    Raises: CommandError.
    """
    try:
        url = url_file.read_text().strip() if url_file else os.environ.get(URL_VARIABLE, "")
    except OSError:
        raise CommandError(f"{url_file} cannot be read", WRONG_USE) from None
    if not url:
        raise CommandError(f"name the database: --url-file FILE, or {URL_VARIABLE}", WRONG_USE)
    return url


def failed(text: str, code: int) -> int:
    """Says why, and gives the exit code."""
    sys.stderr.write(f"error: {text}\n")
    return code


def say(line: str) -> None:
    """Prints one line."""
    sys.stdout.write(f"{line}\n")
