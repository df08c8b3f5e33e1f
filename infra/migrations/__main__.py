"""`python -m infra.migrations current|upgrade|downgrade`: the schema, from the command line of its owner.

Forward: the schema first, then the workers. Back: the workers first, then the schema.
"""

import argparse
import os
import sys
from pathlib import Path

from sqlalchemy.exc import OperationalError

from infra.migrations import MigrationRefusedError, current, downgrade, is_ahead, latest, revisions, upgrade

DONE, REFUSED, WRONG_USE, UNREACHABLE = 0, 1, 2, 3

URL_VARIABLE = "DATABASE_URL"


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; gives the exit code (0 done, 1 refused, 2 wrong use, 3 no database there)."""
    options = _parser().parse_args(arguments)
    try:
        url = options.url_file.read_text().strip() if options.url_file else os.environ.get(URL_VARIABLE, "")
    except OSError:
        return _failed(f"{options.url_file} cannot be read", WRONG_USE)
    if not url:
        return _failed(f"name the database: --url-file FILE, or {URL_VARIABLE}", WRONG_USE)
    try:
        return _run(options.command, options.revision, url)
    except MigrationRefusedError as refusal:
        return _failed(str(refusal), REFUSED)
    except OperationalError:
        return _failed("the database does not answer, or refuses this login", UNREACHABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.migrations", description=__doc__)
    parser.add_argument("command", choices=("current", "upgrade", "downgrade"))
    parser.add_argument("revision", nargs="?", help="upgrade: the newest unless given; downgrade: needed")
    parser.add_argument(
        "--url-file", type=Path, metavar="FILE", help=f"the owner's URL (default: {URL_VARIABLE})"
    )
    return parser


def _run(command: str, revision: str | None, url: str) -> int:
    before = current(url)
    if command == "current":
        return _said(_told(before))
    target = revision or (latest() if command == "upgrade" else None)
    if target not in revisions():
        # To go below the first revision would remove every record: no command of ours does that.
        return _failed(f"name one of the revisions {', '.join(revisions())}", WRONG_USE)
    if command == "upgrade":
        upgrade(url, target)
    else:
        downgrade(url, target)
    after = current(url)
    return _said(_told(after) if after == before else f"{_told(after)} (was: {before or 'nothing'})")


def _told(revision: str | None) -> str:
    if is_ahead(revision):
        return f"schema {revision}, which only a newer release knows (this one: {latest()})"
    return f"schema {revision or 'not made yet'}; this release's newest: {latest()}"


def _said(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return DONE


def _failed(text: str, code: int) -> int:
    sys.stderr.write(f"error: {text}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
