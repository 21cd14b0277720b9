"""Snapshots, backups, attachments and transfers through every service, with storage nodes on the fake driver."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from hostler.agent.faults import Order
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

V = "/volume/v3"
VERSION = {"OpenStack-API-Version": "volume 3.71"}


class Storage:
    """The Block Storage API of one client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send one request that must answer `status`; returns the body."""
        answer = self.client.request(method, V + path, json=body, headers=VERSION)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        """GET."""
        return self.call("GET", path)

    def make(self, noun: str, **values: Any) -> str:
        """Create a resource and wait till it is available; returns its id."""
        made = self.call("POST", f"/{noun}s", {noun: values}, 202)[noun]["id"]
        return self.wait(noun, made)

    def wait(self, noun: str, identity: str, status: str = "available") -> str:
        """Wait for a status."""
        def reached() -> bool:
            shown = self.get(f"/{noun}s/{identity}")[noun]
            assert shown["status"] == status or "error" not in shown["status"], shown
            return bool(shown["status"] == status)
        wait_for(reached, f"{noun} {identity} {status}", timeout_s=30)
        return identity

    def drop(self, noun: str, identity: str) -> None:
        """Delete a resource and wait till it is gone."""
        self.call("DELETE", f"/{noun}s/{identity}", status=202)
        path = f"{V}/{noun}s/{identity}"
        wait_for(lambda: self.client.get(path).status_code == 404, f"{noun} {identity} gone", timeout_s=30)

    def used(self) -> dict[str, int]:
        """Return what the project uses."""
        limits = self.get("/limits")["limits"]["absolute"]
        return {name: value for name, value in limits.items() if name.endswith("Used") and value}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with a storage node."""
    made = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, nodes=1)
    made.client = made.start()  # type: ignore[attr-defined]
    yield made
    made.stop()


@pytest.fixture
def storage(cloud: Cloud) -> Storage:
    """The administrator's storage."""
    return Storage(cloud.client)  # type: ignore[attr-defined]


def other_project(cloud: Cloud, client: Client) -> Client:
    """Return a client of another project."""
    name = f"p{uuid.uuid4().hex[:8]}"
    project = client.post("/identity/v3/projects", {"project": {"name": name}}).json()["project"]["id"]
    user = client.post("/identity/v3/users", {"user": {"name": name, "password": "secret"}}).json()["user"]["id"]
    roles = {row["name"]: row["id"] for row in client.get("/identity/v3/roles").json()["roles"]}
    for role in ("member", "reader"):
        client.request("PUT", f"/identity/v3/projects/{project}/users/{user}/roles/{roles[role]}").raise_for_status()
    made = Client(cloud.url, name, "secret", name)
    made.login()
    return made


def test_life_of_a_snapshot(storage: Storage) -> None:
    volume = storage.make("volume", size=1, name="v")
    snapshot = storage.make("snapshot", volume_id=volume, name="s")
    assert storage.get(f"/snapshots/{snapshot}")["snapshot"]["os-extended-snapshot-attributes:progress"] == "100%"
    heir = storage.make("volume", snapshot_id=snapshot)
    storage.call("DELETE", f"/volumes/{volume}", status=400)
    assert storage.used() == {"totalVolumesUsed": 2, "totalSnapshotsUsed": 1, "totalGigabytesUsed": 3}
    storage.drop("snapshot", snapshot)
    for one in (volume, heir):
        storage.drop("volume", one)
    assert storage.used() == {}


def test_life_of_backups(storage: Storage) -> None:
    volume = storage.make("volume", size=1, name="v")
    full = storage.make("backup", volume_id=volume, name="full")
    child = storage.make("backup", volume_id=volume, name="more", incremental=True)
    shown = storage.get(f"/backups/{child}")["backup"]
    assert shown["is_incremental"] and shown["object_count"] >= 0 and shown["availability_zone"] == "nova"
    storage.call("DELETE", f"/backups/{full}", status=400)
    restored = storage.call("POST", f"/backups/{child}/restore", {"restore": {"name": "again"}}, 202)["restore"]
    storage.wait("volume", restored["volume_id"])
    storage.call("POST", f"/backups/{full}/restore", {"restore": {"volume_id": volume}}, 202)
    storage.wait("backup", full)
    storage.wait("volume", volume)
    for backup in (child, full):
        storage.drop("backup", backup)
    for one in (volume, restored["volume_id"]):
        storage.drop("volume", one)
    assert storage.used() == {}


def node_order(cloud: Cloud, step: str, action: str, **more: Any) -> None:
    """Order a fault of the storage node."""
    cloud.volume_agents["node1"].faults.order(Order(step=step, action=action, reason="told to fail", **more))


def gone(storage: Storage, noun: str, identity: str) -> None:
    """Wait till a resource is gone."""
    wait_for(lambda: storage.client.get(f"{V}/{noun}s/{identity}").status_code == 404, f"{noun} gone", timeout_s=30)


@pytest.mark.parametrize("noun", ["snapshot", "backup"])
def test_force_delete_does_not_wait_for_the_creation(cloud: Cloud, storage: Storage, noun: str) -> None:
    volume = storage.make("volume", size=1)
    node_order(cloud, f"agent.create_{noun}.begin", "slow", seconds=1.0)
    made = storage.call("POST", f"/{noun}s", {noun: {"volume_id": volume}}, 202)[noun]["id"]
    storage.call("DELETE", f"/{noun}s/{made}", status=409)
    storage.call("POST", f"/{noun}s/{made}/action", {"os-force_delete": {}}, 202)
    gone(storage, noun, made)
    storage.wait("volume", volume)
    storage.drop("volume", volume)
    assert storage.used() == {}


def test_a_snapshot_that_fails_says_why(cloud: Cloud, storage: Storage) -> None:
    volume = storage.make("volume", size=1)
    node_order(cloud, "volume.create_snapshot:after", "fail")
    made = storage.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}}, 202)["snapshot"]["id"]
    wait_for(lambda: storage.get(f"/snapshots/{made}")["snapshot"]["status"] == "error", "an error", timeout_s=30)
    [message] = storage.get(f"/messages?resource_uuid={made}")["messages"]
    assert message["event_id"] == "SNAPSHOT_CREATE_FAILED" and "told to fail" in message["user_message"]
    assert storage.get(f"/volumes/{volume}")["volume"]["status"] == "available"
    storage.drop("snapshot", made)
    storage.drop("volume", volume)


def test_a_backup_that_fails_says_why(cloud: Cloud, storage: Storage) -> None:
    volume = storage.make("volume", size=1)
    node_order(cloud, "agent.create_backup.begin", "fail")
    made = storage.call("POST", "/backups", {"backup": {"volume_id": volume}}, 202)["backup"]["id"]
    wait_for(lambda: storage.get(f"/backups/{made}")["backup"]["status"] == "error", "an error", timeout_s=30)
    assert "told to fail" in storage.get(f"/backups/{made}")["backup"]["fail_reason"]
    storage.drop("backup", made)
    storage.drop("volume", volume)


def test_an_attachment_by_hand(storage: Storage) -> None:
    volume = storage.make("volume", size=1)
    made = storage.call("POST", "/attachments", {"attachment": {
        "volume_uuid": volume, "instance_uuid": str(uuid.uuid4()), "connector": {"host": "mine"}}})["attachment"]
    assert made["connection_info"]["driver_volume_type"] == "fake"
    storage.call("POST", f"/attachments/{made['id']}/action", {"os-complete": made["id"]}, 204)
    assert storage.get(f"/volumes/{volume}")["volume"]["status"] == "in-use"
    assert storage.call("DELETE", f"/attachments/{made['id']}") == {"attachments": []}
    storage.drop("volume", volume)


def test_a_transfer(cloud: Cloud, storage: Storage) -> None:
    volume = storage.make("volume", size=1)
    storage.make("snapshot", volume_id=volume)
    made = storage.call("POST", "/volume-transfers", {"transfer": {"volume_id": volume}}, 202)["transfer"]
    receiver = Storage(other_project(cloud, storage.client))
    receiver.call("POST", f"/volume-transfers/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}, 202)
    assert receiver.used() == {"totalVolumesUsed": 1, "totalSnapshotsUsed": 1, "totalGigabytesUsed": 2}
    assert storage.used() == {}
    [snapshot] = receiver.get("/snapshots")["snapshots"]
    receiver.drop("snapshot", snapshot["id"])
    receiver.drop("volume", volume)


def test_a_type_places_volumes(storage: Storage) -> None:
    made = storage.call("POST", "/types", {"volume_type": {"name": "nowhere", "extra_specs": {
        "volume_backend_name": "not-there"}}})["volume_type"]["id"]
    volume = storage.call("POST", "/volumes", {"volume": {"size": 1, "volume_type": "nowhere"}}, 202)["volume"]["id"]
    wait_for(lambda: storage.get(f"/volumes/{volume}")["volume"]["status"] == "error", "volume in error", timeout_s=30)
    [message] = storage.get(f"/messages?resource_uuid={volume}")["messages"]
    assert message["event_id"] == "VOLUME_CREATE_FAILED"
    storage.drop("volume", volume)
    storage.call("DELETE", f"/types/{made}", status=202)


def test_a_disabled_back_end_takes_no_volumes(storage: Storage) -> None:
    for host in ("node1@fake", "node1"):
        storage.call("PUT", "/os-services/disable", {"host": host, "binary": "cinder-volume"})
        volume = storage.call("POST", "/volumes", {"volume": {"size": 1}}, 202)["volume"]["id"]
        wait_for(lambda found=volume: storage.get(f"/volumes/{found}")["volume"]["status"] == "error", "an error",
                 timeout_s=30)
        storage.call("PUT", "/os-services/enable", {"host": host, "binary": "cinder-volume"})
        storage.drop("volume", volume)
    storage.drop("volume", storage.make("volume", size=1))


@pytest.mark.contract("V-AZLIST")
def test_zones_of_both_services(storage: Storage) -> None:
    assert storage.get("/os-availability-zone")["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": True}}]
    tree = storage.client.get("/compute/v2.1/os-availability-zone/detail").json()["availabilityZoneInfo"]
    hosts = {zone["zoneName"]: zone["hosts"] for zone in tree}
    assert hosts["nova"]["host1"]["nova-compute"]["available"] is True
    storage_service = hosts["nova"]["node1@fake"]["cinder-volume"]
    assert (storage_service["active"], storage_service["available"]) == (True, True)
    assert storage_service["updated_at"]
    assert any("nova-conductor" in services for services in hosts["internal"].values())
