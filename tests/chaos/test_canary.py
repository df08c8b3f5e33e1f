"""The seed of the batch that went through the storm, and its people, are found nowhere they must not be."""

from pathlib import Path
from typing import Final

import pytest

from activities.clients.transit import Transit
from activities.custody import keyrings
from activities.custody.sealing import TransitKeyService, opened
from activities.store.database import Database
from tests.chaos import haystack
from tests.chaos.needles import (
    PERSONAL_COLUMNS,
    Needles,
    binary_forms,
    mnemonic_forms,
    personal_needles,
    secret_needles,
)
from tests.chaos.ordeal import SUBJECTS, Ordeal

RIGHTFUL: Final = ("inbox", "demo", "lists", "objects/lists")
"""Where people's values lie by right: what the requester handed in, and lists the authorities publish."""

NEVER_MADE: Final = bytes(range(17, 49))
"""Stands for a secret where the search itself is tried."""


@pytest.fixture(scope="module")
def secrets(ordeal: Ordeal) -> Needles:
    """The batch's secrets, opened as custody opens them."""
    token = ordeal.stack.state_dir / "secrets" / "custody" / "vault_token"
    keys = TransitKeyService(transit=Transit(address=ordeal.stack.openbao.address, token_file=token))
    store = Database(ordeal.stack.database_url("custody"))
    try:
        with ordeal.admin() as admin, store.transaction() as connection:
            keyring = keyrings.require_keyring(connection, batch_no=ordeal.case(admin).batch_no)
    finally:
        store.close()
    with opened(keys, keyring.sealed, keyring.scope) as entropy:
        return secret_needles(bytes(entropy))


@pytest.fixture(scope="module")
async def shown(ordeal: Ordeal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the servers show: histories, columns, bundle, command lines and environments."""
    folder = tmp_path_factory.mktemp("shown")
    await haystack.write_histories(ordeal.office.client, folder)
    haystack.write_columns(ordeal, folder)
    haystack.write_bundle(ordeal, folder)
    (folder / "processes").write_bytes(b"\n".join(ordeal.glances))
    return folder


def test_secrets_are_found_nowhere(ordeal: Ordeal, secrets: Needles, shown: Path, tmp_path: Path) -> None:
    """No form of seed, mnemonic, private or extended key is in any file, history, log, column or process."""
    files = [*haystack.files_under(ordeal.stack.state_dir), *haystack.files_under(shown)]
    assert haystack.found_in(files, secrets, tmp_path) == set()


def test_values_of_people_are_found_only_where_they_were_handed_in(
    ordeal: Ordeal, shown: Path, tmp_path: Path
) -> None:
    """No name, birth date, document or KYC reference is in the clear outside of the source itself."""
    files = [*haystack.files_under(ordeal.stack.state_dir, but=RIGHTFUL), *haystack.files_under(shown)]
    assert haystack.found_in(files, personal_needles(ordeal.people), tmp_path) == set()


def test_every_kind_of_place_was_searched(ordeal: Ordeal, shown: Path) -> None:
    """A search that overlooks a place proves nothing of it."""
    kept = {
        path.relative_to(ordeal.stack.state_dir).parts[0]
        for path in haystack.files_under(ordeal.stack.state_dir)
    }
    assert kept >= {"logs", "objects", "openbao", "postgres", "temporal", "run", "inbox"}
    assert list((ordeal.stack.state_dir / "postgres" / "data" / "pg_wal").iterdir())
    kinds = {path.name.partition("-")[0] for path in shown.iterdir()}
    assert kinds == {"history", "column", "bundle", "processes"}
    assert {path.suffix for path in shown.glob("history-*")} == {".raw", ".json", ".payloads"}
    assert b"activities.custody.second_path" in (shown / "processes").read_bytes()
    assert (shown / "column-keyrings.ciphertext").stat().st_size


def test_search_finds_every_form_of_a_canary(tmp_path: Path) -> None:
    """The positive control: a canary written on purpose is found in each of its forms."""
    words = ["abandon", "ability", "able", "about", "above", "absent"]
    needles = binary_forms("canary", NEVER_MADE) | mnemonic_forms(words)
    for number, needle in enumerate(needles):
        (tmp_path / f"{number:04}").write_bytes(b"\x00before\n" + needle + b"after\xff")
    found = haystack.found_in(sorted(tmp_path.iterdir()), needles, tmp_path)
    assert {name for name, _ in found} == {f"{number:04}" for number in range(len(needles))}


def test_search_finds_the_people_where_they_are_by_right(ordeal: Ordeal, tmp_path: Path) -> None:
    """The positive control for people: the last row of their source is found, column by column."""
    needles = personal_needles(ordeal.people)
    found = {name for _, name in haystack.found_in([ordeal.people], needles, tmp_path)}
    assert found >= {f"{column} of row {SUBJECTS - 1}" for column in PERSONAL_COLUMNS}
