"""Rescue, shelving and the trash on real parts: what the guest wrote is beside the rescue disk, and on another host.

The tests run in their order on one server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import invariants, real_parts, realfleet
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest, upload_basics
from tests.harness.realfleet import RealFleet


class Cloud(RealFleet):
    """Two hosts, whose servers go into a trash."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the options."""
        found = super().overrides()
        found.setdefault("all", {}).setdefault("compute", {})["deletion_policy"] = "never"
        return found


class World:
    """The cloud and its server."""

    def __init__(self, cloud: Cloud, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.one = Guest(self, "one", cloud.hosts[0])

    def prepare(self) -> None:
        """Boot the server and have it write a file."""
        upload_basics(self)
        run = self.cloud.openstack
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        self.one.create()
        self.one.wait_ssh()
        assert self.one.ssh("echo mine > /persist/mine && sync").returncode == 0

    def domain_xml(self) -> str:
        """Return the definition of the server's guest."""
        [domain] = self.one.host.domains()
        return self.one.host.check(f"virsh -q -c '{self.one.host.uri}' dumpxml --inactive {domain}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("shelve")
    cloud = Cloud(directory)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
    finally:
        print(cloud.logs())
        cloud.stop()


def _wait(world: World, status: str) -> dict[str, Any]:
    return world.client.wait_server(world.one.id, status, timeout_s=120)


@pytest.mark.contract("N-RESCUE", "N-CLI")
def test_a_rescued_server_has_its_disk_beside_it(world: World) -> None:
    one, before = world.one, world.domain_xml()
    world.cloud.openstack("server", "rescue", "--image", "tiny", "--password", "secret", "one")
    _wait(world, "RESCUE")
    files = world.cloud.state(one.host) / "servers" / one.id
    assert (files / "unrescue.xml").read_text() == before
    assert "disk.rescue" in world.domain_xml()
    one.wait_ssh()
    assert set(one.ssh("ls /sys/block").stdout.split()) & {"vda", "vdb", "vdc", "vdz"} == {"vda", "vdb"}
    assert one.ssh("cat /persist/mine").returncode != 0, "that is the rescue disk"
    found = one.ssh("mkdir -p /tmp/old && mount -t ext4 /dev/vdb2 /tmp/old && cat /tmp/old/mine && "
                    "echo repaired > /tmp/old/note && umount /tmp/old && sync")
    assert found.stdout == "mine\n", found.stderr
    world.cloud.openstack("server", "unrescue", "one")
    _wait(world, "ACTIVE")
    assert world.domain_xml() == before
    assert {path.name for path in files.iterdir()} & {"disk.rescue", "unrescue.xml"} == set()
    one.wait_ssh()
    assert one.ssh("cat /persist/mine /persist/note").stdout == "mine\nrepaired\n"


@pytest.mark.contract("N-SHELVE", "N-CLI")
def test_a_shelved_server_comes_back_on_another_host(world: World) -> None:
    one, run = world.one, world.cloud.openstack
    run("server", "shelve", "one")
    _wait(world, "SHELVED_OFFLOADED")
    assert [image["Name"] for image in world.cloud.openstack_json("image", "list")].count("one-shelved") == 1
    assert [host.domains() for host in world.cloud.hosts] == [[], []]
    run("server", "unshelve", "--host", world.cloud.hosts[1].name, "one")
    _wait(world, "ACTIVE")
    one.host = world.cloud.hosts[1]
    one.wait_ssh()
    assert one.ssh("cat /persist/mine /persist/note").stdout == "mine\nrepaired\n"
    assert [image["Name"] for image in world.cloud.openstack_json("image", "list")] == ["tiny"]
    disk = world.cloud.state(one.host) / "servers" / one.id / "disk"
    assert "backing file" not in one.host.check(f"qemu-img info -U {disk}"), "its image is gone"


@pytest.mark.contract("N-RESTORE", "N-CLI")
def test_a_deleted_server_is_off_and_comes_back(world: World) -> None:
    one, run = world.one, world.cloud.openstack
    run("server", "delete", "one")
    _wait(world, "SOFT_DELETED")
    assert one.domain_state() == "shut off"
    assert world.cloud.openstack_json("server", "list") == []
    run("server", "restore", one.id)
    _wait(world, "ACTIVE")
    one.wait_ssh()
    assert one.ssh("cat /persist/mine").stdout == "mine\n"
    run("server", "delete", "--force", one.id)
    world.client.wait_gone(one.id)
    wait_for(lambda: [host.domains() for host in world.cloud.hosts] == [[], []], "no guest", 30, every_s=0.3)
    db = world.cloud.fleet.database()
    assert invariants.database_faults(db) == []
    db.dispose()
