"""Settings: what the command line needs is little, what a worker needs is everything."""

from pathlib import Path

import pytest

from workers.settings import SettingsError, load_client_settings, load_settings

CLIENT = """
deployment = "acme-prod"
[temporal]
address = "temporal.example:7233"
[inbox]
path = "/srv/inbox"
"""


_ROLE = 'database_url_file = "/run/secrets/url"\nvault_token_file = "/run/secrets/token"\n'
_WORKERS = f"""
[object_store]
uri = "file:///srv/objects"
[lists]
path = "/srv/lists"
[policies]
path = "/srv/policies"
[trust]
path = "/srv/trust.toml"
[vault]
address = "https://vault.example:8200"
[provisioning]
{_ROLE}
[custody]
{_ROLE}
"""


def _file(folder: Path, text: str) -> Path:
    place = folder / "settings.toml"
    place.write_text(text)
    return place


def test_the_command_line_needs_no_secret_file(tmp_path: Path) -> None:
    """A product team's settings name the engine and the inbox, no database and no key service."""
    settings = load_client_settings(_file(tmp_path, CLIENT))
    assert (settings.deployment, settings.temporal.namespace) == ("acme-prod", "default")


def test_a_worker_is_told_which_section_is_missing(tmp_path: Path) -> None:
    """A worker does not start on the command line's settings, and says what it lacks."""
    with pytest.raises(SettingsError, match="state_dir: Field required"):
        load_settings(_file(tmp_path, CLIENT))


def test_a_misspelt_section_is_refused_by_name(tmp_path: Path) -> None:
    """A worker does not pass over a section that nobody knows."""
    with pytest.raises(SettingsError, match="telemetri"):
        load_settings(_file(tmp_path, 'state_dir = "/srv/state"\n' + CLIENT + "[telemetri]\n" + _WORKERS))


def test_what_is_not_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    """The file is named, and the line of the trouble."""
    with pytest.raises(SettingsError, match=r"settings\.toml is not TOML"):
        load_client_settings(_file(tmp_path, "deployment ="))


def test_a_whole_file_serves_both(tmp_path: Path) -> None:
    """One file can tell the command line and the workers."""
    place = _file(tmp_path, 'state_dir = "/srv/state"\n' + CLIENT + _WORKERS)
    assert load_settings(place).vault.mount == "transit"
    assert load_client_settings(place).deployment == "acme-prod"
