"""The store on the stack's real PostgreSQL, for every integration test that asks for `databases`."""

from collections.abc import Iterator

import pytest

from infra.devstack import Stack
from tests.integration.store_fixtures import (
    Cluster,
    Databases,
    cluster_of,
    new_databases,
    new_template,
)


@pytest.fixture(scope="session")
def cluster(stack: Stack) -> Cluster:
    """The session's server, as its superuser and as each role."""
    return cluster_of(stack.postgres.admin_url(), stack.state_dir)


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> Iterator[str]:
    """The migrated database that every module's own is copied from."""
    with new_template(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def databases(cluster: Cluster, migrated_template: str) -> Iterator[Databases]:
    """A freshly migrated database of the module's own, as each role reaches it."""
    with new_databases(cluster, migrated_template) as fresh:
        yield fresh
