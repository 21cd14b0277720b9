"""Shelving, on fake hosts, with each way to leave the host."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from hostler.agent.faults import Order
from hostler.db.models import Allocation, Port, Server, VolumeAttachment
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud of two hosts that looks often for what is due."""
    cloud = Cloud(tmp_path_factory.mktemp("shelve"), hosts=2, overrides={"conductor.sweep_interval": 0.1})
    try:
        client = cloud.start()
        cloud.conf.set_override("public_url", cloud.url, "api")
        yield cloud, client
    finally:
        cloud.stop()


@pytest.fixture
def server_id(client: Client, image: str) -> Iterator[str]:
    made = client.create_server(image, "book")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"{SERVERS}/{made}")
    client.wait_gone(made)


@pytest.fixture
def stays(cloud: Cloud) -> Iterator[None]:
    """Shelved servers stay on their hosts."""
    cloud.conf.set_override("shelved_offload_time", -1, group="compute")
    yield
    cloud.conf.clear_override("shelved_offload_time", group="compute")


def _act(client: Client, server_id: str, action: str, argument: Any = None) -> requests.Response:
    return client.post(f"{SERVERS}/{server_id}/action", {action: argument})


def _shelved_images(client: Client) -> list[dict[str, Any]]:
    return list(client.get("/image/v2/images?name=book-shelved").json()["images"])


def _row(cloud: Cloud, server_id: str) -> Server:
    with cloud.db.reading() as session:
        return session.get_one(Server, server_id)


def _claims(cloud: Cloud, server_id: str) -> int:
    with cloud.db.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Allocation).where(
            Allocation.consumer_id == server_id)) or 0


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name, agent in cloud.agents.items():
            found += invariants.host_faults(cloud.db, name, cloud.directory / name) if agent else []
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30)


@pytest.mark.contract("N-SHELVE")
def test_a_server_is_shelved_off_its_host_and_comes_back(cloud: Cloud, client: Client, server_id: str) -> None:
    address = (client.show(server_id) or {})["addresses"]["default"][0]["addr"]
    assert _act(client, server_id, "shelve").status_code == 202
    server = client.wait_server(server_id, "SHELVED_OFFLOADED")
    assert (server["OS-EXT-SRV-ATTR:host"], server["OS-EXT-STS:power_state"]) == (None, 0)
    assert [image["status"] for image in _shelved_images(client)] == ["active"]
    assert _claims(cloud, server_id) == 0
    assert all(server_id not in agent.tools.driver.list_servers() for agent in cloud.agents.values() if agent)
    with cloud.db.reading() as session:
        assert session.execute(sa.select(Port.host_id, Port.status).where(Port.server_id == server_id)).all() == [
            (None, "DOWN")]
    _rest(cloud)
    assert _act(client, server_id, "shelve").status_code == 409
    assert _act(client, server_id, "unshelve").status_code == 202
    server = client.wait_server(server_id, "ACTIVE")
    assert server["addresses"]["default"][0]["addr"] == address and server["OS-EXT-STS:power_state"] == 1
    assert _shelved_images(client) == [] and _claims(cloud, server_id) == 1
    assert _act(client, server_id, "unshelve").status_code == 409
    _rest(cloud)


@pytest.mark.usefixtures("stays")
def test_a_shelved_server_may_stay_and_be_offloaded_later(cloud: Cloud, client: Client, server_id: str) -> None:
    host = (client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"]
    _act(client, server_id, "shelve")
    server = client.wait_server(server_id, "SHELVED")
    assert (server["OS-EXT-SRV-ATTR:host"], server["OS-EXT-STS:power_state"]) == (host, 4)
    refused = _act(client, server_id, "unshelve", {"host": host})
    assert refused.status_code == 409 and "must be SHELVED_OFFLOADED" in refused.text
    _act(client, server_id, "unshelve")
    assert client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == host
    assert _shelved_images(client) == []
    _act(client, server_id, "shelve")
    client.wait_server(server_id, "SHELVED")
    assert _act(client, server_id, "shelveOffload").status_code == 202
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    _rest(cloud)


def test_a_shelved_server_leaves_when_its_time_is_over(cloud: Cloud, client: Client, server_id: str) -> None:
    cloud.conf.set_override("shelved_offload_time", 3600, group="compute")
    try:
        _act(client, server_id, "shelve")
        client.wait_server(server_id, "SHELVED")
        before = cloud.db.now() - dt.timedelta(hours=2)
        cloud.db.write(lambda session: session.execute(sa.update(Server).where(Server.id == server_id).values(
            parked_at=before)))
        client.wait_server(server_id, "SHELVED_OFFLOADED")
    finally:
        cloud.conf.clear_override("shelved_offload_time", group="compute")


def test_a_server_is_unshelved_where_it_is_wanted(cloud: Cloud, client: Client, server_id: str) -> None:
    _act(client, server_id, "shelve")
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    for argument, code in (({"host": "nowhere"}, 400), ({"availability_zone": "atlantis"}, 400),
                           ({"availability_zone": "nova:host"}, 400), ({"surprise": 1}, 400), ("host", 400)):
        answer = _act(client, server_id, "unshelve", argument)
        assert answer.status_code == code, (argument, answer.text)
    assert (client.show(server_id) or {})["status"] == "SHELVED_OFFLOADED"
    wanted = sorted(cloud.agents)[-1]
    assert _act(client, server_id, "unshelve", {"availability_zone": "nova", "host": wanted}).status_code == 202
    assert client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == wanted
    assert (_row(cloud, server_id).requested_zone, _row(cloud, server_id).requested_host) == ("nova", None)


def test_older_microversions_name_no_host(client: Client, server_id: str) -> None:
    answer = client.post(f"{SERVERS}/{server_id}/action", {"unshelve": {"host": "host1"}},
                         headers={"OpenStack-API-Version": "compute 2.77"})
    assert answer.status_code == 400


def test_volumes_stay_reserved(cloud: Cloud, client: Client, server_id: str) -> None:
    volume_id = client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    client.wait_volume(volume_id, "available")
    client.post(f"{SERVERS}/{server_id}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume_id}})
    client.wait_volume(volume_id, "in-use")
    _act(client, server_id, "shelve")
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    client.wait_volume(volume_id, "reserved")
    with cloud.db.reading() as session:
        assert session.scalars(sa.select(VolumeAttachment.connection).where(
            VolumeAttachment.server_id == server_id)).all() == [{}]
    _rest(cloud)
    _act(client, server_id, "unshelve")
    client.wait_server(server_id, "ACTIVE")
    client.wait_volume(volume_id, "in-use")
    _rest(cloud)


@pytest.mark.contract("N-SHELVE")
def test_a_server_on_a_volume_is_shelved_without_an_image(cloud: Cloud, client: Client, image: str) -> None:
    disk = {"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 1,
            "delete_on_termination": True}
    made = client.post(SERVERS, client.server_body("", "book", block_device_mapping_v2=[disk]))
    server_id = made.json()["server"]["id"]
    volumes = client.wait_server(server_id, "ACTIVE")["os-extended-volumes:volumes_attached"]
    images, launched = len(_shelved_images(client)), _row(cloud, server_id).launched_at
    assert _act(client, server_id, "shelve").status_code == 202
    shelved = client.wait_server(server_id, "SHELVED_OFFLOADED")
    assert shelved["os-extended-volumes:volumes_attached"] == volumes
    assert len(_shelved_images(client)) == images
    client.wait_volume(volumes[0]["id"], "reserved")
    refused = client.delete(f"{SERVERS}/{server_id}/os-volume_attachments/{volumes[0]['id']}")
    assert refused.status_code == 400 and "root device" in refused.text
    assert _act(client, server_id, "unshelve").status_code == 202
    assert client.wait_server(server_id, "ACTIVE")["os-extended-volumes:volumes_attached"] == volumes
    assert client.wait_volume(volumes[0]["id"], "in-use")["attachments"][0]["server_id"] == server_id
    assert _row(cloud, server_id).launched_at > launched
    _rest(cloud)
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    client.wait_block_gone(f"volumes/{volumes[0]['id']}")


def _attach(client: Client, server_id: str, volume_id: str, **more: Any) -> requests.Response:
    return client.post(f"{SERVERS}/{server_id}/os-volume_attachments", {
        "volumeAttachment": {"volumeId": volume_id, **more}})


@pytest.mark.parametrize("offloaded", [False, True])
def test_a_shelved_server_gets_volumes_and_gives_them_back(cloud: Cloud, client: Client, server_id: str,
                                                           request: pytest.FixtureRequest, offloaded: bool) -> None:
    if not offloaded:
        request.getfixturevalue("stays")
    volumes = [client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"] for _ in range(2)]
    for volume_id in volumes:
        client.wait_volume(volume_id, "available")
    _act(client, server_id, "shelve")
    client.wait_server(server_id, "SHELVED_OFFLOADED" if offloaded else "SHELVED")
    _rest(cloud)
    tagged = _attach(client, server_id, volumes[0], tag="data")
    if offloaded:
        assert tagged.status_code == 400 and "Tagged volume attachment is not supported" in tagged.text
        assert _attach(client, server_id, volumes[0]).status_code == 200
    else:
        assert tagged.status_code == 200, tagged.text
    client.wait_volume(volumes[0], "in-use")
    _rest(cloud)
    assert _attach(client, server_id, volumes[1]).status_code == 200
    client.wait_volume(volumes[1], "in-use")
    _rest(cloud)
    assert client.delete(f"{SERVERS}/{server_id}/os-volume_attachments/{volumes[0]}").status_code == 202
    client.wait_volume(volumes[0], "available")
    _rest(cloud)
    assert _act(client, server_id, "unshelve").status_code == 202
    shown = client.wait_server(server_id, "ACTIVE")["os-extended-volumes:volumes_attached"]
    assert [one["id"] for one in shown] == [volumes[1]]
    _rest(cloud)
    assert {volume for agent in cloud.agents.values() for volume in agent.tools.driver.list_volumes().get(server_id, ())
            } == {volumes[1]}
    assert client.delete(f"{SERVERS}/{server_id}/os-volume_attachments/{volumes[1]}").status_code == 202
    client.wait_volume(volumes[1], "available")


def test_a_shelved_servers_image_goes_with_it(client: Client, image: str) -> None:
    made = client.create_server(image, "book")
    client.wait_server(made, "ACTIVE")
    _act(client, made, "shelve")
    client.wait_server(made, "SHELVED_OFFLOADED")
    client.delete(f"{SERVERS}/{made}")
    client.wait_gone(made)
    assert _shelved_images(client) == []


def test_a_server_whose_image_is_gone_stays_shelved(client: Client, server_id: str) -> None:
    _act(client, server_id, "shelve")
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    [shelved] = _shelved_images(client)
    assert client.delete(f"/image/v2/images/{shelved['id']}").status_code == 204
    answer = _act(client, server_id, "unshelve")
    assert answer.status_code == 409 and shelved["id"] in answer.text


def test_a_shelving_that_fails_leaves_the_server_running(cloud: Cloud, client: Client, server_id: str) -> None:
    faults = [agent.tools.driver.faults for agent in cloud.agents.values() if agent]
    for fault in faults:
        fault.order(Order("driver.copy_disk:before", "fail", reason="No space is left.", times=0))
    try:
        _act(client, server_id, "shelve")
        wait_for(lambda: _message(client, server_id) is not None, "the shelving's end")
    finally:
        for fault in faults:
            fault.clear()
    assert client.wait_server(server_id, "ACTIVE")["OS-EXT-STS:power_state"] == 1
    assert _shelved_images(client) == []


def _message(client: Client, server_id: str) -> str | None:
    actions = client.get(f"{SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    return next((action["message"] for action in actions if action["action"] == "shelve"), None)


def test_a_stopped_server_in_the_trash_is_no_running_one(cloud: Cloud, client: Client, server_id: str) -> None:
    cloud.conf.set_override("deletion_policy", "delay", group="compute")
    try:
        _act(client, server_id, "shelve")
        client.wait_server(server_id, "SHELVED_OFFLOADED")
        client.delete(f"{SERVERS}/{server_id}")
        client.wait_server(server_id, "SOFT_DELETED")
        assert _act(client, server_id, "restore").status_code == 202
        client.wait_server(server_id, "SHELVED_OFFLOADED")
    finally:
        cloud.conf.clear_override("deletion_policy", group="compute")
