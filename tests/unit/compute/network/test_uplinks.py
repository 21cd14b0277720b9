"""What carries a network to other hosts, and what a host cannot carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compute.network import links, names, uplinks
from compute.network.links import Layout
from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.resources.server.specs import NetworkSpec

SPACE = Path("/nowhere")


def make(monkeypatch: pytest.MonkeyPatch, *kinds: str, **overrides: Any) -> uplinks.Uplinks:
    monkeypatch.setattr(links, "kinds", lambda: ("flat", *kinds))
    values = {"network.bridge_mappings": {"lan": "eth1"}, "compute.my_ip": "192.0.2.1", **overrides}
    return uplinks.Uplinks(hostler_conf.load([], config_files=[], overrides=values))


def network(**values: Any) -> NetworkSpec:
    return NetworkSpec(id=ids.new_id(), name="net", **values)


def test_each_kind_has_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    host = make(monkeypatch, "vxlan", "vlan")
    alone, lan = network(), network(physical_network="lan")
    tagged = network(network_type="vlan", physical_network="lan", segmentation_id=100)
    tunnelled = network(network_type="vxlan", segmentation_id=7)
    assert host.layout(alone, SPACE) == Layout(alone, SPACE, None)
    assert host.layout(lan, SPACE) == Layout(lan, SPACE, "eth1")
    assert host.layout(tagged, SPACE) == Layout(tagged, SPACE, names.vlan_name(tagged.id), parent="eth1")
    assert host.layout(tunnelled, SPACE) == Layout(tunnelled, SPACE, names.vxlan_name(tunnelled.id),
                                                   tunnel_ip="192.0.2.1")


@pytest.mark.parametrize(("values", "words"), [
    ({"physical_network": "dmz"}, "physical network dmz is not in this host's bridge_mappings"),
    ({"network_type": "vlan", "physical_network": "dmz", "segmentation_id": 1}, "module 8021q"),
    ({"network_type": "vxlan", "segmentation_id": 1}, "tunnel_ip")])
def test_what_a_host_cannot_carry_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.AgentError) as raised:
        make(monkeypatch).layout(network(**values), SPACE)
    assert words in raised.value.details


def test_another_releases_kinds_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.NotImplementedHere):
        make(monkeypatch).layout(network(network_type="geneve"), SPACE)


@pytest.mark.parametrize(("overrides", "carries"), [
    ({}, True), ({"compute.my_ip": "fd00::1"}, False),
    ({"compute.my_ip": "fd00::1", "compute.tunnel_ip": "192.0.2.9"}, True)])
def test_tunnels_need_ipv4(monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any], carries: bool) -> None:
    assert ("vxlan" in make(monkeypatch, "vxlan", **overrides).kinds) == carries
