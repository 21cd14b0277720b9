"""A detach timed out, the guest let go later: the disk was gone, and the API said for ever that it was in use.

`tests/integration/test_libvirt_driver.py` has the event of a real guest that was paused meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, attach, detach, make_volume, order, wait_volume

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, overrides={"volume.detach_timeout": 1})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


@pytest.fixture
def stuck(cloud: Cloud, client: Client, image: str) -> Iterator[tuple[Any, str, str]]:
    """A guest that ignored the request to let go of its volume until the operation had failed."""
    server_id = client.create_server(image, "stubborn")
    host = client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    volume_id = make_volume(client)
    assert attach(client, server_id, volume_id).status_code == 200
    wait_volume(client, volume_id, "in-use")
    driver = cloud.agents[host].tools.driver
    order(driver.faults, "driver.detach_volume:guest", times=0)
    assert detach(client, server_id, volume_id).status_code == 202
    wait_for(lambda: _failed(client, server_id), "the detach to fail")
    driver.faults.clear()
    wait_volume(client, volume_id, "in-use")
    yield driver, server_id, volume_id
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    wait_volume(client, volume_id, "available")
    assert client.delete(f"{V3}/volumes/{volume_id}").status_code == 202


def _failed(client: Client, server_id: str) -> bool:
    actions = client.get(f"{SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    return any(action["action"] == "detach_volume" and action["message"] for action in actions)


def test_the_records_follow_the_guest(client: Client, stuck: tuple[Any, str, str]) -> None:
    driver, server_id, volume_id = stuck
    driver.let_go(server_id, volume_id)
    assert wait_volume(client, volume_id, "available")["attachments"] == []
    assert client.get(f"{SERVERS}/{server_id}/os-volume_attachments").json()["volumeAttachments"] == []


def test_an_agent_that_missed_it_finds_out(cloud: Cloud, client: Client, stuck: tuple[Any, str, str]) -> None:
    driver, server_id, volume_id = stuck
    driver.domains[server_id].volumes.remove(volume_id)
    host = (client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host]._reconciling.wake()
    assert wait_volume(client, volume_id, "available")["attachments"] == []
