"""A storage node could name any file of a shared directory as a volume, and a host could report itself as another."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from compute.virt.fake.storage import FakeConnections
from hostler.db.models import Host
from hostler.resources.server.specs import ConnectionSpec
from hostler.resources.volume.specs import ConnectorSpec
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import attach, make_volume, show_volume
from volume.drivers.fake import FakeDriver


@pytest.fixture(scope="module")
def server(client: Client, image: str) -> str:
    server_id = client.create_server(image, "reads")
    client.wait_server(server_id, "ACTIVE")
    return server_id


@pytest.mark.parametrize("path", ["volume-8f5c1d1e-7a5b-4c37-9d8e-5b1a8c0d2f43.raw", "", "../volume", None])
def test_a_node_cannot_hand_out_another_volumes_file(client: Client, server: str, path: str | None,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = make_volume(client)
    monkeypatch.setattr(FakeDriver, "connect", lambda *_: ConnectionSpec(
        protocol="file", data={"share": "shared", "path": path}))
    attach(client, server, volume_id)
    client.wait_volume(volume_id, "available")
    assert client.get(f"/compute/v2.1/servers/{server}/os-volume_attachments").json()["volumeAttachments"] == []


def test_a_node_hands_out_the_volumes_own_file(client: Client, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = make_volume(client)
    monkeypatch.setattr(FakeDriver, "connect", lambda *_: ConnectionSpec(
        protocol="file", data={"share": "shared", "path": f"volume-{volume_id}.raw"}))
    attach(client, server, volume_id)
    client.wait_volume(volume_id, "in-use")


def test_a_volume_is_opened_to_the_servers_host_whatever_its_report_says(
        cloud: Cloud, client: Client, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = client.wait_server(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    let_in: list[str] = []
    connect = FakeDriver.connect

    def noting(self: Any, volume: Any, connection_id: str, connector: Any, *modes: bool) -> Any:
        let_in.append(connector.host)
        return connect(self, volume, connection_id, connector, *modes)

    monkeypatch.setattr(FakeDriver, "connect", noting)
    monkeypatch.setattr(FakeConnections, "connector", lambda _: ConnectorSpec(host="another", ip="192.0.2.66",
                                                                              protocols=("fake",)))

    def reported() -> bool:
        with cloud.db.reading() as session:
            connector = session.scalar(sa.select(Host.connector).where(Host.name == host))
            return bool(connector and connector.get("host") == "another")

    wait_for(reported, "the report")
    volume_id = make_volume(client)
    attach(client, server, volume_id)
    client.wait_volume(volume_id, "in-use")
    assert let_in == [host]
    shown = show_volume(client, volume_id)
    assert shown is not None
    assert shown["attachments"][0]["server_id"] == server
