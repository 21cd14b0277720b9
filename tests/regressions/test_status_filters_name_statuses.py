"""A list of servers in a status that there is not was empty, where the reference answers 400 since 2.38."""

from __future__ import annotations

import pytest

from hostler.resources.server.status import status_of
from tests.harness.client import Client

SERVERS = "/compute/v2.1/servers"


def ask(client: Client, query: str, version: str) -> int:
    return client.get(f"{SERVERS}?{query}", headers={"OpenStack-API-Version": f"compute {version}"}).status_code


@pytest.mark.parametrize("query", ["status=BOGUS", "status=", "status=UNKNOWN", "status=BOGUS&status=OTHER"])
def test_unknown_statuses_are_refused_since_2_38(client: Client, query: str) -> None:
    assert [ask(client, query, version) for version in ("2.1", "2.37", "2.38", "2.96")] == [200, 200, 400, 400]


@pytest.mark.parametrize("status", [
    "active", "BUILD", "SHUTOFF", "PAUSED", "SUSPENDED", "RESCUE", "VERIFY_RESIZE", "ERROR", "SOFT_DELETED", "SHELVED",
    "SHELVED_OFFLOADED", "DELETED", "REBOOT", "HARD_REBOOT", "PASSWORD", "REBUILD", "MIGRATING", "RESIZE",
    "REVERT_RESIZE"])
def test_published_statuses_are_taken(client: Client, status: str) -> None:
    assert ask(client, f"status={status}", "2.96") == 200
    assert ask(client, f"status=BOGUS&status={status}", "2.96") == 200


def test_a_server_whose_password_is_set_shows_it() -> None:
    assert status_of("active", "updating_password") == "PASSWORD"
