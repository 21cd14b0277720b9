"""Ports of stateless security groups on a real kernel: answers pass by a rule alone.

As in `test_network_plumbing`, guests are namespaces.
"""

from __future__ import annotations

from hostler.resources.server.specs import RuleSpec
from tests.harness import network_lab
from tests.harness.network_fixtures import cloud, host_namespace
from tests.harness.network_lab import ALLOW_OUT, Cloud, make_network, wait_for

__all__ = ["cloud", "host_namespace"]

pytestmark = network_lab.NEEDS
WEB = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=80, port_max=80)


def stateless(direction: str, protocol: str, low: int | None = None, high: int | None = None) -> RuleSpec:
    return RuleSpec(direction=direction, ethertype="IPv4", protocol=protocol, port_min=low, port_max=high,
                    stateful=False)


def test_answers_need_rules_of_their_own(cloud: Cloud) -> None:
    net = make_network()
    deaf = cloud.boot(10, net, stateless("egress", "tcp"))
    hearing = cloud.boot(11, net, stateless("egress", "tcp"), stateless("ingress", "tcp", 1024, 65535))
    server = cloud.boot(12, net, ALLOW_OUT, WEB)
    for guest in (deaf, hearing, server):
        assert guest.dhcp()["ip"] == guest.address, "DHCP passes without a rule"
    server.listen(80)
    assert wait_for(lambda: hearing.reaches(server.address, 80))
    assert not deaf.reaches(server.address, 80)
    # The other end is stateful, and knows the answers to what it asks, from wherever they come.
    served = cloud.boot(13, net, stateless("ingress", "tcp", 80, 80), stateless("egress", "tcp"))
    silent = cloud.boot(14, net, stateless("ingress", "tcp", 80, 80))
    for guest in (served, silent):
        assert guest.dhcp()["ip"] == guest.address
        guest.listen(80)
    assert wait_for(lambda: server.reaches(served.address, 80)) and not server.reaches(silent.address, 80)
    assert deaf.fetch("http://169.254.169.254/latest/meta-data/hostname") == (200, "guest10"), "and so does metadata"
