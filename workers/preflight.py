"""Before a worker polls: its rights are what its role needs and no more, checked at the services themselves.

A service that is away and a schema not migrated yet are waited for; rights that are wrong end the process.
"""

import asyncio
from collections.abc import Callable

import structlog

from activities.clients.transit import Transit
from activities.failures import AccessDeniedError, RateLimitedError, ServiceUnavailableError
from activities.store.database import Database
from activities.store.permissions import excess_privileges
from activities.store.revision import REVISION, is_ahead, is_behind, revision_met
from workers.roster import Role

WAIT_SECONDS = 2.0
"""Between two looks at a service that is away."""

_log = structlog.get_logger()


async def require_exact_rights(role: Role, *, database: Database, transit: Transit) -> bool:
    """Gives true once both services have confirmed the role's rights.

    Raises: AccessDeniedError when the role can do more than it must, or less.
    """
    await _once_reachable(lambda: _require_database(role, database))
    await _once_reachable(
        lambda: transit.require_exactly(role.key_service_needs, never=role.key_service_never)
    )
    return True


def _require_database(role: Role, database: Database) -> None:
    with database.transaction() as connection:
        found = revision_met(connection)
        if is_behind(found):
            stands = f"database schema {REVISION} (it stands at {found or 'nothing'}: migrate it first)"
            raise ServiceUnavailableError(stands)
        excess = excess_privileges(connection, role.database_role)
    newer = f" (the schema stands at {found}, this build knows {REVISION})" if is_ahead(found) else ""
    if excess:
        raise AccessDeniedError(f"the database role can do too much: {'; '.join(excess[:10])}{newer}")
    if newer:
        _log.warning("the database schema is newer than this worker", schema=found, known=REVISION)


async def _once_reachable(check: Callable[[], None]) -> None:
    while True:
        try:
            await asyncio.to_thread(check)
        except (ServiceUnavailableError, RateLimitedError) as error:
            _log.warning("a service is waited for", service=error.details[0])
        else:
            return
        await asyncio.sleep(WAIT_SECONDS)
