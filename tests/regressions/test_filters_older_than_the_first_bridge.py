"""Filters loaded before the host had any bridge were skipped until they were loaded again: no security group held.

Filters and links of a network are made at the same time, so it was left to chance on a host's first network.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compute.network import links, names, nft
from compute.network.links import Layout
from tests.harness import network_lab
from tests.harness.network_fixtures import cloud, host_namespace
from tests.harness.network_lab import ALLOW_OUT, Cloud, make_network, wait_for
from tests.harness.outside import Outside

__all__ = ["cloud", "host_namespace"]
pytestmark = network_lab.NEEDS


def test_security_groups_hold(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make = links.make_network

    def make_later(layout: Layout) -> None:
        table = ("bridge", names.table_name(layout.network.id))
        assert wait_for(lambda: table in (nft.tables() or ()))
        make(layout)

    monkeypatch.setattr(links, "make_network", make_later)
    net = make_network()
    guest = cloud.boot(10, net, ALLOW_OUT)
    assert guest.dhcp()
    world = Outside(tmp_path / "world", names.bridge_name(net.id))
    try:
        world.run("busybox ip addr add 10.77.0.99/24 dev eth0")
        assert guest.pings("10.77.0.99")
        assert world.run(f"busybox ping -c 3 -W 1 {guest.address}").returncode != 0
    finally:
        world.close()
