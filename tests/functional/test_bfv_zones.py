"""Boot from an image on a new volume in a cloud whose storage stands in one zone only: works, or makes nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, attach, make_volume, show_volume, wait_for_rest, wait_volume

SERVERS = "/compute/v2.1/servers"
pytestmark = pytest.mark.long

ZONES = {"host1": "ag1", "host2": "ag2", "host3": "nova"}


class ZonedCloud(Cloud):
    """Compute hosts in ag1, ag2 and nova; storage in nova alone."""

    def _conf(self, host: str, directory: Path, *files: Path) -> Any:
        conf = super()._conf(host, directory, *files)
        conf.set_override("availability_zone", ZONES.get(host, "nova"), group="compute")
        return conf


def make_cloud(directory: Path, *, fallback: bool, cross: bool) -> Iterator[tuple[Cloud, Client]]:
    """Run a cloud with these two options."""
    cloud = ZonedCloud(directory, hosts=3, overrides={
        "volume.allow_availability_zone_fallback": fallback, "volume.cross_az_attach": cross,
        "volume.detach_timeout": 1})
    try:
        yield cloud, cloud.start()
    finally:
        cloud.stop()


@pytest.fixture(scope="module", params=[(False, True), (False, False), (True, True), (True, False)],
                ids=["refuse", "refuse-own-zone", "fallback", "fallback-own-zone"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
            ) -> Iterator[tuple[Cloud, Client]]:
    fallback, cross = request.param
    yield from make_cloud(tmp_path_factory.mktemp("zones"), fallback=fallback, cross=cross)


def boot(client: Client, image: str, zone: str | None) -> Any:
    """Ask for a server from an image on a new volume; returns the response."""
    devices = [{"uuid": image, "source_type": "image", "destination_type": "volume", "boot_index": 0,
                "volume_size": 1, "delete_on_termination": True}]
    more = {"availability_zone": zone} if zone else {}
    return client.post(SERVERS, client.server_body("", "zoned", block_device_mapping_v2=devices, **more))


def everything(client: Client) -> tuple[Any, ...]:
    """Return what a refused request must not change."""
    return (client.get(SERVERS).json()["servers"], client.get(f"{V3}/volumes").json()["volumes"],
            client.get("/network/v2.0/ports").json()["ports"],
            client.get("/compute/v2.1/limits").json()["limits"]["absolute"]["totalInstancesUsed"])


def options(cloud: Cloud) -> tuple[bool, bool]:
    """Return (fallback, cross)."""
    found = cloud.conf.volume
    return found.allow_availability_zone_fallback, found.cross_az_attach


@pytest.mark.contract("V-BFV")
@pytest.mark.parametrize("zone", ["ag1", "ag2"])
def test_a_zone_without_storage(cloud: Cloud, client: Client, image: str, zone: str,
                                caplog: pytest.LogCaptureFixture) -> None:
    fallback, cross = options(cloud)
    before = everything(client)
    with caplog.at_level(logging.WARNING):
        answer = boot(client, image, zone)
    if not (fallback and cross):
        # Before anything is created, naming both zones.
        assert answer.status_code == 400, answer.text
        message = answer.json()["badRequest"]["message"]
        assert f"'{zone}'" in message and "'nova'" in message
        if not fallback:
            assert message.startswith(f"Availability zone '{zone}' is invalid.")
        assert everything(client) == before
        return
    assert answer.status_code == 202, answer.text
    assert any(zone in record.getMessage() and "nova" in record.getMessage() for record in caplog.records)
    server_id = answer.json()["server"]["id"]
    server = client.wait_server(server_id, "ACTIVE")
    assert server["OS-EXT-AZ:availability_zone"] == zone and ZONES[server["OS-EXT-SRV-ATTR:host"]] == zone
    [volume] = server["os-extended-volumes:volumes_attached"]
    assert wait_volume(client, volume["id"], "in-use")["availability_zone"] == "nova"
    wait_for_rest(cloud)
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    assert show_volume(client, volume["id"]) is None
    wait_for_rest(cloud)


@pytest.mark.contract("V-BFV")
@pytest.mark.parametrize("zone", ["nova", None])
def test_the_zone_of_the_storage_and_no_zone(cloud: Cloud, client: Client, image: str, zone: str | None) -> None:
    _, cross = options(cloud)
    hosts = set()
    for _ in range(3 if zone is None else 1):
        answer = boot(client, image, zone)
        assert answer.status_code == 202, answer.text
        server_id = answer.json()["server"]["id"]
        server = client.wait_server(server_id, "ACTIVE")
        hosts.add(server["OS-EXT-SRV-ATTR:host"])
        [volume] = server["os-extended-volumes:volumes_attached"]
        assert wait_volume(client, volume["id"], "in-use")["availability_zone"] == "nova"
    if zone == "nova" or not cross:
        assert {ZONES[host] for host in hosts} == {"nova"}
    for one in client.get(SERVERS).json()["servers"]:
        client.delete(f"{SERVERS}/{one['id']}")
        client.wait_gone(one["id"])
    wait_for_rest(cloud)


@pytest.mark.contract("V-BFV")
def test_a_volume_that_exists_in_another_zone(cloud: Cloud, client: Client, image: str) -> None:
    _, cross = options(cloud)
    volume_id = make_volume(client, imageRef=image)
    before = everything(client)
    devices = [{"uuid": volume_id, "source_type": "volume", "destination_type": "volume", "boot_index": 0}]
    answer = client.post(SERVERS, client.server_body("", "zoned", block_device_mapping_v2=devices,
                                                     availability_zone="ag2"))
    plain = client.create_server(image, "plain", availability_zone="ag1")
    client.wait_server(plain, "ACTIVE")
    if cross:
        assert answer.status_code == 202
        server_id = answer.json()["server"]["id"]
        assert ZONES[client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"]] == "ag2"
        client.delete(f"{SERVERS}/{server_id}")
        client.wait_gone(server_id)
        assert attach(client, plain, volume_id).status_code == 200
        wait_volume(client, volume_id, "in-use")
    else:
        assert answer.status_code == 400 and "'ag2'" in answer.text and "'nova'" in answer.text
        refused = attach(client, plain, volume_id)
        assert refused.status_code == 400 and "ag1" in refused.text and "nova" in refused.text
        assert [one["id"] for one in client.get(f"{V3}/volumes").json()["volumes"]] == [
            one["id"] for one in before[1]]
    client.delete(f"{SERVERS}/{plain}")
    client.wait_gone(plain)
    wait_volume(client, volume_id, "available")
    # Without a zone of its own the server goes where its volume is.
    server_id = client.post(SERVERS, client.server_body("", "zoned", block_device_mapping_v2=devices)).json()[
        "server"]["id"]
    server = client.wait_server(server_id, "ACTIVE")
    assert cross or ZONES[server["OS-EXT-SRV-ATTR:host"]] == "nova"
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    client.delete(f"{V3}/volumes/{volume_id}")
    wait_for(lambda: show_volume(client, volume_id) is None, "the volume to be gone")
    wait_for_rest(cloud)


@pytest.mark.contract("V-BFV")
def test_a_zone_that_nobody_knows(client: Client, image: str) -> None:
    before = everything(client)
    answer = boot(client, image, "nowhere")
    assert answer.status_code == 400 and "availability zone" in answer.text
    assert everything(client) == before
