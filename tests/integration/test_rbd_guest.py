"""A real guest on a real Ceph: boots from a volume there, uses another, sees it grow, gives it back."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from compute import diskfile
from compute.connections import HostConnections
from compute.layout import Layout
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from compute.virt.libvirt.driver import LibvirtDriver
from hostler import ids
from hostler.resources.server.specs import AttachedSpec, ServerSpec
from hostler.resources.volume.specs import ConnectorSpec, SnapshotSpec, VolumeSpec
from tests.harness import ceph as harness
from tests.harness import real_parts
from tests.harness.ceph import Ceph
from tests.harness.ports import wait_for
from volume import qemu_img
from volume.drivers.contract import calm, new_snapshot, new_volume
from volume.drivers.driver import DiskSource
from volume.drivers.rbd import RbdDriver
from volume.drivers.rbd_cluster import Cluster

BOOT_S = 150  # an emulated guest on a busy machine
GIB = 1 << 30
MIB = 1 << 20

# Fills the first MiB of the volume, which it knows by its serial, and the MiB at one and a half GiB when it has grown.
_SCRIPT = textwrap.dedent("""\
    #!/bin/sh
    disk() { grep -ls ^VOLUME /sys/block/*/serial | cut -d/ -f4; }
    fill() {  # FILE MIB-ON-DISK
      dd if=/dev/urandom of=$1 bs=64k count=16 2>/dev/null
      dd if=$1 of=/dev/$disk bs=64k seek=$(($2 * 16)) conv=fsync 2>/dev/null || tiny-say "cannot write"
    }
    while [ -z "$(disk)" ]; do sleep 0.2; done
    disk=$(disk)
    fill /tmp/first 0
    tiny-say "written $(md5sum < /tmp/first)"
    while [ $(cat /sys/block/$disk/size) -le 2097152 ]; do sleep 0.2; done
    fill /tmp/second 1536
    tiny-say "behind $(md5sum < /tmp/second)"
    while [ -b /dev/$disk ]; do sleep 0.2; done
    tiny-say "volume gone"
    """)


@pytest.fixture
def ceph(tmp_path: Path) -> Iterator[Ceph]:
    missing = harness.missing() or harness.missing_in_qemu()
    if missing:
        pytest.skip(missing)
    made = Ceph(tmp_path / "ceph")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def node(ceph: Ceph) -> RbdDriver:
    made = RbdDriver(Cluster(ceph.pool, ceph.user, str(ceph.conf), 30), owner="node1@ceph", max_depth=5)
    made.open()
    return made


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LibvirtDriver]:
    with real_parts.libvirtd(tmp_path / "v") as uri:
        machine = domainxml.Machine(host="host1", virt_type="qemu", cpu_mode="auto", disk_cache="auto",
                                    pcie_ports=4)
        made = LibvirtDriver(machine, uri=uri, call_timeout_s=30, probe_timeout_s=5, directory=tmp_path / "compute")
        made.open()
        yield made
        for server_id in made.list_servers():
            made.destroy(server_id)
        made.close()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "compute")
    made.prepare()
    return made


def connect(node: RbdDriver, volume: VolumeSpec, device: str, boot_index: int | None = None) -> AttachedSpec:
    attachment_id = ids.new_id()
    connection = node.connect(volume, attachment_id, ConnectorSpec(host="host1"), False)
    return AttachedSpec(attachment_id=attachment_id, volume_id=volume.id, size_gib=volume.size_gib,
                        connection=connection, device=device, boot_index=boot_index)


def make_boot_volume(node: RbdDriver) -> VolumeSpec:
    """Return a volume that shares its data with the one that the tiny image was copied to."""
    image = real_parts.tiny_image()
    copied, cloned = new_volume(), new_volume()
    content = {"driver": "qcow2", "file": {"driver": "file", "filename": str(image.path)}}
    node.create_volume(copied, DiskSource(content, image.virtual_size_bytes or GIB), calm)
    node.clone_volume(cloned, copied, calm)
    node.delete_volume(copied)
    return cloned


def test_a_guest_lives_on_volumes_in_ceph(node: RbdDriver, host: LibvirtDriver, layout: Layout, tmp_path: Path
                                          ) -> None:
    hands = HostConnections(cfg.ConfigOpts(), layout)
    root, data = make_boot_volume(node), new_volume()
    node.create_volume(data, None, calm)
    boot = connect(node, root, "vda", 0)
    guest = make_guest(layout, boot, hands.resolve(boot), data)
    server_id, log = guest.server.id, guest.console_log
    host.create(guest)

    def says(text: str) -> bool:
        return log.exists() and text in log.read_text(errors="replace")

    wait_for(lambda: says("user data starts"), "boot from Ceph", BOOT_S, every_s=0.3)
    attached = connect(node, data, "vdb")
    host.attach_volume(server_id, hands.resolve(attached))
    wait_for(lambda: says("written"), "the guest's first words on the volume", 60, every_s=0.3)
    snapshot = new_snapshot(data)
    node.create_snapshot(snapshot, data, calm)

    node.extend_volume(VolumeSpec(id=data.id, backend="", size_gib=1, attached=True), 2)
    assert host.resize_volume(server_id, data.id, 2 * GIB)
    wait_for(lambda: says("behind"), "the guest to write behind the old end", 60, every_s=0.3)

    # Asked once: libvirtd 9.0 can die of a second request at the moment when the guest lets go.
    if not host.detach_volume(server_id, data.id):
        wait_for(lambda: host.detach_volume(server_id, data.id, ask=False), "the guest to let go", 60, every_s=0.3)
    node.disconnect(data.id, attached.attachment_id)
    wait_for(lambda: says("volume gone"), "the guest's farewell", 30, every_s=0.3)
    first, second = said(log, "written"), said(log, "behind")
    assert not says("cannot write")
    assert sums(node.source_of_volume(data), tmp_path) == (first, second)
    assert sums(node.source_of_snapshot(snapshot, data), tmp_path)[0] == first
    clean(node, host, guest, snapshot, data, root)


def clean(node: RbdDriver, host: LibvirtDriver, guest: virt.Guest, snapshot: SnapshotSpec, *volumes: VolumeSpec
          ) -> None:
    """Remove all and say that nothing is left."""
    host.destroy(guest.server.id)
    node.delete_snapshot(snapshot, volumes[0])
    for volume in volumes:
        node.delete_volume(volume)
    found = node.find()
    assert (found.volumes, found.snapshots, found.connections) == ((), (), {})


def make_guest(layout: Layout, boot: AttachedSpec, root: virt.VolumeDisk, data: VolumeSpec) -> virt.Guest:
    script = _SCRIPT.replace("VOLUME", data.id[:20])  # as much of it as a virtio disk can say
    server = ServerSpec(id=ids.new_id(), name="tiny", hostname="tiny", project_id="p", user_id="u", vcpus=1,
                        ram_mib=128, root_gib=1, config_drive=True, volumes=(boot,),
                        user_data=base64.b64encode(script.encode()).decode())
    layout.server(server.id).mkdir(parents=True)
    disks = diskfile.DiskFiles(layout).ensure(server, None)
    return virt.Guest(server, disks, (), layout.console_log(server.id), (root,))


def said(log: Path, word: str) -> str:
    found = re.search(word + r" ([0-9a-f]{32})", log.read_text(errors="replace"))
    assert found is not None
    return found[1]


def sums(source: DiskSource, directory: Path) -> tuple[str, str]:
    """Return digests of the first MiB, and of the one at one and a half GiB."""
    path = directory / "out.raw"
    qemu_img.convert(source, str(path), "raw", calm)
    digests = []
    with path.open("rb") as file:
        for offset in (0, 1536 * MIB):
            file.seek(offset)
            digests.append(hashlib.md5(file.read(MIB)).hexdigest())
    path.unlink()
    return digests[0], digests[1]
