"""The trash, on fake hosts: DELETE with `[compute] deletion_policy` delay and never."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hostler.db.models import Operation, Server
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud that keeps what is deleted for an hour; the time passes when a test says so."""
    cloud = Cloud(tmp_path_factory.mktemp("trash"), hosts=1, overrides={
        "compute.deletion_policy": "delay", "compute.expunge_period": 3600, "conductor.sweep_interval": 0.1,
        "quota.instances": 4})
    try:
        yield cloud, cloud.start()
    finally:
        cloud.stop()


def _made(client: Client, image: str, name: str) -> str:
    server_id = client.create_server(image, name)
    client.wait_server(server_id, "ACTIVE")
    return server_id


def _act(client: Client, server_id: str, action: str) -> int:
    return client.post(f"{SERVERS}/{server_id}/action", {action: None}).status_code


def _hour_passes(cloud: Cloud, server_id: str) -> None:
    before = cloud.db.now() - dt.timedelta(hours=2)
    cloud.db.write(lambda session: session.execute(sa.update(Server).where(Server.id == server_id).values(
        parked_at=before)))


def _names(client: Client, query: str = "") -> set[str]:
    return {server["name"] for server in client.get(f"{SERVERS}?{query}").json()["servers"]}


def test_a_server_in_the_trash_gets_a_volume_and_gives_it_back(cloud: Cloud, client: Client, image: str) -> None:
    server_id = _made(client, image, "with-volumes")
    volumes = [client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"] for _ in range(2)]
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_server(server_id, "SOFT_DELETED")
    path = f"{SERVERS}/{server_id}/os-volume_attachments"
    for volume_id in volumes:
        client.wait_volume(volume_id, "available")
        assert client.post(path, {"volumeAttachment": {"volumeId": volume_id}}).status_code == 200
        client.wait_volume(volume_id, "in-use")
    assert client.delete(f"{path}/{volumes[0]}").status_code == 202
    client.wait_volume(volumes[0], "available")
    assert _act(client, server_id, "restore") == 202
    client.wait_server(server_id, "ACTIVE")
    assert [agent.tools.driver.list_volumes()[server_id] for agent in cloud.agents.values()] == [[volumes[1]]]
    assert client.delete(f"{SERVERS}/{server_id}").status_code == 204
    client.wait_server(server_id, "SOFT_DELETED")
    client.post(f"{SERVERS}/{server_id}/action", {"forceDelete": None}).raise_for_status()
    client.wait_volume(volumes[1], "available")


@pytest.mark.contract("N-RESTORE", "N-DELETE")
@pytest.mark.parametrize("stopped", [False, True])
def test_a_deleted_server_comes_back_as_it_was(client: Client, image: str, stopped: bool) -> None:
    name = f"prodigal-{stopped}"
    server_id = _made(client, image, name)
    if stopped:
        assert _act(client, server_id, "os-stop") == 202
        client.wait_server(server_id, "SHUTOFF")
    assert client.delete(f"{SERVERS}/{server_id}").status_code == 204
    server = client.wait_server(server_id, "SOFT_DELETED")
    assert (server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:power_state"]) == ("soft-delete", 4)
    assert client.delete(f"{SERVERS}/{server_id}").status_code == 204, "again changes nothing"
    assert _act(client, server_id, "os-start") == 409
    assert name not in _names(client) and name not in _names(client, "status=SOFT_DELETED")
    assert name in _names(client, "deleted=true") and name in _names(client, "soft_deleted=true")
    assert name not in _names(client, "deleted=true&soft_deleted=false")
    assert client.get("/compute/v2.1/limits").json()["limits"]["absolute"]["totalInstancesUsed"] == 0
    assert _act(client, server_id, "restore") == 202
    server = client.wait_server(server_id, "SHUTOFF" if stopped else "ACTIVE")
    assert server["OS-EXT-STS:power_state"] == (4 if stopped else 1)
    assert len(server["addresses"]["default"]) == 1
    assert _act(client, server_id, "restore") == 409
    assert _act(client, server_id, "forceDelete") == 202
    client.wait_gone(server_id)


def test_a_server_is_deleted_for_good_when_its_time_is_over(cloud: Cloud, client: Client, image: str) -> None:
    server_id = _made(client, image, "mayfly")
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_server(server_id, "SOFT_DELETED")
    _hour_passes(cloud, server_id)
    client.wait_gone(server_id)
    with cloud.db.reading() as session:
        kinds = session.scalars(sa.select(Operation.kind).where(Operation.resource_id == server_id)
                                .order_by(Operation.created_at)).all()
    assert kinds == ["server.create", "server.soft_delete", "server.delete"], "once"


def test_force_delete_needs_no_patience(client: Client, image: str) -> None:
    server_id = _made(client, image, "hasty")
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_server(server_id, "SOFT_DELETED")
    assert _act(client, server_id, "forceDelete") == 202
    client.wait_gone(server_id)


def test_a_restore_needs_room_in_the_quota(client: Client, image: str) -> None:
    kept = _made(client, image, "first")
    client.delete(f"{SERVERS}/{kept}")
    client.wait_server(kept, "SOFT_DELETED")
    others = [_made(client, image, f"other-{index}") for index in range(4)]
    answer = client.post(f"{SERVERS}/{kept}/action", {"restore": None})
    assert answer.status_code == 403, answer.text
    for server_id in (kept, *others):
        assert _act(client, server_id, "forceDelete") == 202
    for server_id in (kept, *others):
        client.wait_gone(server_id)


def test_with_never_nothing_is_due(cloud: Cloud, client: Client, image: str) -> None:
    cloud.conf.set_override("deletion_policy", "never", group="compute")
    try:
        old, new = _made(client, image, "eternal"), _made(client, image, "newer")
        client.delete(f"{SERVERS}/{old}")
        client.wait_server(old, "SOFT_DELETED")
        _hour_passes(cloud, old)
        with cloud.db.reading() as session:
            before = session.scalar(sa.select(sa.func.count()).select_from(Operation))
        client.post(f"{SERVERS}/{new}/action", {"os-stop": None})
        client.wait_server(new, "SHUTOFF")
        assert (client.show(old) or {})["status"] == "SOFT_DELETED"
        wait_for(lambda: _operations(cloud) == (before or 0) + 1, "the stop alone")
    finally:
        cloud.conf.clear_override("deletion_policy", group="compute")
    client.wait_gone(old)
    _act(client, new, "forceDelete")
    client.wait_gone(new)


def _operations(cloud: Cloud) -> int:
    with cloud.db.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Operation)) or 0
