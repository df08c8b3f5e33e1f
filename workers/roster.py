"""The roster: which role polls which queue, with which workflows and activities, under which rights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client

from activities.activation import ActivationActivities
from activities.announcements import Announcer, WebhookReceiver
from activities.approvals import ApprovalsActivities
from activities.clients.object_store import object_store
from activities.clients.transit import Transit
from activities.compliance import ComplianceActivities
from activities.contracts.shapes import CUSTODY_QUEUE, PROVISIONING_QUEUE
from activities.custody.activities import CustodyActivities
from activities.custody.attesting import Attester
from activities.custody.permissions import KEY_SERVICE_NEEDS, KEY_SERVICE_NEVER
from activities.custody.sealing import TransitKeyService
from activities.custody.second_path_run import KeyServiceAddress
from activities.evidence.activities import RecordActivities
from activities.intake.activities import IntakeActivities
from activities.intake.source import Inbox
from activities.personal_data import SubjectVault
from activities.reading import ReadingActivities
from activities.register import BatchRegisterActivities
from activities.screening.activities import ScreeningActivities
from activities.store.database import Database
from workers.histories import TemporalHistories
from workers.settings import RoleSettings, Settings, SettingsError, read_secret
from workflows.provision_batch import ProvisionBatch
from workflows.provision_shard import ProvisionShard

_UPDATE: Final = frozenset({"update"})


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


def open_database(section: RoleSettings) -> Database:
    """Gives the role's way to the store, with a connection for each activity at work and some to spare."""
    return Database(read_secret(section.database_url_file), pool_size=section.activity_slots + 2)


def open_transit(settings: Settings, section: RoleSettings) -> Transit:
    """Gives the role's view of the key service."""
    vault = settings.vault
    return Transit(address=vault.address, token_file=section.vault_token_file, mount=vault.mount)


def _provisioning(tools: Tools) -> list[Any]:
    settings, database = tools.settings, tools.database
    objects, trust = object_store(settings.object_store.uri), settings.trust.path
    vault, deployment = SubjectVault(transit=tools.transit), settings.deployment
    announcer = Announcer(database=database, object_store=objects, receiver=_receiver(settings))
    return [
        BatchRegisterActivities(database=database),
        IntakeActivities(
            database=database,
            vault=vault,
            object_store=objects,
            sources=Inbox(settings.inbox.path),
            policies=settings.policies.path,
            trust=trust,
        ),
        ComplianceActivities(
            database=database,
            object_store=objects,
            sources=Inbox(settings.inbox.path),
            policies=settings.policies.path,
            trust=trust,
        ),
        ApprovalsActivities(database=database, trust_path=trust, deployment=deployment, announcer=announcer),
        ScreeningActivities(
            database=database, vault=vault, object_store=objects, lists_folder=settings.lists.path
        ),
        ActivationActivities(database=database, trust_path=trust, deployment=deployment, announcer=announcer),
        RecordActivities(
            database=database,
            object_store=objects,
            vault=vault,
            trust_path=trust,
            deployment=deployment,
            histories=TemporalHistories(tools.client),
        ),
        ReadingActivities(database=database, object_store=objects, vault=vault, trust_path=trust),
    ]


def _receiver(settings: Settings) -> WebhookReceiver | None:
    if settings.webhooks is None:
        return None
    return WebhookReceiver(url=settings.webhooks.url, secret_file=settings.webhooks.secret_file)


def _custody(tools: Tools) -> list[Any]:
    settings, section = tools.settings, tools.settings.custody
    return [
        CustodyActivities(
            database=tools.database,
            keys=TransitKeyService(transit=tools.transit),
            key_service=KeyServiceAddress(
                address=settings.vault.address,
                token_file=section.vault_token_file,
                mount=settings.vault.mount,
            ),
            attester=Attester(transit=tools.transit, deployment=settings.deployment),
            trust=_own(section.trust_path, "custody.trust_path"),
            policies=_own(section.policies_path, "custody.policies_path"),
        )
    ]


def _custody_section(settings: Settings) -> RoleSettings:
    """Custody's section, refused before anything is opened when its own files are not named."""
    _own(settings.custody.trust_path, "custody.trust_path")
    _own(settings.custody.policies_path, "custody.policies_path")
    return settings.custody


def _own(path: Path | None, field: str) -> Path:
    """Custody believes its own mounted files only, so it does not start without them."""
    if path is None:
        raise SettingsError(f"{field}: custody needs its own")
    return path


ROLES: Final[Mapping[str, Role]] = {
    "provisioning": Role(
        queue=PROVISIONING_QUEUE,
        database_role="walletworks_provisioning",
        key_service_needs={
            "transit/datakey/plaintext/pii": _UPDATE,
            "transit/decrypt/pii": _UPDATE,
        },
        key_service_never=(
            "transit/datakey/plaintext/seed",
            "transit/decrypt/seed",
            "transit/sign/attest",
            "transit/export/encryption-key/pii",
            "transit/keys/pii/config",
            "sys/seal",
            "auth/token/create",
        ),
        section=lambda settings: settings.provisioning,
        build=_provisioning,
        workflows=(ProvisionBatch, ProvisionShard),
    ),
    "custody": Role(
        queue=CUSTODY_QUEUE,
        database_role="walletworks_custody",
        key_service_needs=KEY_SERVICE_NEEDS,
        key_service_never=KEY_SERVICE_NEVER,
        section=_custody_section,
        build=_custody,
    ),
}
"""Every role by its name on the command line."""


def activities_of(objects: list[Any]) -> list[Callable[..., Any]]:
    """Gives the bound methods of the objects that are activities."""
    return [
        method
        for each in objects
        for name in dir(each)
        if not name.startswith("_")
        and hasattr(method := getattr(each, name), "__temporal_activity_definition")
    ]
