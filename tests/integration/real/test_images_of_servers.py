"""Images, backups and rebuilds of a real guest: what it wrote is in its image, and gone from it when it is rebuilt.

The tests run in their order and share one server, with a volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.ports import wait_for
from tests.harness.real_world import World

IMAGE_S = 90  # to copy and send a disk on a busy machine


class Images:
    """The server, its volume, and its images."""

    def __init__(self, world: World) -> None:
        self.world, self.cloud, self.client = world, world.cloud, world.client
        self.one = world.running("one", world.cloud.hosts[0])
        run = self.cloud.openstack
        run("volume", "create", "--size", "1", "--availability-zone", "az1", "data")
        run("server", "add", "volume", "one", "data")
        wait_for(lambda: "vdb" in self.one.ssh("ls /sys/block").stdout, "the volume in the guest", 30, every_s=0.3)

    def remove(self) -> None:
        """Remove it all, for its disk comes from an image of its own."""
        self.one.remove()
        for image in self.client.get("/image/v2/images").json()["images"]:
            if image["name"] != "tiny":
                self.client.delete(f"/image/v2/images/{image['id']}").raise_for_status()
        self.cloud.openstack("volume", "delete", "data")

    def image(self, name: str) -> dict[str, Any]:
        """Wait for an image and return it."""
        def found() -> list[dict[str, Any]]:
            return [dict(image) for image in self.client.get(f"/image/v2/images?name={name}").json()["images"]]

        wait_for(lambda: [image["status"] for image in found()] == ["active"], f"image {name}; now {found()}", IMAGE_S,
                 every_s=0.3)
        return found()[0]

    def backups(self) -> list[str]:
        """Return the names of the server's backups."""
        images = self.client.get("/image/v2/images?image_type=backup&sort=created_at:asc").json()["images"]
        return [image["name"] for image in images]

    def copies(self) -> list[str]:
        """Return what is left of copies on the host."""
        files = self.cloud.state(self.one.host) / "servers" / self.one.id
        return [path.name for path in files.iterdir() if path.name.startswith("snapshot.")]


@pytest.fixture(scope="module")
def images(world: World) -> Iterator[Images]:
    """Take the server and give it a volume."""
    made = Images(world)
    yield made
    made.remove()


@pytest.mark.contract("N-SNAPSHOT", "N-CLI")
def test_a_file_that_a_running_guest_wrote_is_in_its_image(images: Images) -> None:
    one = images.one
    ticking = "while true; do cat /proc/uptime > /tmp/new; mv /tmp/new /tmp/tick; sleep 0.2; done"
    assert one.ssh(f"echo written > /persist/file && sync; ({ticking}) > /dev/null 2>&1 &").returncode == 0
    boots = one.boots()
    images.cloud.openstack("server", "image", "create", "--name", "of-one", "--property", "team=a", "one")
    made = images.image("of-one")
    assert (made["instance_uuid"], made["image_type"], made["team"], made["os_distro"]) == (
        one.id, "snapshot", "a", "tiny")
    assert one.boots() == boots and one.domain_state() == "running"
    assert one.ssh("cat /persist/file; test -s /tmp/tick && echo ticks").stdout == "written\nticks\n"
    assert images.copies() == []


@pytest.mark.contract("N-BACKUP", "N-CLI")
def test_backups_rotate(images: Images) -> None:
    for name in ("first", "second", "third"):
        images.cloud.openstack("server", "backup", "create", "--name", name, "--type", "daily", "--rotate", "2", "one")
        images.image(name)
        images.client.wait_server(images.one.id, "ACTIVE")
        wait_for(lambda: (images.client.show(images.one.id) or {})["OS-EXT-STS:task_state"] is None, "the rotation", 30,
                 every_s=0.2)
    assert images.backups() == ["second", "third"]


@pytest.mark.contract("N-REBUILD", "N-CLI")
def test_a_rebuilt_server_lost_its_disk_and_kept_the_rest(images: Images) -> None:
    one = images.one
    assert one.ssh("/bin/mke2fs -q -t ext4 /dev/vdb && mount -t ext4 /dev/vdb /mnt && echo kept > /mnt/file && sync; "
                   "umount /mnt").returncode == 0
    before, boots = images.client.show(one.id) or {}, one.boots()
    images.cloud.openstack("server", "rebuild", "--image", "tiny", "--wait", "one")
    after = images.client.wait_server(one.id, "ACTIVE")
    for name in ("id", "addresses", "OS-EXT-SRV-ATTR:host", "os-extended-volumes:volumes_attached"):
        assert after[name] == before[name], name
    one.wait_boots(boots + 1)
    one.wait_ssh()
    assert one.ssh("cat /persist/file").stdout == ""
    assert one.ssh("mount -t ext4 /dev/vdb /mnt && cat /mnt/file; umount /mnt").stdout == "kept\n"


@pytest.mark.contract("N-SNAPSHOT", "N-REBUILD")
def test_the_file_comes_back_with_the_image(images: Images) -> None:
    one = images.one
    boots = one.boots()
    images.cloud.openstack("server", "rebuild", "--image", "of-one", "--wait", "one")
    one.wait_boots(boots + 1)
    one.wait_ssh()
    assert one.ssh("cat /persist/file").stdout == "written\n"
    assert one.ssh("mount -t ext4 /dev/vdb /mnt && cat /mnt/file; umount /mnt").stdout == "kept\n"
