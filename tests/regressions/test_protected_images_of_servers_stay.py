"""The rotation of backups, an unshelved server and a deleted one took images along that somebody had protected."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@pytest.fixture
def server_id(cloud: Cloud, client: Client, image: str) -> Iterator[str]:
    cloud.conf.set_override("public_url", cloud.url, "api")
    made = client.create_server(image, "keeper")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"{_SERVERS}/{made}")
    client.wait_gone(made)


def _idle(client: Client, server_id: str) -> None:
    wait_for(lambda: (client.show(server_id) or {})["OS-EXT-STS:task_state"] is None, "an idle server", 20)


def _backup(client: Client, server_id: str) -> str:
    answer = client.post(f"{_SERVERS}/{server_id}/action", {"createBackup": {
        "name": "b", "backup_type": "daily", "rotation": 1}})
    answer.raise_for_status()
    _idle(client, server_id)
    return str(answer.json()["image_id"])


def _shelve(client: Client, server_id: str) -> str:
    client.post(f"{_SERVERS}/{server_id}/action", {"shelve": None}).raise_for_status()
    client.wait_server(server_id, "SHELVED_OFFLOADED")
    images = client.get("/image/v2/images?name=keeper-shelved&status=active").json()["images"]
    return str(images[0]["id"])


def _unshelve(client: Client, server_id: str) -> None:
    client.post(f"{_SERVERS}/{server_id}/action", {"unshelve": None}).raise_for_status()
    client.wait_server(server_id, "ACTIVE")


def _remove(client: Client, server_id: str) -> None:
    client.delete(f"{_SERVERS}/{server_id}")
    client.wait_gone(server_id)


def _back_up_again(client: Client, server_id: str) -> None:
    _backup(client, server_id)


@pytest.mark.parametrize(("make", "end"), [(_backup, _back_up_again), (_shelve, _unshelve), (_shelve, _remove)])
def test_a_protected_image_stays(client: Client, server_id: str, make: Callable[[Client, str], str],
                                 end: Callable[[Client, str], None]) -> None:
    image_id = make(client, server_id)
    path = f"/image/v2/images/{image_id}"
    change = [{"op": "replace", "path": "/protected", "value": True}]
    client.request("PATCH", path, json=change, headers=_PATCH).raise_for_status()
    end(client, server_id)
    assert client.get(path).status_code == 200
    client.request("PATCH", path, json=[{**change[0], "value": False}], headers=_PATCH).raise_for_status()
    client.delete(path).raise_for_status()
