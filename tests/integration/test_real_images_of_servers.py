"""Images, backups and rebuilds of a real guest: what it wrote is in its image, and gone from it when it is rebuilt.

The tests run in their order and share one server, with a volume, and a cloud of RabbitMQ, PostgreSQL and libvirt.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import real_parts, realfleet
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest
from tests.harness.volume_fleet import VolumeFleet

IMAGE_S = 90  # to copy and send a disk on a busy machine


class World:
    """The cloud and its server."""

    def __init__(self, cloud: VolumeFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.one = Guest(self, "one", cloud.hosts[0], "az1")

    def prepare(self) -> None:
        """Upload the image and the key, open ssh, boot the server with a volume."""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / "key"], check=True)
        (self.directory / "user-data").write_text("#!/bin/sh\ntrue\n")
        run = self.cloud.openstack
        run("image", "create", "tiny", "--disk-format", "qcow2", "--container-format", "bare", "--property",
            "os_distro=tiny", "--file", str(real_parts.tiny_image().path))
        run("keypair", "create", "--public-key", str(self.directory / "key.pub"), "demo")
        run("flavor", "create", "tiny", "--vcpus", "1", "--ram", "128", "--disk", "1")
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        run("volume", "create", "--size", "1", "--availability-zone", "az1", "data")
        self.one.create()
        run("server", "add", "volume", "one", "data")
        self.one.wait_ssh()
        wait_for(lambda: "vdb" in self.one.ssh("ls /sys/block").stdout, "the volume in the guest", 30, every_s=0.3)

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
        directory = self.one.host.check(f"find / -xdev -path '*/servers/{self.one.id}/snapshot.*' 2>/dev/null || true")
        return directory.split()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("images")
    cloud = VolumeFleet(directory, nodes=1)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.mark.contract("N-SNAPSHOT", "N-CLI")
def test_a_file_that_a_running_guest_wrote_is_in_its_image(world: World) -> None:
    one = world.one
    assert one.ssh("echo written > /persist/file && sync; "
                   "(while true; do cat /proc/uptime > /tmp/tick; sleep 0.2; done) > /dev/null 2>&1 &").returncode == 0
    boots = one.boots()
    world.cloud.openstack("server", "image", "create", "--name", "of-one", "--property", "team=a", "one")
    made = world.image("of-one")
    assert (made["instance_uuid"], made["image_type"], made["team"], made["os_distro"]) == (
        one.id, "snapshot", "a", "tiny")
    assert one.boots() == boots and one.domain_state() == "running"
    assert one.ssh("cat /persist/file; test -s /tmp/tick && echo ticks").stdout == "written\nticks\n"
    assert world.copies() == []


@pytest.mark.contract("N-BACKUP", "N-CLI")
def test_backups_rotate(world: World) -> None:
    for name in ("first", "second", "third"):
        world.cloud.openstack("server", "backup", "create", "--name", name, "--type", "daily", "--rotate", "2", "one")
        world.image(name)
        world.client.wait_server(world.one.id, "ACTIVE")
        wait_for(lambda: (world.client.show(world.one.id) or {})["OS-EXT-STS:task_state"] is None, "the rotation", 30,
                 every_s=0.2)
    assert world.backups() == ["second", "third"]


@pytest.mark.contract("N-REBUILD", "N-CLI")
def test_a_rebuilt_server_lost_its_disk_and_kept_the_rest(world: World) -> None:
    one = world.one
    assert one.ssh("/bin/mke2fs -q -t ext4 /dev/vdb && mount -t ext4 /dev/vdb /mnt && echo kept > /mnt/file && sync; "
                   "umount /mnt").returncode == 0
    before, boots = world.client.show(one.id) or {}, one.boots()
    world.cloud.openstack("server", "rebuild", "--image", "tiny", "--wait", "one")
    after = world.client.wait_server(one.id, "ACTIVE")
    for name in ("id", "addresses", "OS-EXT-SRV-ATTR:host", "os-extended-volumes:volumes_attached"):
        assert after[name] == before[name], name
    one.wait_boots(boots + 1)
    one.wait_ssh()
    assert one.ssh("cat /persist/file").stdout == ""
    assert one.ssh("mount -t ext4 /dev/vdb /mnt && cat /mnt/file; umount /mnt").stdout == "kept\n"


@pytest.mark.contract("N-SNAPSHOT", "N-REBUILD")
def test_the_file_comes_back_with_the_image(world: World) -> None:
    one = world.one
    boots = one.boots()
    world.cloud.openstack("server", "rebuild", "--image", "of-one", "--wait", "one")
    one.wait_boots(boots + 1)
    one.wait_ssh()
    assert one.ssh("cat /persist/file").stdout == "written\n"
    assert one.ssh("mount -t ext4 /dev/vdb /mnt && cat /mnt/file; umount /mnt").stdout == "kept\n"
