"""Volumes on real parts: RabbitMQ, PostgreSQL, two hosts with libvirt, two storage nodes in zones of their own, guests.

The tests run in their order and share two servers, one in each zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import invariants, real_parts, realfleet
from tests.harness.at_once import at_once
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest, upload_basics
from tests.harness.volume_fleet import NODES, VolumeFleet

# 3 MiB nobody would guess, and what they sum up to.
_FILL = "dd if=/dev/urandom of=/mnt/data bs=1M count=3 2>/dev/null && sha256sum /mnt/data > /mnt/sum && sync"


class World:
    """The cloud, its two servers, and shorthand for volumes."""

    def __init__(self, cloud: VolumeFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.one = Guest(self, "one", cloud.hosts[0], "az1")
        self.two = Guest(self, "two", cloud.hosts[1], "az2")

    def prepare(self) -> None:
        """Upload the image and the key, open ssh, make a flavor, boot both servers."""
        upload_basics(self)
        run = self.cloud.openstack
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        at_once(self.one.create, self.two.create)
        for guest in (self.one, self.two):
            guest.wait_ssh()

    def nodes_up(self) -> int:
        """Return how many storage nodes report in."""
        answer = self.client.get("/volume/v3/os-services?binary=cinder-volume")
        return sum(service["state"] == "up" for service in answer.json().get("services", []))

    def volume(self, name: str) -> dict[str, Any]:
        """Return a volume as the api shows it."""
        return self._one("volumes", name)

    def snapshot(self, name: str) -> dict[str, Any]:
        """Return a snapshot as the api shows it."""
        return self._one("snapshots", name)

    def backup(self, name: str) -> dict[str, Any]:
        """Return a backup as the api shows it."""
        return self._one("backups", name)

    def _one(self, noun: str, name: str) -> dict[str, Any]:
        # Asked often: the command line would take longer to start than most of what is waited for.
        [found] = self.client.get(f"/volume/v3/{noun}/detail?name={name}").json()[noun]
        return dict(found)

    def wait_volume(self, name: str, status: str, timeout_s: float = 90) -> dict[str, Any]:
        """Wait until a volume has a status; fails at once on another error."""
        def reached() -> bool:
            found = self.volume(name)["status"]
            assert found == status or not found.startswith("error"), self.volume(name)
            return bool(found == status)

        wait_for(reached, f"volume {name} {status}", timeout_s, every_s=0.5)
        return self.volume(name)

    def attach(self, guest: Guest, volume: str) -> str:
        """Attach a volume; returns the guest's name for the new disk."""
        before = _disks(guest)
        self.cloud.openstack("server", "add", "volume", guest.name, volume)
        self.wait_volume(volume, "in-use")
        wait_for(lambda: _disks(guest) - before, f"{volume} in {guest.name}", 30, every_s=0.3)
        [disk] = _disks(guest) - before
        return disk

    def detach(self, guest: Guest, volume: str) -> None:
        """Detach a volume."""
        self.cloud.openstack("server", "remove", "volume", guest.name, volume)
        self.wait_volume(volume, "available")


def _disks(guest: Guest) -> set[str]:
    return set(guest.ssh("ls /sys/block").stdout.split())


def _sum_holds(guest: Guest, disk: str) -> bool:
    done = guest.ssh(f"mount -t ext4 /dev/{disk} /mnt && sha256sum -c /mnt/sum; umount /mnt")
    return "/mnt/data: OK" in done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its two servers."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("volumes")
    cloud = VolumeFleet(directory, nodes=len(NODES))
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.mark.contract("V-FLOW", "N-CLI")
def test_a_volume_goes_from_a_server_to_another_on_another_host(world: World) -> None:
    run = world.cloud.openstack
    run("volume", "create", "--size", "1", "--availability-zone", "az1", "data")
    made = world.wait_volume("data", "available")
    assert made["os-vol-host-attr:host"] == "node1@local#local"
    assert world.attach(world.one, "data") == "vdb"
    done = world.one.ssh(f"/bin/mke2fs -q -t ext4 /dev/vdb && mount -t ext4 /dev/vdb /mnt && {_FILL}; umount /mnt")
    assert done.returncode == 0, done.stderr
    [shown] = world.volume("data")["attachments"]
    assert (shown["server_id"], shown["device"]) == (world.one.id, "/dev/vdb")
    assert world.cloud.exports() == [], "host1 has the directory"
    world.detach(world.one, "data")
    disk = world.attach(world.two, "data")
    assert len(world.cloud.exports()) == 1, "host2 has not"
    assert _sum_holds(world.two, disk)


def test_a_storage_nodes_agent_may_die_under_a_server(world: World) -> None:
    process = world.cloud.fleet.processes["node1"]
    process.kill()
    [disk] = _disks(world.two) & {"vdb", "vdc"}
    assert _sum_holds(world.two, disk), "the export needs no agent"
    process.start()
    wait_for(lambda: world.nodes_up() == len(NODES), "node1 up", 60, every_s=0.3)
    assert len(world.cloud.exports()) == 1


@pytest.mark.contract("N-REBOOT")
def test_a_hard_reboot_reconnects_the_volume(world: World) -> None:
    world.two.act({"reboot": {"type": "HARD"}}, "ACTIVE")
    world.two.wait_boots(2)
    world.two.wait_ssh()
    assert _sum_holds(world.two, "vdb")


def test_a_volume_over_nbd_cannot_grow_while_it_is_attached(world: World) -> None:
    volume_id = world.volume("data")["id"]
    answer = world.client.post(f"/volume/v3/volumes/{volume_id}/action", {"os-extend": {"new_size": 2}},
                               headers={"OpenStack-API-Version": "volume 3.42"})
    assert answer.status_code in (400, 409), answer.text
    assert "NBD" in answer.text
    world.detach(world.two, "data")
    assert world.cloud.exports() == []
    assert world.volume("data")["size"] == 1


def test_a_shared_file_grows_under_the_guest(world: World) -> None:
    disk = world.attach(world.one, "data")
    assert world.one.ssh(f"cat /sys/block/{disk}/size").stdout.strip() == str(2 * 1024**2)
    world.cloud.openstack("volume", "set", "--size", "2", "data")
    world.wait_volume("data", "in-use")
    wait_for(lambda: world.one.ssh(f"cat /sys/block/{disk}/size").stdout.strip() == str(4 * 1024**2),
             "the guest sees 2 GiB", 30, every_s=0.5)
    assert _sum_holds(world.one, disk)
    world.detach(world.one, "data")
    assert world.volume("data")["size"] == 2


@pytest.mark.contract("V-BFV", "N-BOOT")
def test_a_server_boots_from_a_volume_made_from_a_snapshot(world: World) -> None:
    run = world.cloud.openstack
    run("volume", "create", "--image", "tiny", "--size", "1", "--availability-zone", "az1", "root")
    assert world.wait_volume("root", "available")["bootable"] == "true"
    run("volume", "snapshot", "create", "--volume", "root", "root-as-it-was")
    wait_for(lambda: world.snapshot("root-as-it-was")["status"] == "available", "the snapshot", 60, every_s=0.3)
    run("volume", "create", "--snapshot", "root-as-it-was", "--size", "1", "copy")
    copy = world.wait_volume("copy", "available")
    assert (copy["bootable"], copy["availability_zone"]) == ("true", "az1")
    three = Guest(world, "three", world.cloud.hosts[0], "az1")
    _boot_from(world, three, "--volume", "copy")
    assert _disks(three) & {"vda", "vdb"} == {"vda"}
    assert three.ssh("echo mine > /persist/mine && sync").returncode == 0
    run("server", "delete", "--wait", "three")
    assert world.wait_volume("copy", "available")["attachments"] == []
    again = Guest(world, "again", world.cloud.hosts[1], "az2")
    _boot_from(world, again, "--volume", "copy")
    assert again.ssh("cat /persist/mine").stdout == "mine\n", "the disk is the same on another host"
    run("server", "delete", "--wait", "again")


@pytest.mark.contract("V-BFV", "N-BOOT")
def test_a_new_volume_is_made_in_the_servers_zone(world: World) -> None:
    guest = Guest(world, "fresh", world.cloud.hosts[1], "az2")
    image = world.cloud.openstack_json("image", "show", "tiny")["id"]
    body = world.client.server_body(image, "fresh", flavor=world.client.flavor_id("tiny"), key_name="demo",
                                    availability_zone="az2:host2")
    del body["server"]["imageRef"]
    body["server"]["block_device_mapping_v2"] = [
        {"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 1,
         "delete_on_termination": True}]
    answer = world.client.post("/compute/v2.1/servers", body)
    assert answer.status_code == 202, answer.text
    guest.id = answer.json()["server"]["id"]
    server = world.client.wait_server(guest.id, "ACTIVE", timeout_s=90)
    assert server["image"] == ""
    [guest.address] = [address["addr"] for address in server["addresses"]["default"]]
    guest.wait_ssh()
    [attached] = server["os-extended-volumes:volumes_attached"]
    volume = world.client.get(f"/volume/v3/volumes/{attached['id']}").json()["volume"]
    assert volume["availability_zone"] == "az2"
    assert volume["os-vol-host-attr:host"].startswith("node2@")
    world.cloud.openstack("server", "delete", "--wait", "fresh")
    wait_for(lambda: world.client.get(f"/volume/v3/volumes/{attached['id']}").status_code == 404, "its volume's end",
             30, every_s=0.3)


def test_a_backup_brings_back_what_was_lost(world: World) -> None:
    run = world.cloud.openstack
    run("volume", "backup", "create", "--name", "full", "data")
    _wait_backup(world, "full")
    world.wait_volume("data", "available")
    disk = world.attach(world.one, "data")
    assert world.one.ssh(f"mount -t ext4 /dev/{disk} /mnt && echo later > /mnt/later && sync; umount /mnt"
                         ).returncode == 0
    world.detach(world.one, "data")
    run("volume", "backup", "create", "--incremental", "--name", "since", "data")
    stored = _wait_backup(world, "since")
    assert stored["is_incremental"] is True
    disk = world.attach(world.one, "data")
    world.one.ssh(f"dd if=/dev/zero of=/dev/{disk} bs=1M count=64; sync")
    world.detach(world.one, "data")
    run("volume", "backup", "restore", "--force", "since", "data")
    world.wait_volume("data", "available")
    disk = world.attach(world.one, "data")
    assert _sum_holds(world.one, disk)
    assert world.one.ssh(f"mount -t ext4 /dev/{disk} /mnt; cat /mnt/later; umount /mnt").stdout == "later\n"
    world.detach(world.one, "data")
    run("volume", "backup", "delete", "since")
    wait_for(lambda: len(world.client.get("/volume/v3/backups").json()["backups"]) == 1, "its end", 30, every_s=0.3)
    run("volume", "backup", "delete", "full")


def test_an_agent_killed_in_a_conversion_is_no_failure(world: World) -> None:
    world.cloud.openstack("volume", "create", "--image", "tiny", "--size", "3", "--availability-zone", "az2", "late")
    process = world.cloud.fleet.processes["node2"]
    process.kill()
    process.start()
    assert world.wait_volume("late", "available", 120)["bootable"] == "true"
    world.cloud.openstack("volume", "delete", "late")


def test_a_careless_user_is_told(world: World) -> None:
    for words, told in (
            (("volume", "create", "--size", "1", "--availability-zone", "atlantis", "x"), "'atlantis' is invalid"),
            (("volume", "delete", "root"), "it has 1 snapshots"),
            (("server", "add", "volume", "one", "no-such-volume"), "No Volume found")):
        with pytest.raises(RuntimeError, match=told):
            world.cloud.openstack(*words)
    # The client makes this one large enough by itself.
    source = world.volume("data")["id"]
    answer = world.client.post("/volume/v3/volumes", {"volume": {"size": 1, "source_volid": source}})
    assert answer.status_code == 400
    assert "smaller than original volume size 2GB" in answer.text


@pytest.mark.contract("N-DELETE")
def test_nothing_is_left(world: World) -> None:
    run = world.cloud.openstack
    world.attach(world.two, "data")
    run("server", "delete", "--wait", "one", "two")
    world.wait_volume("data", "available")
    assert world.cloud.exports() == []
    run("volume", "delete", "data", "copy")
    run("volume", "delete", "--purge", "root")
    wait_for(lambda: world.client.get("/volume/v3/volumes").json()["volumes"] == [], "all gone", 60, every_s=0.3)
    wait_for(lambda: [world.cloud.volume_files(node) for node in NODES] == [[], []], "no file", 30, every_s=0.3)
    for host in world.cloud.hosts:
        assert host.domains() == []
    db = world.cloud.fleet.database()
    assert invariants.database_faults(db) == []
    db.dispose()


def _boot_from(world: World, guest: Guest, *words: str) -> None:
    made = world.cloud.openstack_json(
        "server", "create", guest.name, *words, "--flavor", "tiny", "--key-name", "demo", "--availability-zone",
        f"{guest.zone}:{guest.host.name}")
    guest.id = made["id"]
    server = world.client.wait_server(guest.id, "ACTIVE", timeout_s=90)
    [guest.address] = [address["addr"] for address in server["addresses"]["default"]]
    guest.wait_ssh()


def _wait_backup(world: World, name: str) -> dict[str, Any]:
    wait_for(lambda: world.backup(name)["status"] == "available", f"backup {name}", 90, every_s=0.3)
    return world.backup(name)
