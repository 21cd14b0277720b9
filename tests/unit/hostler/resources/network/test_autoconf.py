"""Addresses formed from MAC addresses."""

from __future__ import annotations

import pytest

from hostler.resources.network import autoconf
from hostler.resources.server.specs import SubnetSpec


def test_addresses_follow_from_prefix_and_mac() -> None:
    # The example of RFC 4291, appendix A, and a locally administered one.
    assert autoconf.address_in("2001:db8::/64", "34:56:78:9A:BC:DE") == "2001:db8::3656:78ff:fe9a:bcde"
    assert autoconf.link_local("fa:16:3e:00:00:05") == "fe80::f816:3eff:fe00:5"


@pytest.mark.parametrize(("ra_mode", "address_mode", "expected"), [
    (None, None, False), ("dhcpv6-stateful", "dhcpv6-stateful", False), (None, "slaac", True), ("slaac", None, True),
    (None, "dhcpv6-stateless", True), ("dhcpv6-stateless", "dhcpv6-stateless", True),
])
def test_which_subnets_are_automatic(ra_mode: str | None, address_mode: str | None, expected: bool) -> None:
    subnet = SubnetSpec(id="s", cidr="fd00::/64", ip_version=6, ipv6_ra_mode=ra_mode, ipv6_address_mode=address_mode)
    assert autoconf.is_automatic(subnet) is expected
