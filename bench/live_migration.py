"""Live migration of an idle guest beside the same done by hand: `python bench/live_migration.py [--times N]
[--against COMMIT]`.

Two hosts with libvirtd and QEMU in namespaces of this machine, TLS between them, one guest made by the API and a copy
of it that only libvirt knows, its disk an overlay of the same image. Both go there and back in turns. By hand means:
the target's overlay made with qemu-img, libvirt's peer-to-peer migration with the flags that the agent uses, the
source's overlay removed. Ours counts from the request until the records, which the API shows, say that the migration is
completed. They are read in the database, by a prepared statement on the driver's own connection: who asks the API every
50 ms takes a fifth of a processor from the guest that is sent, a session of SQLAlchemy every 10 ms a tenth, and nothing
does so by hand. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import against
import libvirt
import measure
from lxml import etree

measure.use_checkout()

from hostler import ids  # noqa: E402
from hostler.db.engine import Database  # noqa: E402
from tests.harness import realfleet  # noqa: E402
from tests.harness.certified_fleet import CertifiedFleet  # noqa: E402
from tests.harness.ports import wait_for  # noqa: E402
from tests.harness.real_guests import Guest, upload_basics  # noqa: E402

_MICROVERSION: Final = {"OpenStack-API-Version": "compute 2.80"}
LOOK_EVERY_S: Final = 0.01
_BRIDGE: Final = "byhand"
_FLAGS: Final = (libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_PERSIST_DEST
                 | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE | libvirt.VIR_MIGRATE_ABORT_ON_ERROR | libvirt.VIR_MIGRATE_TLS
                 | libvirt.VIR_MIGRATE_NON_SHARED_INC | libvirt.VIR_MIGRATE_AUTO_CONVERGE)


class World:
    """The cloud with its guest."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.cloud = directory, CertifiedFleet(directory)
        self.guest = Guest(self, "traveller", self.cloud.hosts[0])

    def prepare(self) -> None:
        """Start the cloud and boot the guest."""
        self.client = self.cloud.start()
        upload_basics(self)
        self.cloud.openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        self.guest.create()
        self.guest.wait_ssh()
        self.records = self.cloud.fleet.database()
        self._look = Look(self.records, "SELECT 1 FROM migrations WHERE server_id = %s AND ended_at IS NULL")

    def migrate(self) -> tuple[float, float]:
        """Send it to the other host; returns the seconds it took, and those for which it stood still."""
        source = self.guest.host
        [target] = [host for host in self.cloud.hosts if host is not source]
        started = time.monotonic()
        answer = self.client.act(self.guest.id, "os-migrateLive", host=target.name, block_migration="auto")
        assert answer.status_code == 202, answer.text
        wait_for(lambda: self._look.at(self.guest.id) is None, "the migration", 120, every_s=LOOK_EVERY_S)
        took_s = time.monotonic() - started
        [migration, *_] = self.client.get(f"/compute/v2.1/os-migrations?instance_uuid={self.guest.id}",
                                          headers=_MICROVERSION).json()["migrations"]
        assert migration["status"] == "completed", migration
        self.guest.host = target
        self.client.wait_server(self.guest.id, "ACTIVE")
        with connected(target.uri) as conn:
            return took_s, _pause_s(conn.lookupByUUIDString(self.guest.id))


class Look:
    """One statement about one id, asked again and again; by libpq's driver alone."""

    def __init__(self, database: Database, statement: str) -> None:
        connection = database.engine.raw_connection().driver_connection
        assert connection is not None
        connection.autocommit = True
        self._cursor, self._statement = connection.cursor(), statement

    def at(self, resource_id: str) -> object:
        """Return the row's only value, None when there is no row."""
        row = self._cursor.execute(self._statement, (resource_id,), prepare=True).fetchone()
        return None if row is None else row[0]


class ByHand:
    """A copy of the guest that only libvirt knows; it begins where the guest is, on the first host."""

    def __init__(self, world: World) -> None:
        self._hosts, self._at, self._id = world.cloud.hosts, 0, ids.new_id()
        with connected(world.guest.host.uri) as conn:
            self._tree = etree.fromstring(conn.lookupByUUIDString(world.guest.id).XMLDesc(
                libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
        overlay = self._tree.find("devices/disk/target[@dev='vda']/../source").get("file")
        described = subprocess.run(["qemu-img", "info", "-U", "--output", "json", overlay], capture_output=True,
                                   check=True).stdout
        image = Path(json.loads(described)["full-backing-filename"])
        # A host that has had no server of the image has none of it.
        self._bases = [next(world.cloud.state(host).rglob(image.name), image) for host in self._hosts]
        self._become_a_copy()

    def _become_a_copy(self) -> None:
        for host in self._hosts:
            host.check(f"ip link add {_BRIDGE} type bridge && ip link set {_BRIDGE} up")
        self._tree.find("name").text = "byhand"
        for element in (self._tree.find("uuid"), *self._tree.findall("sysinfo/system/entry[@name='uuid']")):
            element.text = self._id
        self._tree.remove(self._tree.find("metadata"))
        for nic in self._tree.findall("devices/interface"):
            nic.find("mac").set("address", "52:54:00:00:00:01")
            nic.find("source").set("bridge", _BRIDGE)
            nic.remove(nic.find("target"))

    def start(self) -> None:
        """Boot it and wait until its console says that it is up."""
        self._make_disk(0)
        with connected(self._hosts[0].uri) as conn:
            conn.defineXML(self._definition(0)).create()
        log = self._hosts[0].directory / "byhand.log"
        wait_for(lambda: log.exists() and "ready host=" in log.read_text(errors="replace"), "the copy's boot", 150)

    def migrate(self) -> tuple[float, float]:
        """Send it to the other host; returns the seconds it took, and those for which it stood still."""
        source, target = self._hosts[self._at], self._hosts[1 - self._at]
        started = time.monotonic()
        self._make_disk(1 - self._at)
        definition = self._definition(1 - self._at)
        with connected(source.uri) as conn:
            conn.lookupByUUIDString(self._id).migrateToURI3(f"qemu+tls://{target.address}/system", {
                libvirt.VIR_MIGRATE_PARAM_DEST_XML: definition, libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: definition,
                libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: ["vda"]}, _FLAGS)
        self._disk(self._at).unlink()
        took_s = time.monotonic() - started
        self._at = 1 - self._at
        with connected(target.uri) as conn:
            return took_s, _pause_s(conn.lookupByUUIDString(self._id))

    def _definition(self, number: int) -> str:
        self._tree.find("devices/disk/target[@dev='vda']/../source").set("file", str(self._disk(number)))
        for log in self._tree.iterfind("devices/*/log"):
            log.set("file", str(self._hosts[number].directory / "byhand.log"))
        return etree.tostring(self._tree, encoding="unicode")

    def _disk(self, number: int) -> Path:
        return self._hosts[number].directory / "byhand.qcow2"

    def _make_disk(self, number: int) -> None:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self._bases[number],
                        self._disk(number), "1G"], check=True)


@contextlib.contextmanager
def connected(uri: str) -> Iterator[libvirt.virConnect]:
    """Open a host's libvirt."""
    conn = libvirt.open(uri)
    try:
        yield conn
    finally:
        conn.close()


def _pause_s(domain: libvirt.virDomain) -> float:
    return float(domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)["downtime"]) / 1000


def compare(world: World, times: int) -> None:
    """Send both there and back in turns; prints the figures."""
    for _ in range(2):
        world.migrate()  # both hosts have the image afterwards
    by_hand = ByHand(world)
    by_hand.start()
    ours, theirs = [], []
    for _ in range(times):
        ours.append(world.migrate())
        theirs.append(by_hand.migrate())
    print(f"seconds ours: {[round(took_s, 2) for took_s, _ in ours]}", file=sys.stderr)
    print(f"seconds by hand: {[round(took_s, 2) for took_s, _ in theirs]}", file=sys.stderr)
    medians = [statistics.median(took_s for took_s, _ in runs) for runs in (ours, theirs)]
    for name, runs, median_s in zip(("api", "by_hand"), (ours, theirs), medians, strict=True):
        measure.figure(f"live_migration/{name}", median_s, "s", count=times,
                       longest_pause_s=max(pause_s for _, pause_s in runs))
    measure.figure("live_migration/api_over_by_hand", medians[0] / medians[1], "ratio", count=times)


def main(description: str | None = __doc__, measured: Callable[[World, int], None] = compare) -> None:
    """Parse the arguments and let `measured` compare in a cloud with a guest, so many times."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--times", type=int, default=6, help="of each; default 6")
    parser.add_argument("--against", metavar="COMMIT", help="measure this commit and the present code in turns")
    options = parser.parse_args()
    missing = realfleet.missing()
    if missing:
        sys.exit(missing)
    if options.against:
        against.compare(options.against, [sys.argv[0], "--times", str(options.times)])
        return
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        world = World(Path(directory))
        try:
            world.prepare()
            measured(world, options.times)
        finally:
            world.cloud.stop()


if __name__ == "__main__":
    main()
