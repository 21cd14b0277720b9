"""Stock cloud images never configured themselves: their cloud-init looks for OpenStack by SMBIOS, which was QEMU's own.

`tests/integration/test_cloud_init.py` has the same with cloud-init's own programs and a real guest.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute import configdrive, metadata
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from tests.harness.compute_agents import make_server

MACHINE = domainxml.Machine(host="host1", virt_type="qemu", cpu_mode="none", disk_cache="none",
                            pcie_ports=4)


def test_a_guest_is_an_openstack_product() -> None:
    server = make_server()
    domain = etree.fromstring(domainxml.build(virt.Guest(server, (), (), Path("/d/console.log")), MACHINE))
    entries = {entry.get("name"): entry.text for entry in domain.findall("sysinfo/system/entry")}
    assert entries["product"] in ("OpenStack Nova", "OpenStack Compute")
    assert entries["serial"] == entries["uuid"] == server.id
    assert domain.find("os/smbios").get("mode") == "sysinfo"


def test_service_and_drive_bring_a_random_seed() -> None:
    server = make_server()
    for documents in (metadata.documents(server), configdrive.documents(server)):
        seed = json.loads(documents["openstack/latest/meta_data.json"])["random_seed"]
        assert len(base64.b64decode(seed, validate=True)) == 512
