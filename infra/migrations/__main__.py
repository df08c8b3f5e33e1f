"""`python -m infra.migrations current|upgrade|downgrade`: the schema, from the command line of its owner.

Forward: the schema first, then the workers. Back: the workers first, then the schema.
"""

import argparse

from sqlalchemy.exc import OperationalError

from infra.commands import (
    DONE,
    REFUSED,
    UNREACHABLE,
    WRONG_USE,
    CommandError,
    add_url_option,
    database_url,
    failed,
    say,
)
from infra.migrations import MigrationRefusedError, current, downgrade, is_ahead, latest, revisions, upgrade


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; gives the exit code (0 done, 1 refused, 2 wrong use, 3 no database there)."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options.command, options.revision, database_url(options.url_file))
    except CommandError as error:
        return failed(str(error), error.code)
    except MigrationRefusedError as refusal:
        return failed(str(refusal), REFUSED)
    except OperationalError:
        return failed("the database does not answer, or refuses this login", UNREACHABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.migrations", description=__doc__)
    parser.add_argument("command", choices=("current", "upgrade", "downgrade"))
    parser.add_argument("revision", nargs="?", help="upgrade: the newest unless given; downgrade: needed")
    add_url_option(parser, whose="the owner's")
    return parser


def _run(command: str, revision: str | None, url: str) -> int:
    before = current(url)
    if command == "current":
        return _said(_told(before))
    target = revision or (latest() if command == "upgrade" else None)
    if target not in revisions():
        # To go below the first revision would remove every record: no command of ours does that.
        return failed(f"name one of the revisions {', '.join(revisions())}", WRONG_USE)
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
    say(text)
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
