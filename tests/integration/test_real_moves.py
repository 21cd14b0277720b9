"""Resizes and cold migrations on real parts: two hosts with libvirt in namespaces, real guests, disks over TLS.

The tests run in their order and share one server, except for the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import invariants, real_parts, realfleet
from tests.harness.certified_fleet import CertifiedFleet
from tests.harness.client import Client
from tests.harness.discs import drives_of, iso_disc, run_from_disc
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest, upload_basics

_GIB = 1 << 30


class World:
    """The cloud and its server."""

    def __init__(self, cloud: CertifiedFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.guest = Guest(self, "mover", cloud.hosts[0])

    def prepare(self) -> None:
        """Upload the image and the key, open ssh, make two flavors, boot the server."""
        upload_basics(self)
        run = self.cloud.openstack
        run("flavor", "create", "larger", "--vcpus", "2", "--ram", "160", "--disk", "2")
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        self.guest.create()
        self.guest.wait_ssh()
        assert self.guest.ssh("echo precious > /persist/mine && sync").returncode == 0

    def waits_on(self, host: int, status: str) -> None:
        """Wait until the server has a status on a host, answers there, and has its file."""
        server = self.client.wait_server(self.guest.id, status, timeout_s=150)
        self.guest.host = self.cloud.hosts[host]
        assert server["OS-EXT-SRV-ATTR:host"] == self.guest.host.name
        self.guest.wait_ssh()
        assert self.guest.ssh("cat /persist/mine").stdout == "precious\n"

    def disk_bytes(self) -> int:
        """Return the size of the root disk that the guest sees."""
        return int(self.guest.ssh("cat /sys/block/vda/size").stdout) * 512

    def files(self, host: int) -> list[str]:
        """Return the directories of servers on a host."""
        return sorted(path.name for path in (self.cloud.state(self.cloud.hosts[host]) / "servers").glob("*-*"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("moves")
    cloud = CertifiedFleet(directory)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.mark.contract("N-MIGRATE", "N-CLI", "Z-LOCALMIG")
def test_a_cold_migration_takes_the_disk_to_the_other_host(world: World) -> None:
    guest, log = world.guest, world.guest.console()
    world.cloud.openstack("server", "migrate", "mover")
    world.waits_on(1, "VERIFY_RESIZE")
    assert guest.console().startswith(log[:200]), "the console log came along"
    assert world.files(0) == [f"{guest.id}.old"] and world.files(1) == [guest.id]
    assert world.cloud.hosts[0].domains() == []
    world.cloud.openstack("server", "migration", "confirm", "mover")
    world.client.wait_server(guest.id, "ACTIVE")
    assert world.files(0) == []


@pytest.mark.contract("N-RESIZE", "N-CLI")
def test_a_resize_grows_the_disk_and_a_revert_takes_it_back(world: World) -> None:
    guest = world.guest
    assert world.disk_bytes() == _GIB
    world.cloud.openstack("server", "resize", "--flavor", "larger", "mover")
    server = world.client.wait_server(guest.id, "VERIFY_RESIZE", timeout_s=150)
    here = [host.name for host in world.cloud.hosts].index(server["OS-EXT-SRV-ATTR:host"])
    world.waits_on(here, "VERIFY_RESIZE")
    assert world.disk_bytes() == 2 * _GIB
    assert guest.ssh("nproc").stdout == "2\n"
    assert guest.ssh("echo later > /persist/later && sync").returncode == 0
    world.cloud.openstack("server", "resize", "revert", "mover")
    world.waits_on(1, "ACTIVE")
    assert world.disk_bytes() == _GIB
    assert guest.ssh("cat /persist/later").returncode, "what was written after the resize is gone with it"
    db = world.cloud.fleet.database()
    wait_for(lambda: not invariants.database_faults(db), "rest", 20)
    db.dispose()


@pytest.mark.contract("N-MIGRATE")
def test_what_the_disk_builds_on_goes_along_when_its_image_is_gone(world: World) -> None:
    guest, cloud = world.guest, world.cloud
    cloud.openstack("image", "delete", "tiny")
    source, target = (cloud.state(cloud.hosts[host]) / "images" / real_parts.tiny_image().sha256 for host in (1, 0))
    target.unlink()
    cloud.openstack("server", "migrate", "mover")
    world.waits_on(0, "VERIFY_RESIZE")
    assert target.read_bytes() == source.read_bytes()
    cloud.openstack("server", "migration", "confirm", "mover")
    world.client.wait_server(guest.id, "ACTIVE")
    assert world.files(1) == []
    guest.ssh("poweroff")
    world.client.wait_server(guest.id, "SHUTOFF", timeout_s=60)
    cloud.openstack("server", "start", "mover")
    world.waits_on(0, "ACTIVE")


@pytest.mark.contract("N-MIGRATE")
def test_a_disc_is_one_after_its_image_is_gone(world: World) -> None:
    cloud, guest = world.cloud, Guest(world, "disc", world.cloud.hosts[1])
    run_from_disc(cloud, guest)
    [drive] = drives_of(guest)
    cloud.openstack("image", "delete", "disc")
    guest.act({"reboot": {"type": "HARD"}}, "ACTIVE")
    assert drives_of(guest) == [drive]
    cloud.openstack("server", "migrate", "disc")
    world.client.wait_server(guest.id, "VERIFY_RESIZE", timeout_s=90)
    guest.host = cloud.hosts[0]
    assert drives_of(guest) == [drive]
    base = cloud.state(guest.host) / "images" / hashlib.sha256(iso_disc()).hexdigest()
    assert str(base) in guest.virsh("dumpxml") and base.read_bytes() == iso_disc()
    guest.remove()
