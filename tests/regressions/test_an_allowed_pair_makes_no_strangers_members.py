"""A member with the allowed address pair 0.0.0.0/0 (or /1, or the subnet) made everybody a member of its groups.

Membership is a MAC with an address. `tests/integration/test_network_plumbing.py` shows it on a real packet filter.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compute.network import firewall, rules
from compute.network.links import Layout
from hostler.resources.network import port_specs
from hostler.resources.server.specs import RuleSpec
from tests.harness import network_factories as factories
from tests.harness.network_rest import Api

MAC = "fa:16:3e:00:00:05"


@pytest.mark.parametrize("pair", ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/24"])
def test_an_address_alone_admits_nobody(pair: str) -> None:
    admit = RuleSpec(direction="ingress", ethertype="IPv4", remote_is_group=True, remote_group_id="ab-cd")
    send = RuleSpec(direction="egress", ethertype="IPv4", remote_is_group=True, remote_group_id="ab-cd")
    port = factories.port(rules=(admit, send))
    script = firewall.render(Layout(factories.network(), Path("/nowhere"), None), 7, [port],
                             {"ab-cd": rules.members([f"{MAC} 10.0.0.5/32", f"{MAC} {pair}"])})
    assert f"elements = {{ {MAC} . " in script
    assert "ether saddr . ip saddr @group_abcd" in script and "ether daddr . ip daddr @group_abcd" in script


def test_hosts_are_told_the_members_macs(network_api: Api) -> None:
    network_id = network_api.make("network", "networks", name="n")["id"]
    network_api.make("subnet", "subnets", network_id=network_id, cidr="10.0.0.0/24", ip_version=4)
    group = network_api.make("security_group", "security-groups", name="g")["id"]
    port = network_api.make("port", "ports", network_id=network_id, security_groups=[group], allowed_address_pairs=[
        {"ip_address": "0.0.0.0/0"}, {"ip_address": "10.9.0.1", "mac_address": "00:00:5E:00:01:01"}])
    with network_api.db.reading() as session:
        members = port_specs.group_members(session, [group])[group]["members"]
    [fixed] = port["fixed_ips"]
    assert members == sorted([f"{port['mac_address']} {fixed['ip_address']}/32", f"{port['mac_address']} 0.0.0.0/0",
                              "00:00:5e:00:01:01 10.9.0.1/32"])
