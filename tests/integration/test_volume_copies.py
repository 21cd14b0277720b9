"""Real contents on their way between back ends, backups and images: the all-in-one with two directories of volumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.harness.allinone import AllInOne
from tests.harness.ports import wait_for
from tests.harness.volume_world import World

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None or shutil.which("qemu-io") is None,
                                reason="qemu-img and qemu-io (qemu-utils) are not installed")
MIB = 1 << 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cloud = AllInOne(tmp_path_factory.mktemp("all-in-one"), {
        "volume": {"enabled_backends": "grows,plain"},
        "backend:grows": {"driver": "file", "format": "qcow2"}, "backend:plain": {"driver": "file", "format": "raw"}})
    cloud.prepare()
    made = World(cloud, cloud.start())
    for kind in ("grows", "plain"):
        type_id = made.client.post("/volume/v3/types", {"volume_type": {"name": kind}}).json()["volume_type"]["id"]
        made.client.post(f"/volume/v3/types/{type_id}/extra_specs", {"extra_specs": {"volume_backend_name": kind}})
    yield made
    cloud.stop()


@pytest.fixture
def filled(world: World) -> str:
    """A growing volume with something at its beginning, in its middle and at its end."""
    volume = world.make("volume", size=1, volume_type="grows")
    for byte, where in ((1, 0), (2, 500), (3, 1023)):
        world.write(volume, byte, where)
    return volume


def test_incremental_backups_bring_every_state_back(world: World, filled: str) -> None:
    states = [world.digest(filled)]
    chain = [world.make("backup", volume_id=filled)]
    for number in (1, 2):
        world.write(filled, 10 + number, 100 * number)
        states.append(world.digest(filled))
        chain.append(world.make("backup", volume_id=filled, incremental=True))
    assert len(set(states)) == 3
    assert world.backups_bytes() < MIB  # the blocks are of one byte each, and 1021 of them hold nothing
    for backup, state in zip(chain, states, strict=True):
        answer = world.client.post(f"/volume/v3/backups/{backup}/restore", {"restore": {}}).json()["restore"]
        world.wait("volume", answer["volume_id"])
        assert world.digest(answer["volume_id"]) == state
    plain = world.make("volume", size=1, volume_type="plain")
    world.write(plain, 99, 700, 50)
    world.client.post(f"/volume/v3/backups/{chain[1]}/restore", {"restore": {"volume_id": plain}})
    world.wait("volume", plain)
    assert world.digest(plain) == states[1]
    assert world.left_over() == []


def test_a_volume_becomes_an_image_and_a_volume_again(world: World, filled: str) -> None:
    state = world.digest(filled)
    for disk_format in ("qcow2", "raw"):
        answer = world.act(filled, **{"os-volume_upload_image": {
            "image_name": disk_format, "disk_format": disk_format, "container_format": "bare"}})
        image = answer["os-volume_upload_image"]["image_id"]
        shown = world.client.get(f"/image/v2/images/{image}").json()
        assert (shown["status"], shown["disk_format"]) == ("active", disk_format)
        for kind in ("grows", "plain"):
            assert world.digest(world.make("volume", size=1, imageRef=image, volume_type=kind)) == state
    assert world.left_over() == []


def test_a_volume_moves_to_another_kind_and_its_copies_stay(world: World, filled: str) -> None:
    state = world.digest(filled)
    snapshot = world.make("snapshot", volume_id=filled)
    clones = [world.make("volume", snapshot_id=snapshot), world.make("volume", source_volid=filled)]
    world.write(filled, 77, 300)
    changed = world.digest(filled)
    assert [world.digest(clone) for clone in clones] == [state, state]
    assert world.client.delete(f"/volume/v3/snapshots/{snapshot}").status_code == 202
    wait_for(lambda: world.client.get(f"/volume/v3/snapshots/{snapshot}").status_code == 404, "the snapshot to go")
    world.act(filled, **{"os-retype": {"new_type": "plain", "migration_policy": "on-demand"}})
    assert world.file(filled).parent.name == "plain"
    assert world.digest(filled) == changed
    assert [world.digest(clone) for clone in clones] == [state, state]
