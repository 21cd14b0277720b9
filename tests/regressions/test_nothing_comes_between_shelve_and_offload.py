"""An unshelve was accepted after a shelve and before its offload, which then failed for a server that was back."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hostler.db.models import Operation
from hostler.operations import lease
from hostler.operations.kinds import server as kinds
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"


def test_a_server_cannot_be_unshelved_before_it_has_left_its_host(
        cloud: Cloud, client: Client, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.conf.set_override("public_url", cloud.url, "api")
    server_id = client.create_server(image, "between")
    client.wait_server(server_id, "ACTIVE")
    may_offload, claim = threading.Event(), lease.claim

    def claim_later(db: Any, operation_id: str, *arguments: Any, **options: Any) -> lease.Claim | None:
        with db.reading() as session:
            kind = session.get_one(Operation, operation_id).kind
        if kind == kinds.SHELVE_OFFLOAD.name and not may_offload.is_set():
            return None
        return claim(db, operation_id, *arguments, **options)

    monkeypatch.setattr(lease, "claim", claim_later)
    client.post(f"{_SERVERS}/{server_id}/action", {"shelve": None}).raise_for_status()
    wait_for(lambda: (client.show(server_id) or {})["OS-EXT-STS:vm_state"] == "shelved", "the shelved server", 30)
    assert (client.show(server_id) or {})["OS-EXT-STS:task_state"] == "shelving_offloading"
    assert client.post(f"{_SERVERS}/{server_id}/action", {"unshelve": None}).status_code == 409
    may_offload.set()
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    client.delete(f"{_SERVERS}/{server_id}").raise_for_status()
    client.wait_gone(server_id)
