"""Live migration of a real guest between two hosts, over TLS: it goes on counting, a connection stays open, its disk
keeps what was written. And when QEMU dies on the way, at either end.

There and back; HOSTLER_MIGRATIONS is the number of moves.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute import diskheader
from hostler import clock, pki
from tests.harness import invariants, real_parts, realfleet
from tests.harness.certified_fleet import CertifiedFleet
from tests.harness.client import Client
from tests.harness.discs import drives_of, iso_disc, run_from_disc
from tests.harness.ports import wait_for
from tests.harness.real_guests import SSH_OPTIONS, Guest, upload_basics
from tests.harness.realhost import Fabric, Host
from tests.harness.volume_fleet import end_exports, find_exports

_TIMES = int(os.environ.get("HOSTLER_MIGRATIONS", "2"))
_LATEST = {"OpenStack-API-Version": "compute 2.80"}
# Counts five times a second in memory alone.
_COUNT = "n=0; while true; do n=$((n+1)); echo $n > /tmp/new; mv /tmp/new /tmp/count; sleep 0.2; done"
# Counts into the connection that started it.
_STREAM = "n=0; while sleep 0.2; do n=$((n+1)); echo $n; done"
# Writes files whose checksums are kept beside them, each after a look at what the disk holds of the one before it.
_WRITE = """echo $$ > /tmp/load.pid
n=0
while true; do
  n=$((n+1)) f=/persist/load$((n % 4))
  echo 3 > /proc/sys/vm/drop_caches
  [ -e $f.sum ] && { sha256sum < $f | cmp -s - $f.sum || echo $f >> /tmp/broken; }
  rm -f $f.sum
  dd if=/dev/urandom of=$f bs=64k count=8 2> /dev/null
  sha256sum < $f > $f.sum
  sync
  echo $n > /tmp/rounds
  sleep 0.1
done
"""
_CHECK = "echo 3 > /proc/sys/vm/drop_caches; cd /persist; for f in load?; do [ -e $f.sum ] || continue; " \
    "sha256sum < $f | cmp -s - $f.sum || echo broken $f; done; echo checked"


class LiveFleet(CertifiedFleet):
    """Guests can be on the fabric, with addresses that are good on any host; the second host compares their disks. A
    storage node exports volumes, whose files no host sees, encrypted."""

    @property
    def storage(self) -> Path:
        """Where the node keeps its volumes."""
        return self.directory / "storage"

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Say which link leads to the fabric, and issue the node's certificates."""
        options = super().overrides()
        out = self.directory / "node1-pki"
        pki.issue(self.directory / "authority", "node1", [self.fabric.address], out, clock.utcnow())
        options["node1"] = {
            "volume": {"my_ip": self.fabric.address, "enabled_backends": "local", "tls_dir": str(out)},
            "backend:local": {"driver": "file", "format": "raw", "directory": self.storage}}
        options[self.hosts[1].name]["libvirt"]["verify_block_migration"] = True
        for host in self.hosts:
            options[host.name]["network"] = {"bridge_mappings": "fabric:eth1"}
            options[host.name]["compute"]["nbd_tls"] = True
        return options

    def start(self) -> Client:
        """Start everything; the node's directory is on its own machine."""
        self.storage.mkdir(parents=True)
        return super().start()

    def _join(self, host: Host) -> None:
        super()._join(host)
        host.hide(self.storage)

    def stop(self) -> None:
        """Stop everything, exports too: they outlive their agent, on purpose."""
        super().stop()
        end_exports(self.storage)


class Stream:
    """A TCP connection from the test to the guest, which counts into it, on a network that all hosts share."""

    def __init__(self, guest: Guest) -> None:
        self._guest, self._run = guest, guest.world.cloud.openstack
        address = self._connect_guest(guest.world.cloud.fabric)
        self.numbers: list[int] = []
        self._ssh = subprocess.Popen(
            ["ssh", "-i", guest.world.directory / "key", *SSH_OPTIONS, f"root@{address}", _STREAM],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _connect_guest(self, fabric: Fabric) -> str:
        """Plug the guest into the fabric; returns its address."""
        self._run("network", "create", "--provider-network-type", "flat", "--provider-physical-network", "fabric",
                  "lan")
        self._run("subnet", "create", "--network", "lan", "--subnet-range", f"{fabric.prefix}.0/24", "--gateway",
                  fabric.address, "--allocation-pool", f"start={fabric.prefix}.100,end={fabric.prefix}.200", "lan")
        self._run("server", "add", "network", self._guest.name, "lan")
        [found] = wait_for(lambda: self._guest.world.client.show(self._guest.id)["addresses"].get("lan"),
                           "its second address", 60)
        address = found["addr"]
        wait_for(lambda: f"{address}/24" in self._guest.ssh("ip addr show dev eth1").stdout, "its second network card",
                 60, every_s=0.5)
        return str(address)

    def wait_for_more(self) -> None:
        """Wait until the guest has counted on."""
        seen = len(self.numbers)
        wait_for(lambda: len(self.numbers) > seen, "more numbers over the connection", 60)

    def close(self) -> None:
        """End it."""
        self._ssh.kill()
        self._ssh.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._ssh.stdout is not None
        for line in self._ssh.stdout:
            self.numbers.append(int(line))


class World:
    """The cloud and its server."""

    def __init__(self, cloud: LiveFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.guest = Guest(self, "traveller", cloud.hosts[0])

    def prepare(self) -> None:
        """Upload the image, the key, open ssh, boot the server."""
        upload_basics(self)
        run = self.cloud.openstack
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        self.guest.create()
        self.guest.wait_ssh()

    def migrate(self, guest: Guest | None = None) -> float:
        """Send a guest, else its own, to the other host; returns the seconds it took."""
        guest = guest or self.guest
        started = time.monotonic()
        assert self.send(guest) == "completed", self.client.show(guest.id)
        shown = self.client.wait_server(guest.id, "ACTIVE")
        [guest.host] = [host for host in self.cloud.hosts if host is not guest.host]
        assert shown["OS-EXT-SRV-ATTR:host"] == guest.host.name
        return time.monotonic() - started

    def send(self, guest: Guest) -> str:
        """Have the unmodified client send a guest to the other host; returns how that ended."""
        [target] = [host for host in self.cloud.hosts if host is not guest.host]
        self.cloud.openstack("--os-compute-api-version", "2.30", "server", "migrate", "--live-migration", "--host",
                             target.name, guest.name)
        wait_for(lambda: self.last(guest)["status"] in ("completed", "failed", "cancelled", "error"), "its end", 90,
                 every_s=0.2)
        return str(self.last(guest)["status"])

    def send_slowly(self) -> Host:
        """Begin a migration that does not end by itself while a test lasts; returns the target once it receives."""
        [target] = [host for host in self.cloud.hosts if host is not self.guest.host]
        self.guest.virsh("migrate-setspeed", "1")  # MiB/s
        self.cloud.openstack("--os-compute-api-version", "2.30", "server", "migrate", "--live-migration", "--host",
                             target.name, self.guest.name)
        path = f"/compute/v2.1/servers/{self.guest.id}/migrations"
        wait_for(lambda: [row for row in self.client.get(path, headers=_LATEST).json()["migrations"]
                          if row["disk_processed_bytes"] or row["memory_processed_bytes"]], "its way", 90, every_s=0.2)
        return target

    def wait_failed(self, status: str) -> None:
        """Wait until the migration has failed, with the server where it was and nothing of it at its target."""
        wait_for(lambda: self.last(self.guest)["status"] == "failed", "the failure", 90, every_s=0.2)
        shown = self.client.wait_server(self.guest.id, status, timeout_s=60)
        assert shown["OS-EXT-SRV-ATTR:host"] == self.guest.host.name
        [target] = [host for host in self.cloud.hosts if host is not self.guest.host]
        wait_for(lambda: (target.domains(), (self.cloud.state(target) / "servers" / self.guest.id).exists(),
                          [link for link in target.links() if link.startswith("tap")]) == ([], False, []),
                 "nothing left at its target", 60, every_s=0.5)

    def attach(self, volume: str) -> str:
        """Make a volume and attach it; returns the guest's name for the disk."""
        before = self._disks()
        self.cloud.openstack("volume", "create", "--size", "1", volume)
        self._wait_volume(volume, "available")
        self.cloud.openstack("server", "add", "volume", self.guest.name, volume)
        self._wait_volume(volume, "in-use")
        wait_for(lambda: self._disks() - before, "the disk", 60, every_s=0.3)
        [disk] = self._disks() - before
        return disk

    def detach(self, volume: str) -> None:
        """Detach a volume."""
        self.cloud.openstack("server", "remove", "volume", self.guest.name, volume)
        self._wait_volume(volume, "available")

    def _disks(self) -> set[str]:
        return set(self.guest.ssh("ls /sys/block").stdout.split())

    def _wait_volume(self, name: str, status: str) -> None:
        path = f"/volume/v3/volumes/detail?name={name}"
        wait_for(lambda: self.client.get(path).json()["volumes"][0]["status"] == status, f"{name}: {status}", 90,
                 every_s=0.3)

    def forget_at_target(self, sha256: str, guest: Guest) -> None:
        """Have the host that a guest is not on know nothing of an image."""
        [target] = [host for host in self.cloud.hosts if host is not guest.host]
        (self.cloud.state(target) / "images" / sha256).unlink(missing_ok=True)

    def base_of(self, guest: Guest) -> Path:
        """Return this host's file that a guest's root disk builds on."""
        state = self.cloud.state(guest.host)
        name = diskheader.base_of(state / "servers" / guest.id / "disk")
        assert name is not None, "all of the disk was copied"
        return state / "images" / name

    def last(self, guest: Guest) -> dict[str, Any]:
        """Return a server's last migration."""
        answer = self.client.get(f"/compute/v2.1/os-migrations?instance_uuid={guest.id}", headers=_LATEST)
        return dict(answer.json()["migrations"][0])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("live")
    cloud = LiveFleet(directory, nodes=1)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.fixture
def stream(world: World) -> Iterator[Stream]:
    """Open the connection."""
    made = Stream(world.guest)
    yield made
    made.close()


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE", "N-CLI", "Z-LOCALMIG")
def test_the_guest_goes_on(world: World, stream: Stream) -> None:
    guest = world.guest
    for name, script in (("count", _COUNT), ("load", _WRITE)):
        # By way of a file: the script is quoted once already, for ssh.
        (world.directory / name).write_text(script)
        assert guest.copy(world.directory / name, f"/tmp/{name}.sh").returncode == 0
        started = guest.ssh(f"setsid sh /tmp/{name}.sh > /dev/null 2>&1 < /dev/null &")
        assert started.returncode == 0, started.stderr
    boot_id = guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    wait_for(lambda: guest.ssh("cat /tmp/count").stdout.strip(), "the first count", 60)
    stream.wait_for_more()
    counted = 0
    for turn in range(_TIMES):
        source = guest.host
        took = world.migrate()
        guest.wait_ssh()
        assert guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout == boot_id
        now = int(guest.ssh("cat /tmp/count").stdout)
        assert now > counted
        counted = now
        wait_for(lambda now=now: int(guest.ssh("cat /tmp/count").stdout or 0) > now, "it to go on counting", 60)
        assert guest.ssh("cat /tmp/broken").stdout == ""
        stream.wait_for_more()
        print(f"migration {turn + 1}: {took:.1f} s")
        assert source.domains() == []
        assert not (world.cloud.state(source) / "servers" / guest.id).exists()
        assert [link for link in source.links() if link.startswith("tap")] == []
        assert guest.domain_state() == "running"
    numbers = list(stream.numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert guest.ssh("cat /tmp/rounds").stdout.strip()
    guest.ssh("kill $(cat /tmp/load.pid); sync")
    assert guest.ssh(_CHECK).stdout == "checked\n"
    db = world.cloud.fleet.database()
    assert invariants.database_faults(db) == []
    db.dispose()


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE", "N-CLI")
def test_a_volume_is_written_all_the_way(world: World) -> None:
    guest, storage = world.guest, world.cloud.storage
    disk = world.attach("luggage")
    made = guest.ssh(f"/bin/mke2fs -q -t ext4 /dev/{disk} && mkdir /vol && mount -t ext4 /dev/{disk} /vol")
    assert made.returncode == 0, made.stderr
    # As on the server's own disk, beside what the test before left.
    names = {"/persist/": "/vol/", **{f"/tmp/{name}": f"/tmp/vol.{name}" for name in ("load.pid", "broken", "rounds")}}
    script = functools.reduce(lambda text, name: text.replace(name, names[name]), names, _WRITE)
    (world.directory / "load").write_text(script)
    assert guest.copy(world.directory / "load", "/tmp/vol.sh").returncode == 0
    guest.ssh("setsid sh /tmp/vol.sh > /dev/null 2>&1 < /dev/null &")
    wait_for(lambda: guest.ssh("cat /tmp/vol.rounds").stdout.strip(), "the first round", 60)
    exports = set(find_exports(storage))
    for _ in range(_TIMES):
        rounds = int(guest.ssh("cat /tmp/vol.rounds").stdout)
        world.migrate()
        guest.wait_ssh()
        wait_for(lambda rounds=rounds: int(guest.ssh("cat /tmp/vol.rounds").stdout or 0) > rounds + 4,
                 "it to go on writing", 60)
        assert guest.ssh("cat /tmp/vol.broken").stdout == ""
        assert len(exports) == len(find_exports(storage)) == 1
        assert exports.isdisjoint(find_exports(storage)), "the target has an export of its own"
        exports = set(find_exports(storage))
    guest.ssh("kill $(cat /tmp/vol.load.pid); sync")
    assert guest.ssh(_CHECK.replace("/persist", "/vol")).stdout == "checked\n"
    assert guest.ssh("umount /vol").returncode == 0
    world.detach("luggage")
    assert find_exports(storage) == {}
    db = world.cloud.fleet.database()
    assert invariants.database_faults(db) == []
    db.dispose()


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE")
def test_a_guest_that_runs_from_a_disc_keeps_it(world: World) -> None:
    cloud, guest = world.cloud, Guest(world, "disc", world.cloud.hosts[1])
    run_from_disc(cloud, guest)
    world.client.wait_server(guest.id, "ACTIVE")
    [drive] = drives_of(guest)
    for _ in range(_TIMES):
        source = guest.host
        world.migrate(guest)
        assert (drives_of(guest), guest.domain_state()) == ([drive], "running")
        assert not (cloud.state(source) / "servers" / guest.id).exists()
    cloud.openstack("image", "delete", "disc")
    base = hashlib.sha256(iso_disc()).hexdigest()
    world.forget_at_target(base, guest)
    world.migrate(guest)
    assert (drives_of(guest), guest.domain_state()) == ([drive], "running")
    assert world.base_of(guest).read_bytes() == iso_disc()
    (cloud.state(guest.host) / "images" / base).unlink()  # the next target cannot have it
    assert world.send(guest) == "failed", "its target cannot make the disc"
    world.client.wait_server(guest.id, "ACTIVE")
    assert (drives_of(guest), guest.domain_state()) == ([drive], "running")
    guest.remove()


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE")
def test_what_the_disk_builds_on_goes_before_when_its_image_is_gone(world: World) -> None:
    guest, tiny = world.guest, real_parts.tiny_image().sha256
    guest.ssh("echo kept > /persist/kept; sync")
    written = guest.ssh("cat /persist/load?.sum").stdout
    world.cloud.openstack("image", "delete", "tiny")
    for _ in range(_TIMES):
        world.forget_at_target(tiny, guest)
        world.migrate()
        assert world.base_of(guest).name == tiny
        guest.wait_ssh()
        guest.ssh("echo 3 > /proc/sys/vm/drop_caches")
        assert guest.ssh("cat /persist/kept").stdout == "kept\n"
        assert guest.ssh("cat /persist/load?.sum").stdout == written
    guest.act({"reboot": {"type": "HARD"}}, "ACTIVE")
    guest.wait_ssh()
    assert guest.ssh("cat /persist/kept").stdout == "kept\n"


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE")
def test_a_guest_goes_on_where_it_is_when_the_receiving_qemu_dies(world: World) -> None:
    guest = world.guest
    boot_id = guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    world.send_slowly().check("pkill -9 qemu-system")
    world.wait_failed("ACTIVE")
    guest.wait_ssh()
    assert guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout == boot_id


@pytest.mark.timeout(600)
@pytest.mark.contract("N-MIGRATE")
def test_a_guest_whose_qemu_dies_on_the_way_is_off_and_starts_nowhere_else(world: World) -> None:
    world.send_slowly()
    world.guest.host.check("pkill -9 qemu-system")
    world.wait_failed("SHUTOFF")
