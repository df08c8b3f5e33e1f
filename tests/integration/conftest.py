"""The store on a real PostgreSQL, for every integration test that asks for `databases`."""

from collections.abc import Iterator

import pytest

from tests.integration.store_fixtures import (
    Cluster,
    Databases,
    new_databases,
    new_template,
    running_cluster,
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for the session."""
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> str:
    """The migrated database that every module's own is copied from."""
    return new_template(cluster)


@pytest.fixture(scope="module")
def databases(cluster: Cluster, migrated_template: str) -> Iterator[Databases]:
    """A freshly migrated database of the module's own, as each role reaches it."""
    with new_databases(cluster, migrated_template) as fresh:
        yield fresh
