"""The settings file every process of ours reads; it names secret files and holds no secret."""

import json
import secrets
import shutil
import tomllib

from infra.devstack import keyservice
from infra.devstack.state import REPOSITORY, StateFolder

POLICIES = REPOSITORY / "infra" / "policies"


def write(folder: StateFolder, *, temporal: dict[str, str], vault_address: str) -> None:
    """Replaces the settings file; the deployment's name is made once and kept."""
    base = folder.path
    sections: dict[str, dict[str, str]] = {
        "temporal": temporal,
        "object_store": {"uri": (base / "objects").as_uri()},
        "inbox": {"path": str(base / "inbox")},
        "lists": {"path": str(base / "lists")},
        "policies": {"path": str(base / "policies")},
        "trust": {"path": str(base / "trust" / "trust.toml")},
        "provisioning": _secret_files(folder, "provisioning"),
        "custody": _secret_files(folder, "custody")
        | {
            "trust_path": str(base / "custody" / "trust.toml"),
            "policies_path": str(base / "custody" / "policies"),
        },
        "vault": {"address": vault_address, "mount": keyservice.MOUNT},
    }
    top = {"deployment": _deployment(folder), "state_dir": str(base)}
    text = _table(top) + "".join(f"\n[{name}]\n{_table(keys)}" for name, keys in sections.items())
    folder.write("settings.toml", text)


def lay_out_policies(folder: StateFolder) -> None:
    """Gives both workers their copy of the jurisdictions' policies, once; later edits are kept."""
    for place in ("policies", "custody/policies"):
        target = folder.path / place
        if any(target.iterdir()):
            continue
        for source in sorted(POLICIES.glob("*.toml")):
            shutil.copyfile(source, target / source.name)


def _deployment(folder: StateFolder) -> str:
    if folder.settings_path.exists():
        return str(tomllib.loads(folder.settings_path.read_text())["deployment"])
    return f"dev-{secrets.token_hex(3)}"


def _secret_files(folder: StateFolder, role: str) -> dict[str, str]:
    return {f"{kind}_file": str(folder.secret_path(role, kind)) for kind in ("database_url", "vault_token")}


def _table(keys: dict[str, str]) -> str:
    # A JSON string is a TOML basic string.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
