"""A server whose flavor says nothing of its disk could not be resized to another flavor that says nothing of it."""

from __future__ import annotations

import pytest

from tests.harness.client import Client

_COMPUTE = "/compute/v2.1"


@pytest.mark.parametrize(("old_gib", "new_gib", "status"), [(0, 0, 202), (0, 1, 202), (1, 0, 400)])
def test_a_disk_as_large_as_its_image_may_stay_so(client: Client, image: str, old_gib: int, new_gib: int,
                                                  status: int) -> None:
    flavors = [client.post(f"{_COMPUTE}/flavors", {"flavor": {
        "name": f"{name}-{old_gib}-{new_gib}", "vcpus": 1, "ram": 64, "disk": disk}}).json()["flavor"]["id"]
        for name, disk in (("old", old_gib), ("new", new_gib))]
    server_id = client.create_server(image, "sizeless", flavorRef=flavors[0])
    client.wait_server(server_id, "ACTIVE")
    answer = client.act(server_id, "resize", flavorRef=flavors[1])
    assert answer.status_code == status, answer.text
    if status == 202:
        client.wait_server(server_id, "VERIFY_RESIZE")
        client.post(f"{_COMPUTE}/servers/{server_id}/action", {"confirmResize": None}).raise_for_status()
    client.wait_server(server_id, "ACTIVE")
    client.delete(f"{_COMPUTE}/servers/{server_id}").raise_for_status()
    client.wait_gone(server_id)
