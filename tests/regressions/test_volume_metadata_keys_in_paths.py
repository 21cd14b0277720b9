"""A metadata key `..` made `openstack volume unset --property ..` delete the volume: URL libraries resolve it."""

from __future__ import annotations

import pytest

from tests.harness.client import Client

VOLUME = "/volume/v3"
CLIMBING = (".", "..", "a/..", "../b", "a/./b")


@pytest.fixture(scope="module")
def volume_id(client: Client) -> str:
    answer = client.post(f"{VOLUME}/volumes", {"volume": {"size": 1}})
    assert answer.status_code == 202, answer.text
    made = str(answer.json()["volume"]["id"])
    client.wait_volume(made, "available")
    return made


@pytest.mark.parametrize("key", CLIMBING)
def test_no_volume_or_snapshot_gets_such_a_key(client: Client, volume_id: str, key: str) -> None:
    bodies = (("POST", "/volumes", {"volume": {"size": 1, "metadata": {key: "x"}}}),
              ("PUT", f"/volumes/{volume_id}", {"volume": {"metadata": {key: "x"}}}),
              ("POST", f"/volumes/{volume_id}/metadata", {"metadata": {key: "x"}}),
              ("PUT", f"/volumes/{volume_id}/metadata", {"metadata": {key: "x"}}),
              ("POST", f"/volumes/{volume_id}/action", {"os-set_image_metadata": {"metadata": {key: "x"}}}),
              ("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, "metadata": {key: "x"}}}),
              ("POST", "/types", {"volume_type": {"name": "climber", "extra_specs": {key: "x"}}}))
    for method, path, body in bodies:
        answer = client.request(method, VOLUME + path, json=body)
        assert answer.status_code == 400, (method, path, answer.text)
    assert client.get(f"{VOLUME}/volumes/{volume_id}/metadata").json()["metadata"] == {}


def test_a_key_with_slashes_can_be_shown_set_and_deleted_alone(client: Client, volume_id: str) -> None:
    key = "kubernetes.io/created-for/pvc"
    path = f"{VOLUME}/volumes/{volume_id}/metadata/{key}"
    assert client.request("PUT", path, json={"meta": {key: "one"}}).status_code == 200
    assert client.get(path).json() == {"meta": {key: "one"}}
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    assert client.get(f"{VOLUME}/volumes/{volume_id}").status_code == 200
