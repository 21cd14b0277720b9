"""Volumes through every service: two storage nodes in two zones, three fake back ends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.db.models import Lock, Operation, Volume
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import free_port, wait_for

V = "/volume/v3"
VERSION = {"OpenStack-API-Version": "volume 3.71"}
Groups = dict[str, dict[str, Any]]
SECOND: Groups = {"volume": {"enabled_backends": "fake,second"}, "backend:second": {"driver": "fake"}}
NORTH: Groups = {"volume": {"availability_zone": "north"}}
MANY = 40


class Volumes:
    """The volumes of one client."""

    def __init__(self, cloud: Cloud, client: Client) -> None:
        self.cloud = cloud
        self.client = client

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send one request that must answer `status`; returns the body."""
        answer = self.client.request(method, V + path, json=body, headers=VERSION)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def show(self, volume_id: str) -> dict[str, Any]:
        """Return a volume."""
        return self.call("GET", f"/volumes/{volume_id}")["volume"]  # type: ignore[no-any-return]

    def own(self, volume_id: str) -> dict[str, Any]:
        """Return what the cloud says of a volume beyond the published API."""
        shown: dict[str, Any] = self.call("GET", f"/volumes/{volume_id}/hostler")["hostler"]
        return shown

    def create(self, **volume: Any) -> str:
        """Create a volume and wait till it is available."""
        made = self.call("POST", "/volumes", {"volume": {"size": 1, **volume}}, 202)["volume"]["id"]
        return self.wait(made)

    def wait(self, volume_id: str, status: str = "available") -> str:
        """Wait for a status that no operation disturbs."""
        wait_for(lambda: self.show(volume_id)["status"] == status and not self.locked(volume_id),
                 f"{volume_id} {status}", timeout_s=30)
        return volume_id

    def locked(self, volume_id: str) -> bool:
        """Return whether an operation holds a volume."""
        with self.cloud.db.reading() as session:
            return session.get(Lock, volume_id) is not None

    def act(self, volume_id: str, action: str, argument: Any, status: int = 202) -> Any:
        """POST an action."""
        return self.call("POST", f"/volumes/{volume_id}/action", {action: argument}, status)

    def drop(self, *volume_ids: str) -> None:
        """Delete volumes and wait till they are gone."""
        for volume_id in volume_ids:
            self.call("DELETE", f"/volumes/{volume_id}", status=202)
        for volume_id in volume_ids:
            wait_for(lambda volume_id=volume_id: self.client.get(  # type: ignore[misc]
                f"{V}/volumes/{volume_id}").status_code == 404, f"{volume_id} gone", timeout_s=30)

    def used(self) -> tuple[int, int]:
        """Return the project's volumes and gigabytes, as limits say."""
        limits = self.call("GET", "/limits")["limits"]["absolute"]
        return limits["totalVolumesUsed"], limits["totalGigabytesUsed"]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volumes]:
    """A running cloud."""
    port = free_port()
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, nodes=2, node_options={"node1": SECOND, "node2": NORTH},
                  overrides={"api.bind_port": port, "api.public_url": f"http://127.0.0.1:{port}",
                             "quota.volumes": 100})
    client = cloud.start()
    try:
        yield Volumes(cloud, client)
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def image(volumes: Volumes) -> str:
    """A small raw image."""
    return volumes.client.make_image()


def test_clients_find_it_in_the_catalog(volumes: Volumes) -> None:
    catalog = volumes.client.get("/identity/v3/auth/catalog").json()["catalog"]
    found = {service["type"]: service["endpoints"][0]["url"] for service in catalog}
    assert found["block-storage"] == found["volumev3"] == f"{volumes.cloud.url}/volume/v3"


@pytest.mark.contract("V-FLOW")
def test_a_volume_is_made_and_goes(volumes: Volumes) -> None:
    volume = volumes.create(name="one")
    shown = volumes.show(volume)
    assert shown["os-vol-host-attr:host"].startswith("node1@") and shown["service_uuid"]
    assert volumes.used() == (1, 1)
    volumes.drop(volume)
    assert volumes.used() == (0, 0)


@pytest.mark.contract("V-EXTRACT")
def test_from_every_source(volumes: Volumes, image: str) -> None:
    of_image = volumes.create(imageRef=image)
    assert volumes.show(of_image)["bootable"] == "true"
    copy = volumes.create(size=None, source_volid=of_image)
    snapshot = volumes.call("POST", "/snapshots", {"snapshot": {"volume_id": copy}}, 202)["snapshot"]["id"]
    wait_for(lambda: volumes.call("GET", f"/snapshots/{snapshot}")["snapshot"]["status"] == "available", "snapshot")
    of_snapshot = volumes.create(size=2, snapshot_id=snapshot)
    assert volumes.show(of_snapshot)["volume_image_metadata"]["image_id"] == image
    volumes.call("DELETE", f"/volumes/{copy}", status=400)
    volumes.call("DELETE", f"/volumes/{copy}?cascade=true", status=202)
    wait_for(lambda: volumes.client.get(f"{V}/snapshots/{snapshot}").status_code == 404, "snapshot gone")
    volumes.drop(of_image, of_snapshot)


@pytest.mark.contract("V-AZ")
def test_zones(volumes: Volumes) -> None:
    volume = volumes.create(availability_zone="north")
    assert volumes.show(volume)["os-vol-host-attr:host"] == "node2@fake#fake"
    copy = volumes.create(size=None, source_volid=volume)
    assert volumes.show(copy)["availability_zone"] == "north"
    refused = volumes.call("POST", "/volumes", {"volume": {"size": 1, "availability_zone": "south"}}, 400)
    assert refused["badRequest"]["message"] == "Availability zone 'south' is invalid."
    volumes.drop(volume, copy)


def test_extend_retype_migrate_revert(volumes: Volumes) -> None:
    made = volumes.call("POST", "/types", {"volume_type": {
        "name": "second", "extra_specs": {"volume_backend_name": "second", "multiattach": "<is> True"}}}, 200)
    volume = volumes.create(volume_type=None)
    volumes.act(volume, "os-migrate_volume", {"host": "node2@fake#fake"})
    volumes.wait(volume)
    moved = volumes.show(volume)
    assert (moved["os-vol-host-attr:host"], moved["availability_zone"]) == ("node2@fake#fake", "north")
    volumes.act(volume, "os-migrate_volume", {"host": "node1@fake#fake"})
    volumes.wait(volume)
    volumes.act(volume, "os-retype", {"new_type": "second", "migration_policy": "on-demand"})
    volumes.wait(volume)
    shown = volumes.show(volume)
    assert (shown["os-vol-host-attr:host"], shown["volume_type"], shown["multiattach"]) == (
        "node1@second#second", "second", True)
    volumes.act(volume, "os-extend", {"new_size": 3})
    volumes.wait(volume)
    assert volumes.show(volume)["size"] == 3 and volumes.used() == (1, 3)
    snapshot = volumes.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}}, 202)["snapshot"]["id"]
    wait_for(lambda: volumes.call("GET", f"/snapshots/{snapshot}")["snapshot"]["status"] == "available", "snapshot")
    volumes.wait(volume)
    volumes.act(volume, "revert", {"snapshot_id": snapshot})
    volumes.wait(volume)
    volumes.call("DELETE", f"/volumes/{volume}?cascade=true", status=202)
    wait_for(lambda: volumes.used() == (0, 0), "quota returned")
    volumes.call("DELETE", f"/types/{made['volume_type']['id']}", status=202)


def test_a_type_that_no_back_end_fits_leaves_an_error_that_says_so(volumes: Volumes) -> None:
    made = volumes.call("POST", "/types", {"volume_type": {
        "name": "none", "extra_specs": {"volume_backend_name": "nothing"}}}, 200)["volume_type"]["id"]
    volume = volumes.call("POST", "/volumes", {"volume": {"size": 1, "volume_type": "none"}}, 202)["volume"]["id"]
    volumes.wait(volume, "error")
    assert "No valid backend was found" in volumes.own(volume)["fault"]
    volumes.drop(volume)
    volumes.call("DELETE", f"/types/{made}", status=202)


def test_a_volume_becomes_an_image_and_a_volume_again(volumes: Volumes, image: str) -> None:
    volume = volumes.create(imageRef=image)
    answer = volumes.act(volume, "os-volume_upload_image", {"image_name": "mine", "disk_format": "qcow2"})
    made = answer["os-volume_upload_image"]["image_id"]
    wait_for(lambda: volumes.client.get(f"/image/v2/images/{made}").json()["status"] in ("active", "killed"),
             "image", timeout_s=30)
    shown = volumes.client.get(f"/image/v2/images/{made}").json()
    assert (shown["status"], shown["disk_format"], shown["min_disk"]) == ("active", "qcow2", 1)
    volumes.wait(volume)
    again = volumes.create(size=None, imageRef=made)
    volumes.drop(volume, again)


def test_many_at_once(volumes: Volumes) -> None:
    """Given many requests at once, when all have been served, then each volume is available and the quota exact."""
    with futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: volumes.call(
            "POST", "/volumes", {"volume": {"size": 1 + number % 3, "name": f"many-{number}"}}, 202)["volume"]["id"],
            range(MANY)))
    for volume in made:
        volumes.wait(volume)
    assert volumes.used() == (MANY, sum(1 + number % 3 for number in range(MANY)))
    listed = volumes.call("GET", "/volumes/detail?name~=many-&with_count=true&limit=10")
    assert (len(listed["volumes"]), listed["count"]) == (10, MANY)
    volumes.drop(*made)
    with volumes.cloud.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Volume).where(Volume.deleted_at.is_(None))) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Operation).where(
            Operation.state.in_(("pending", "running")), Operation.resource_type == "volume")) == 0


def test_quota_is_never_passed_by_requests_at_once(volumes: Volumes) -> None:
    project = volumes.client.get("/identity/v3/projects?name=admin").json()["projects"][0]["id"]
    volumes.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes": 5}})
    with futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _number: volumes.client.request(
            "POST", f"{V}/volumes", json={"volume": {"size": 1}}, headers=VERSION), range(16)))
    made = [answer.json()["volume"]["id"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 413]
    assert (len(made), len(refused)) == (5, 11)
    assert all("Maximum number of volumes allowed (5)" in answer.text for answer in refused)
    for volume in made:
        volumes.wait(volume)
    volumes.drop(*made)
    volumes.call("DELETE", f"/os-quota-sets/{project}")
