"""A guest's VNC server listened on a port of the host, without a password: any user of the host had its screen."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from tests.harness.compute_agents import make_server


def test_the_screen_is_behind_a_socket_of_the_guest() -> None:
    machine = domainxml.Machine(host="host1", virt_type="kvm", cpu_mode="host-model", disk_cache="none", pcie_ports=4)
    guest = virt.Guest(make_server(), (), (), Path("/d/console.log"))
    [graphics] = etree.fromstring(domainxml.build(guest, machine)).findall("devices/graphics")
    assert not {"port", "autoport", "listen", "websocket"} & set(graphics.attrib)
    assert [dict(listen.attrib) for listen in graphics] == [{"type": "socket"}]
