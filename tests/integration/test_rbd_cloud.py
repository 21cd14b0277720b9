"""A cloud with a back end in a real Ceph beside a directory: contents through its whole API, and Ceph's absence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler.agent import programs
from tests.harness import ceph as harness
from tests.harness.allinone import AllInOne
from tests.harness.ceph import Ceph
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.volume_world import World, sum_of
from volume import qemu_img
from volume.drivers.rbd_cluster import Cluster

KINDS = ("ceph", "plain")


class CephWorld(World):
    """The cloud, its pool and its directory."""

    def __init__(self, cloud: AllInOne, client: Client, pool: Cluster) -> None:
        super().__init__(cloud, client)
        self.pool = pool

    def name(self, volume: str) -> str:
        """Return how QEMU's tools open a volume, wherever it is."""
        if f"volume-{volume}" in self.pool.list_images():
            return qemu_img.json_name(self.pool.blockdev(f"volume-{volume}"))
        found: Path = self.file(volume)
        return qemu_img.json_name({"driver": "raw", "file": {"driver": "file", "filename": str(found)}})

    def write(self, volume: str, byte: int, at_mib: int, size_mib: int = 1) -> None:
        """Write into a volume that nobody has."""
        programs.run(["qemu-io", "-c", f"write -P {byte} {at_mib}M {size_mib}M", self.name(volume)])

    def digest(self, volume: str) -> str:
        """Return a digest of a volume's whole content."""
        out = self.cloud.directory / "content.raw"
        programs.run(["qemu-img", "convert", "-O", "raw", self.name(volume), str(out)])
        found = sum_of(out)
        out.unlink()
        return found

    def remove(self, noun: str, *keys: str) -> None:
        """Delete and wait until they are gone."""
        for key in keys:
            answer = self.client.delete(f"/volume/v3/{noun}s/{key}")
            assert answer.status_code == 202, answer.text
            wait_for(lambda key=key: self.client.get(f"/volume/v3/{noun}s/{key}").status_code == 404,  # type: ignore[misc]
                     f"{noun} {key} to go")

    def state_of_ceph(self) -> Any:
        """Return what the API says of the back end; None when it does not know it yet."""
        pools = self.client.get("/volume/v3/scheduler-stats/get_pools?detail=true").json()["pools"]
        return next((pool["capabilities"]["backend_state"] for pool in pools if "@ceph" in pool["name"]), None)


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    missing = harness.missing() or harness.missing_in_qemu()
    if missing:
        pytest.skip(missing)
    made = Ceph(tmp_path_factory.mktemp("ceph") / "c")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def world(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephWorld]:
    cloud = AllInOne(tmp_path_factory.mktemp("all-in-one"), {
        "volume": {"enabled_backends": ",".join(KINDS), "reconcile_interval": 5},
        "backend:ceph": {"driver": "rbd", "rbd_pool": ceph.pool, "rbd_user": ceph.user, "rbd_ceph_conf": ceph.conf,
                         "rbd_timeout": 10},
        "backend:plain": {"driver": "file", "format": "raw"}})
    cloud.prepare()
    try:
        made = CephWorld(cloud, cloud.start(), Cluster(ceph.pool, ceph.user, str(ceph.conf), 30))
        for kind in KINDS:
            type_id = made.client.post("/volume/v3/types", {"volume_type": {"name": kind}}).json()["volume_type"]["id"]
            made.client.post(f"/volume/v3/types/{type_id}/extra_specs", {"extra_specs": {"volume_backend_name": kind}})
        wait_for(lambda: made.state_of_ceph() == "up", "the back end to be known")
        yield made
    finally:
        cloud.stop()


def test_contents_pass_through_ceph_whole(world: CephWorld) -> None:
    first = world.make("volume", size=1, volume_type="ceph")
    for byte, where in ((1, 0), (2, 500), (3, 1023)):
        world.write(first, byte, where)
    state = world.digest(first)
    upload = {"image_name": "made", "disk_format": "qcow2", "container_format": "bare"}
    image = world.act(first, **{"os-volume_upload_image": upload})["os-volume_upload_image"]["image_id"]
    backup = world.make("backup", volume_id=first)
    snapshot = world.make("snapshot", volume_id=first)
    copies = [world.make("volume", snapshot_id=snapshot), world.make("volume", source_volid=first),
              world.make("volume", size=1, imageRef=image, volume_type="ceph"),
              world.make("volume", size=1, imageRef=image, volume_type="plain")]
    world.write(first, 9, 100, 50)
    changed = world.digest(first)
    world.remove("snapshot", snapshot)
    world.act(first, **{"os-extend": {"new_size": 2}})
    world.client.post(f"/volume/v3/backups/{backup}/restore", {"restore": {"volume_id": first}})
    world.wait("volume", first)
    world.remove("volume", first)
    assert [world.digest(copy) for copy in copies] == [state] * 4 != [changed] * 4
    for kind, other in ((KINDS[1], copies[0]), (KINDS[0], copies[3])):
        world.act(other, **{"os-retype": {"new_type": kind, "migration_policy": "on-demand"}})
        assert world.digest(other) == state
    assert (f"volume-{copies[0]}" in world.pool.list_images(), f"volume-{copies[3]}" in world.pool.list_images()) == \
        (False, True)
    world.remove("volume", *copies)
    world.remove("backup", backup)
    assert world.pool.list_images() == {}
    wait_for(lambda: world.pool.list_trash() == {}, "the trash to be emptied", 30, every_s=0.5)


def test_ceph_goes_away_and_comes_back(world: CephWorld, ceph: Ceph) -> None:
    volume = world.make("volume", size=1, volume_type="ceph")
    ceph.stop()
    wait_for(lambda: world.state_of_ceph() == "down", "the back end to be told as down", 90, every_s=0.3)
    plain = world.make("volume", size=1, volume_type="plain")
    ceph.start()
    wait_for(lambda: world.state_of_ceph() == "up", "the back end to be up again", 90, every_s=0.3)
    world.act(volume, **{"os-extend": {"new_size": 2}})
    world.remove("volume", volume, plain)
