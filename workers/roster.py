"""The roster: which role polls which queue, with which workflows and activities, under which rights."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from temporalio.client import Client

from activities.clients.transit import Transit
from activities.store.database import Database
from workers.settings import RoleSettings, Settings, read_secret

ROLES: Final[Mapping[str, str]] = {
    "provisioning": "workers.roles.provisioning",
    "custody": "workers.roles.custody",
}
"""The module of every role by its name on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a role's activities are built with."""

    settings: Settings
    client: Client
    database: Database
    transit: Transit


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One kind of worker process; `build` gives the objects whose methods are its activities."""

    queue: str
    database_role: str
    key_service_needs: Mapping[str, frozenset[str]]
    key_service_never: tuple[str, ...]
    section: Callable[[Settings], RoleSettings]
    build: Callable[[Tools], list[Any]]
    workflows: tuple[type, ...] = ()
    schedule: Callable[[Client], Awaitable[None]] | None = None


def open_database(section: RoleSettings) -> Database:
    """Gives the role's way to the store, with a connection for each activity at work and some to spare."""
    return Database(read_secret(section.database_url_file), pool_size=section.activity_slots + 2)


def open_transit(settings: Settings, section: RoleSettings) -> Transit:
    """Gives the role's view of the key service."""
    vault = settings.vault
    return Transit(address=vault.address, token_file=section.vault_token_file, mount=vault.mount)


def role_named(name: str) -> Role:
    """Gives a role of the table, loading what it is made of."""
    role: Role = import_module(ROLES[name]).ROLE
    return role


def activities_of(objects: list[Any]) -> list[Callable[..., Any]]:
    """Gives the bound methods of the objects that are activities."""
    return [
        method
        for each in objects
        for name in dir(each)
        if not name.startswith("_")
        and hasattr(method := getattr(each, name), "__temporal_activity_definition")
    ]
