"""A server that runs from a disc (an image of format iso) was migrated live to a blank one: its base was looked for in
disks that can be written alone. A cold migration made its disc as large as its flavor's disk."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from unittest import mock

import libvirt
import pytest
from lxml import etree

from compute import diskheader
from compute.diskfile import DiskFiles
from compute.layout import Layout
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml, migration
from hostler import errors
from hostler.resources.server.specs import ImageSpec
from tests.harness.compute_agents import make_agent, make_server
from tests.harness.contexts import attempt_of

_SHA256 = "ab" * 32


@pytest.mark.parametrize("disc", [True, False])
def test_the_base_of_a_disc_is_told(disc: bool) -> None:
    root = virt.Disk(Path("/source/disk"), "vda", readonly=disc, cdrom=disc)
    drive = virt.Disk(Path("/source/disk.config"), "vdz", "raw", readonly=True)
    tree = etree.fromstring(domainxml.build(
        virt.Guest(make_server(), (root, drive), (), Path("/source/console.log"), (), Path("/source/images/other")),
        domainxml.Machine("host1", "qemu", "none", "none", 4)))
    for disk in tree.findall("devices/disk"):
        chain = etree.SubElement(disk, "backingStore")
        if disk.find("source").get("file") == "/source/disk":
            etree.SubElement(chain, "source", file=f"/source/images/{_SHA256}")
    domain = mock.Mock()
    domain.state.return_value = [libvirt.VIR_DOMAIN_RUNNING]
    domain.XMLDesc.return_value = etree.tostring(tree, encoding="unicode")
    domain.blockInfo.return_value = [1 << 30]
    origin = migration.describe(domain)
    assert origin.base == _SHA256
    assert set(origin.disks) == (set() if disc else {"vda"})


def test_a_disc_whose_image_is_gone_cannot_go_along(tmp_path: Path) -> None:
    source, target, server = make_agent(tmp_path / "one"), make_agent(tmp_path / "two", host="host2"), make_server()
    source.spawn(server)
    origin = {**source.manager.describe_migration(attempt_of("move"), server.to_wire()), "disks": {}}
    without = dataclasses.replace(server, image=None)
    with pytest.raises(errors.AgentError, match="image"):
        target.manager.prepare_migration(attempt_of("move"), without.to_wire(), origin, None)
    assert target.leftovers() == []


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_a_disc_keeps_its_size(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    content = b"disc" * (1 << 18)
    base = layout.images / _SHA256
    base.write_bytes(content)
    server = make_server(root_gib=2, image=ImageSpec(
        id="i1", sha256=_SHA256, size_bytes=len(content), virtual_size_bytes=len(content), disk_format="iso"))
    layout.server(server.id).mkdir()
    [disk] = DiskFiles(layout).ensure(server, base)
    DiskFiles(layout).adapt(server, layout.server(server.id), base)
    assert diskheader.size_of(disk) == len(content)
