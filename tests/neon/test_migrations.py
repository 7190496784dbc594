"""Migrations on Neon: over the direct connection, whichever URL is given, and one migrator at a time."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from compute import OWNER, Compute
from databases import PASSWORD, administer, ask, migrate
from endpoint import DOMAIN, NAME, Endpoint
from psycopg2 import sql


def test_a_pooled_url(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """The first label of the host loses its `-pooler`, and the log says so (scenario 18)."""
    with caplog.at_level(logging.INFO, "todoservice"):
        migrate(endpoint.address(OWNER, PASSWORD))
    assert set(endpoint.names) == {f"{NAME}.{DOMAIN}"}
    assert f"Migrating over the direct connection, to {NAME}.{DOMAIN} instead of its pooler" in caplog.text
    assert PASSWORD not in caplog.text


def test_two_migrators(node: Compute) -> None:
    """Of two that come at once to an empty database, one migrates and the other finds it done (scenario 18)."""
    administer(node.url(), sql.SQL("CREATE DATABASE empty"))
    try:
        with ThreadPoolExecutor() as threads:
            applied = list(threads.map(migrate, [node.url(database="empty")] * 2))
        assert sorted(map(bool, applied)) == [False, True]
        assert ask(node.url(database="empty"), "SELECT count(*) FROM todoservice.todos") == [(0,)]
    finally:
        administer(node.url(), sql.SQL("DROP DATABASE empty WITH (FORCE)"))
