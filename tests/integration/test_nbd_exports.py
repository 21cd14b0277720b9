"""A volume over NBD with TLS in a real guest: its host gets in and no other, and a dead export comes back to it."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compute import diskfile
from compute.layout import Layout
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from compute.virt.libvirt.driver import LibvirtDriver
from hostler import errors, ids
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ServerSpec
from hostler.resources.volume.specs import VolumeSpec
from tests.harness import real_parts
from tests.harness.file_backend import (
    PORTS,
    MakeDriver,
    a_host,
    a_volume,
    certificates,
    ignore,
    kill,
    make_driver,
    need_qemu,
    pids,
    reach,
    state,
)
from tests.harness.ports import wait_for
from volume.drivers.file.driver import FileDriver

__all__ = ["certificates", "make_driver", "need_qemu", "state"]
BOOT_S = 150  # an emulated guest on a busy machine

# Fills the first MiB of the volume, which it knows by its serial, and then says whenever it begins or ceases to be
# readable as it was.
_WATCH = textwrap.dedent("""\
    #!/bin/sh
    disk() { grep -ls ^VOLUME /sys/block/*/serial | cut -d/ -f4; }
    while [ -z "$(disk)" ]; do sleep 0.2; done
    disk=/dev/$(disk)
    dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
    dd if=/tmp/data of=$disk bs=64k conv=fsync 2>/dev/null
    tiny-say "written $(md5sum < /tmp/data)"
    was=
    while [ -b $disk ]; do
      echo 3 > /proc/sys/vm/drop_caches
      dd if=$disk of=/tmp/back bs=64k count=16 2>/dev/null
      if cmp -s /tmp/data /tmp/back; then is=good; else is=bad; fi
      [ "$is" = "$was" ] || tiny-say "volume reads $is"
      was=$is
      sleep 0.3
    done
    tiny-say "volume gone"
    """)


@pytest.fixture
def node(make_driver: MakeDriver, certificates: Path) -> FileDriver:
    made = make_driver(volume_tls_dir=str(certificates / "node1"), volume_insecure_exports=False)
    made.open()
    return made


@pytest.fixture
def host(tmp_path: Path, certificates: Path) -> Iterator[LibvirtDriver]:
    """A hypervisor with the certificate of host1."""
    with real_parts.libvirtd(tmp_path / "v") as uri:
        for name in ("ca-cert.pem", "client-cert.pem", "client-key.pem"):
            shutil.copy(certificates / "host1" / name, tmp_path / "v/pki")
        machine = domainxml.Machine(host="host1", virt_type="qemu", cpu_mode="auto", disk_cache="auto",
                                    pcie_ports=4)
        made = LibvirtDriver(machine, uri=uri, call_timeout_s=30, probe_timeout_s=5, directory=tmp_path / "compute")
        made.open()
        yield made
        for server_id in made.list_servers():
            made.destroy(server_id)
        made.close()


def make_guest(directory: Path, volume: VolumeSpec) -> virt.Guest:
    layout = Layout(directory)
    layout.prepare()
    image = real_parts.tiny_image()
    script = _WATCH.replace("VOLUME", volume.id[:20])  # as much of it as a virtio disk can say
    server = ServerSpec(id=ids.new_id(), name="tiny", hostname="tiny", project_id="p", user_id="u", vcpus=1,
                        ram_mib=128, root_gib=1, image=image, config_drive=True,
                        user_data=base64.b64encode(script.encode()).decode())
    layout.server(server.id).mkdir(parents=True)
    base = ImageCache(layout.images, max_bytes=1 << 30, min_age_s=0).fetch(image)
    return virt.Guest(server, diskfile.DiskFiles(layout).ensure(server, base), (), layout.console_log(server.id))


def connect(node: FileDriver, volume: VolumeSpec, attachment_id: str, host: str = "host1") -> virt.VolumeDisk:
    """Connect a volume to a host; returns what the host's driver is told."""
    connection = node.connect(volume, attachment_id, a_host(host, tls=True), False)
    data = connection.data
    return virt.VolumeDisk(volume.id, "vdb", virt.NbdSource(data["host"], data["port"], data["export"], data["tls"],
                                                            data["tls_name"]), connection.format)


def test_a_guest_keeps_its_encrypted_volume_through_the_death_of_the_export(
        node: FileDriver, host: LibvirtDriver, state: Path, tmp_path: Path) -> None:
    volume, stranger = a_volume(1), a_volume(1)
    for made in (volume, stranger):
        node.create_volume(made, None, ignore)
    guest = make_guest(tmp_path / "compute", volume)
    server_id, log = guest.server.id, guest.console_log
    host.create(guest)

    def says(text: str, times: int = 1) -> bool:
        return log.exists() and log.read_text(errors="replace").count(text) >= times

    wait_for(lambda: says("user data starts"), "boot", BOOT_S, every_s=0.3)
    with pytest.raises(errors.AgentError):
        host.attach_volume(server_id, connect(node, stranger, ids.new_id(), "host2"))
    assert host.list_volumes() == {server_id: []}, "nothing stays of a refused one"

    attachment_id = ids.new_id()
    disk = connect(node, volume, attachment_id)
    host.attach_volume(server_id, disk)
    wait_for(lambda: says("volume reads good"), "the guest's first reading", 60, every_s=0.3)

    kill(pids(state / "volume/exports")[attachment_id])
    wait_for(lambda: says("volume reads bad"), "the guest's notice", 60, every_s=0.3)
    node.get_stats()
    wait_for(lambda: says("volume reads good", 2), "the guest's next good reading", 60, every_s=0.3)

    # Asked once: libvirtd 9.0 dies of a second request at the moment when the guest lets go (virDomainAuditDisk of a
    # disk that is freed already).
    if not host.detach_volume(server_id, volume.id):
        wait_for(lambda: host.detach_volume(server_id, volume.id, ask=False), "the guest to let go", 60, every_s=0.3)
    node.disconnect(volume.id, attachment_id)
    wait_for(lambda: says("volume gone"), "the guest's farewell", 30, every_s=0.3)
    written = re.search(r"written ([0-9a-f]{32})", log.read_text(errors="replace"))
    assert written is not None
    raw = tmp_path / "out.raw"
    file = state / f"volumes/local/volume-{volume.id}.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", file, raw], check=True)
    with raw.open("rb") as stream:
        assert hashlib.md5(stream.read(1 << 20)).hexdigest() == written[1]
    assert set(node.find().connections.values()) == {stranger.id}


def test_twenty_at_once_each_for_its_host(node: FileDriver, state: Path, certificates: Path) -> None:
    volumes = [a_volume(1) for _ in range(20)]
    for volume in volumes:
        node.create_volume(volume, None, ignore)

    def export(number: int) -> tuple[str, object]:
        name = f"host{number % 2 + 1}"
        return name, node.connect(volumes[number], ids.new_id(), a_host(name, tls=True), False)

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(export, range(20)))
    assert len(pids(state / "volume/exports")) == 20
    for name, connection in made:
        other = "host2" if name == "host1" else "host1"
        assert reach(connection, certificates / name) == ""  # type: ignore[arg-type]
        assert "TLS" in reach(connection, certificates / other)  # type: ignore[arg-type]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(node.delete_volume, volumes))
    assert pids(state / "volume/exports") == {}


def test_a_restarted_node_serves_the_same_ports_with_renewed_certificates(
        node: FileDriver, make_driver: MakeDriver, state: Path, certificates: Path, tmp_path: Path) -> None:
    volume, attachment_id = a_volume(1), ids.new_id()
    node.create_volume(volume, None, ignore)
    connection = node.connect(volume, attachment_id, a_host(tls=True), False)
    kill(pids(state / "volume/exports")[attachment_id])
    shutil.copytree(certificates / "node1", tmp_path / "renewed")
    restarted = make_driver(volume_tls_dir=str(tmp_path / "renewed"), volume_export_ports=f"{PORTS + 30}-{PORTS + 39}")
    restarted.open()
    assert reach(connection, certificates / "host1") == ""
    assert "TLS" in reach(connection, certificates / "host2")
    assert restarted.connect(volume, attachment_id, a_host(tls=True), False) == connection
