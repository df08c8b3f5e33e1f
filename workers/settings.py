"""Settings, read once from one TOML file and frozen; secrets are read from the files it names.

The file is `WALLETWORKS_SETTINGS`, else `.walletworks/settings.toml` here or in a folder above. Temporal's
own environment variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE ...) come before it.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from activities.activation.webhook_address import require_webhook_url

SETTINGS_VARIABLE = "WALLETWORKS_SETTINGS"
"""The environment variable that names the settings file."""

_DEFAULT_PLACE = Path(".walletworks") / "settings.toml"


Shape = TypeVar("Shape", bound="ClientSettings")


class SettingsError(Exception):
    """The settings cannot be used; the text says which field and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TemporalSettings(_Section):
    """Where the engine is, unless the environment says otherwise."""

    address: str
    namespace: str = "default"
    ui: str = ""


class PathSettings(_Section):
    """A folder or file."""

    path: Path


class UriSettings(_Section):
    """A place by URI."""

    uri: str


class VaultSettings(_Section):
    """The key service."""

    address: str
    mount: str = "transit"


class RoleSettings(_Section):
    """What one worker role needs of its own; secrets stand in the files, never here."""

    database_url_file: Path
    vault_token_file: Path
    trust_path: Path | None = None
    policies_path: Path | None = None
    health_port: int = Field(default=0, ge=0, le=65_535)
    activity_slots: int = Field(default=8, ge=1, le=200)


class WebhookSettings(_Section):
    """Where announcements go, and the file that holds the signing secret."""

    url: Annotated[str, AfterValidator(require_webhook_url)]
    secret_file: Path


class BucketSettings(_Section):
    """The buckets sources may be read from, exactly named; `endpoint` where the store is not AWS's."""

    allowed: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")], ...] = Field(
        min_length=1, max_length=1000
    )
    endpoint: str = Field(default="", pattern=r"^(https?://.+)?$")
    region: str = ""
    credentials_file: Path | None = None


class TelemetrySettings(_Section):
    """Where traces and metrics go: `none`, `console`, or `otlp` with an endpoint; metrics every so often."""

    exporter: str = Field(default="none", pattern="^(none|console|otlp)$")
    endpoint: str = ""
    metric_seconds: float = Field(default=15, ge=0.1, le=300)


class ClientSettings(BaseModel):
    """What the command line is told; what the same file says to workers is theirs to check."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    deployment: str
    temporal: TemporalSettings
    inbox: PathSettings
    telemetry: TelemetrySettings = TelemetrySettings()


class Settings(ClientSettings):
    """Everything a worker is told at its start; a section nobody knows is refused by name."""

    model_config = ConfigDict(extra="forbid")

    state_dir: Path
    object_store: UriSettings
    lists: PathSettings
    policies: PathSettings
    trust: PathSettings
    vault: VaultSettings
    provisioning: RoleSettings
    custody: RoleSettings
    webhooks: WebhookSettings | None = None
    buckets: BucketSettings | None = None


def load_settings(path: Path | None = None) -> Settings:
    """Gives a worker's settings.

    Raises: SettingsError naming the file or the field, and what to do.
    """
    return _load(path, Settings)


def load_client_settings(path: Path | None = None) -> ClientSettings:
    """Gives the command line's settings.

    Raises: SettingsError naming the file or the field, and what to do.
    """
    return _load(path, ClientSettings)


def _load(path: Path | None, shape: type[Shape]) -> Shape:
    place = path or _find()
    try:
        return shape.model_validate(tomllib.loads(place.read_text(encoding="utf-8")))
    except OSError:
        problem = f"{place} cannot be read: start the stack with `make up`, or set {SETTINGS_VARIABLE}"
    except tomllib.TOMLDecodeError as error:
        problem = f"{place} is not TOML: {error}"
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = f"{place}: {field}: {first['msg']}"
    raise SettingsError(problem)


def read_secret(path: Path) -> str:
    """Gives the secret in a file, without the line's end."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        problem = f"the secret file {path} cannot be read by this user"
    raise SettingsError(problem)


def _find() -> Path:
    named = os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    candidates = [folder / _DEFAULT_PLACE for folder in (here, *here.parents)]
    return next((place for place in candidates if place.is_file()), _DEFAULT_PLACE)
