"""The custody role: seeds, signatures and addresses; no person within reach."""

from pathlib import Path
from typing import Any, Final

from activities.contracts.shapes import CUSTODY_QUEUE
from activities.custody.activities import CustodyActivities
from activities.custody.attesting import Attester
from activities.custody.permissions import KEY_SERVICE_NEEDS, KEY_SERVICE_NEVER
from activities.custody.sealing import TransitKeyService
from activities.custody.second_path_run import KeyServiceAddress
from workers.roster import Role, Tools
from workers.settings import RoleSettings, Settings, SettingsError


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


ROLE: Final = Role(
    queue=CUSTODY_QUEUE,
    database_role="walletworks_custody",
    key_service_needs=KEY_SERVICE_NEEDS,
    key_service_never=KEY_SERVICE_NEVER,
    section=_custody_section,
    build=_custody,
)
