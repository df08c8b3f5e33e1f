"""The provisioning role: people, lists, policies, object store and Temporal; no seed within reach."""

from typing import Any, Final

from activities.activation.activities import ActivationActivities
from activities.activation.announcements import Announcer
from activities.activation.webhooks import WebhookReceiver
from activities.approvals.activities import ApprovalsActivities
from activities.clients.object_store import object_store
from activities.compliance.activities import ComplianceActivities
from activities.contracts.shapes import PROVISIONING_QUEUE
from activities.evidence.activities import RecordActivities
from activities.intake.activities import IntakeActivities
from activities.intake.source import Inbox, Places
from activities.personal_data import SubjectVault
from activities.reading.activities import ReadingActivities
from activities.register import BatchRegisterActivities
from activities.screening.activities import ScreeningActivities
from workers.histories import TemporalHistories
from workers.roster import Role, Tools
from workers.runs import TemporalRuns
from workers.schedules import ensure_sweeper
from workers.settings import Settings
from workers.sweeps import ReportedSweeping
from workflows.provision_batch import ProvisionBatch
from workflows.provision_shard import ProvisionShard
from workflows.sweep_batches import SweepBatches
from workflows.undo_batch import UndoBatch

_UPDATE: Final = frozenset({"update"})


def _provisioning(tools: Tools) -> list[Any]:
    settings, database = tools.settings, tools.database
    objects, trust = object_store(settings.object_store.uri), settings.trust.path
    vault, deployment = SubjectVault(transit=tools.transit), settings.deployment
    sources = _sources(settings)
    announcer = Announcer(database=database, object_store=objects, receiver=_receiver(settings))
    return [
        BatchRegisterActivities(database=database),
        IntakeActivities(
            database=database,
            vault=vault,
            object_store=objects,
            sources=sources,
            policies=settings.policies.path,
            trust=trust,
        ),
        ComplianceActivities(
            database=database,
            object_store=objects,
            sources=sources,
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
        ReportedSweeping(database=database, object_store=objects, runs=TemporalRuns(tools.client)),
        ReadingActivities(database=database, object_store=objects, vault=vault, trust_path=trust),
    ]


def _sources(settings: Settings) -> Places:
    if settings.buckets is None:
        return Places(Inbox(settings.inbox.path), None)
    from activities.intake.buckets import (  # noqa: PLC0415 - a client of AWS costs a worker 0.4 s and 50 MiB
        Buckets,
        bucket_client,
    )

    wanted = settings.buckets
    client = bucket_client(
        endpoint=wanted.endpoint, region=wanted.region, credentials_file=wanted.credentials_file
    )
    return Places(Inbox(settings.inbox.path), Buckets(client, allowed=wanted.allowed))


def _receiver(settings: Settings) -> WebhookReceiver | None:
    if settings.webhooks is None:
        return None
    return WebhookReceiver(url=settings.webhooks.url, secret_file=settings.webhooks.secret_file)


ROLE: Final = Role(
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
    schedule=ensure_sweeper,
    workflows=(ProvisionBatch, ProvisionShard, SweepBatches, UndoBatch),
)
