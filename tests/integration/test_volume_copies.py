"""Real contents on their way between back ends, backups and images: the all-in-one with two directories of volumes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.allinone import AllInOne
from tests.harness.client import Client
from tests.harness.ports import wait_for
from volume import qemu_img

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None or shutil.which("qemu-io") is None,
                                reason="qemu-img and qemu-io (qemu-utils) are not installed")
MIB = 1 << 20


class World:
    """The cloud, and its volumes' files."""

    def __init__(self, cloud: AllInOne, client: Client) -> None:
        self.cloud = cloud
        self.client = client

    def make(self, noun: str, **values: Any) -> str:
        """Create a volume, snapshot or backup and wait for it."""
        answer = self.client.post(f"/volume/v3/{noun}s", {noun: values})
        assert answer.status_code == 202, answer.text
        key = str(answer.json()[noun]["id"])
        self.wait(noun, key)
        return key

    def wait(self, noun: str, key: str) -> dict[str, Any]:
        """Wait until it is available; returns it."""
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(f"/volume/v3/{noun}s/{key}").json()[noun]
            assert "error" not in found["status"], found
            return found if found["status"] == "available" else None

        return wait_for(look, f"{noun} {key}")  # type: ignore[return-value]

    def act(self, volume: str, **action: Any) -> dict[str, Any]:
        """Do something with a volume and wait until it is done."""
        answer = self.client.post(f"/volume/v3/volumes/{volume}/action", action)
        assert answer.status_code == 202, answer.text
        self.wait("volume", volume)
        return answer.json() if answer.content else {}

    def file(self, volume: str) -> Path:
        """Return where a volume is."""
        found, = (self.cloud.directory / "state" / "volumes").glob(f"*/volume-{volume}.*")
        return found

    def write(self, volume: str, byte: int, at_mib: int, size_mib: int = 1) -> None:
        """Write into a volume that nobody has."""
        path = self.file(volume)
        qemu_img.run(["qemu-io", "-f", path.suffix[1:], "-c", f"write -P {byte} {at_mib}M {size_mib}M", str(path)])

    def digest(self, volume: str) -> str:
        """Return a digest of a volume's whole content."""
        path, out = self.file(volume), self.cloud.directory / "content.raw"
        qemu_img.run(["qemu-img", "convert", "-f", path.suffix[1:], "-O", "raw", str(path), str(out)])
        found = sum_of(out)
        out.unlink()
        return found

    def backups_bytes(self) -> int:
        """Return what the backup store holds."""
        store = self.cloud.directory / "state" / "backups"
        return sum(path.stat().st_size for path in store.rglob("*.blocks"))

    def left_over(self) -> list[str]:
        """Return files that live only as long as a call."""
        return [path.name for path in (self.cloud.directory / "state" / "volume" / "work").iterdir()]


def sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
