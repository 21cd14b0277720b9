"""What dnsmasq is told about IPv6 subnets: DHCPv6 and router advertisements, as far as a subnet's modes want them.

    ipv6_address_mode   guests' addresses            dnsmasq
    none, or stateful   given out by DHCPv6          answers the ports of this host
    dhcpv6-stateless    formed by the guests         answers with options alone
    slaac               formed by the guests         nothing

With `ipv6_ra_mode` the subnet's prefix is advertised as well; without, a physical router does that. The advertisement
says that its sender is not a way out (router lifetime 0): the namespace is not a router.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from hostler.resources.network import autoconf
from hostler.resources.server.specs import SubnetSpec

# Between unsolicited advertisements, in seconds; 0 is dnsmasq's own choice (ten minutes).
_INTERVAL = 0
_MODES = {(autoconf.SLAAC, True): "ra-only", (autoconf.STATELESS, True): "ra-stateless"}


def is_served(subnet: SubnetSpec) -> bool:
    """Return whether dnsmasq advertises an IPv6 subnet or answers DHCPv6 in it."""
    return _address_mode(subnet) != autoconf.SLAAC or subnet.ipv6_ra_mode is not None


def gives_addresses(subnet: SubnetSpec) -> bool:
    """Return whether guests ask for their addresses."""
    return _address_mode(subnet) == autoconf.STATEFUL


def mode(subnet: SubnetSpec) -> str:
    """Return the part of a `dhcp-range` behind its address: mode and prefix length."""
    kind = _MODES.get((_address_mode(subnet), subnet.ipv6_ra_mode is not None), "static")
    return f"{kind},{ipaddress.ip_network(subnet.cidr).prefixlen}"


def advertisements(interface: str, mtu: int, served: Sequence[SubnetSpec]) -> list[str]:
    """Return the lines for advertisements; none on a network that has none."""
    advertised = [subnet for subnet in served if subnet.ip_version == 6 and subnet.ipv6_ra_mode is not None]
    if not advertised:
        return []
    lines = ["quiet-dhcp6", "quiet-ra", f"ra-param={interface},mtu:{int(mtu)},{_INTERVAL},0"]
    # Also for subnets in which guests must ask; the others are advertised by their mode.
    return [*lines, *(["enable-ra"] if any(map(gives_addresses, advertised)) else [])]


def options(subnet: SubnetSpec, default_dns: Sequence[str], domain: str | None) -> list[str]:
    """Return a subnet's options; advertisements carry them, too (RFC 8106)."""
    dns = [f"[{address}]" for address in subnet.dns_nameservers or default_dns
           if ipaddress.ip_address(address).version == 6]
    return [*([f"option6:dns-server,{','.join(dns)}"] if dns else []),
            *([f"option6:domain-search,{domain}"] if domain is not None else [])]


def _address_mode(subnet: SubnetSpec) -> str:
    return subnet.ipv6_address_mode or subnet.ipv6_ra_mode or autoconf.STATEFUL
