"""The revision of the schema that this build was written for, and the one it meets.

The schema goes forward before the workers and back after them, so that a build meets its own or a newer one.
"""

from sqlalchemy import Connection, text

REVISION = "0003"
"""The newest revision of `infra.migrations`, which not every process has installed."""


def revision_met(connection: Connection) -> str | None:
    """Gives the revision that the schema stands at; None where no migration was ever run."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def is_behind(found: str | None) -> bool:
    """Tells whether a schema lacks what this build needs; revisions are numbers of four digits."""
    return found is None or found < REVISION


def is_ahead(found: str | None) -> bool:
    """Tells whether a schema is newer than this build."""
    return found is not None and found > REVISION
