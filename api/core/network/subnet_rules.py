"""Checks a subnet's block, IPv6 modes, gateway, pools, name servers and routes; returns their canonical spellings."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hostler import errors
from hostler.db.models import Subnet
from hostler.resources.network import autoconf, ipam
from hostler.resources.network.ipam import Address, Block

MAX_DNS_NAMESERVERS = 5
MAX_HOST_ROUTES = 20
# A longer prefix has no room for a DHCP server beside a gateway and a guest (as the reference has it).
_LONGEST_SERVED = 126
_CIDR = re.compile(r"[0-9a-fA-F.:]+/[0-9]{1,3}")


@dataclasses.dataclass(frozen=True)
class Modes:
    """How a request wants a subnet advertised, and how guests are to get their addresses."""

    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None


def new_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a new subnet: the checked request with defaults filled in."""
    block = _block(values.get("cidr"), values["ip_version"])
    _check_modes(block, values)
    gateway = _gateway(values["gateway_ip"], block) if values.get("gateway_ip") is not None else None
    if "gateway_ip" not in values:
        gateway = _first_host(block)
    _check_gateway(block, gateway)
    given = values.get("allocation_pools")
    # An empty list stands for the default in the reference, too; a change to one leaves the subnet without addresses.
    pools = _pools(block, given) if given else ipam.default_pools(block, _text(gateway))
    _check_gateway_outside(pools if given else (), gateway)
    return {**values, "cidr": str(block), "gateway_ip": _text(gateway), "allocation_pools": pools,
            "enable_dhcp": values.get("enable_dhcp", True),
            "dns_nameservers": _dns_nameservers(values.get("dns_nameservers") or ()),
            "host_routes": _host_routes(block, values.get("host_routes") or ())}


def changed_values(subnet: Subnet, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a change sets, checked against the rest of the subnet."""
    block = ipam.block_of(subnet)
    if block.version == 6 and values.get("enable_dhcp", subnet.enable_dhcp) != subnet.enable_dhcp:
        _check_dhcp(block, values["enable_dhcp"], subnet)
    new = dict(values)
    if new.get("allocation_pools") is not None:
        new["allocation_pools"] = _pools(block, new["allocation_pools"])
    if new.get("gateway_ip") is not None:
        gateway = _gateway(new["gateway_ip"], block)
        _check_gateway(block, gateway)
        new["gateway_ip"] = str(gateway)
        if new["gateway_ip"] == subnet.dhcp_ip:
            raise errors.InUse(f"Gateway ip {gateway} is already in use by the DHCP server. Unable to update.",
                               resource="gateway", id=str(gateway), reason="DHCP")
    current = new.get("gateway_ip", subnet.gateway_ip)
    if "gateway_ip" in new or "allocation_pools" in new:
        _check_gateway_outside(new.get("allocation_pools", subnet.allocation_pools),
                               ipaddress.ip_address(current) if current else None)
    if "dns_nameservers" in new:
        new["dns_nameservers"] = _dns_nameservers(new["dns_nameservers"] or ())
    if "host_routes" in new:
        new["host_routes"] = _host_routes(block, new["host_routes"] or ())
    return new


def overlaps(cidr: str, others: Iterable[str]) -> bool:
    """Return whether a block shares addresses with one of `others`."""
    block = ipaddress.ip_network(cidr)
    return any(block.version == other.version and block.overlaps(other)  # type: ignore[arg-type]
               for other in map(ipaddress.ip_network, others))


def _block(text: str | None, ip_version: int) -> Block:
    if text is None:
        raise errors.Invalid(reason="Bad subnets request: a subnetpool must be specified in the absence of a cidr.")
    try:
        if not _CIDR.fullmatch(text):
            raise ValueError("neither a netmask nor a missing length is a prefix")
        block = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _wrong("cidr", text, f"'{text}' is not a valid IP subnet.") from None
    if block.version != ip_version:
        raise _wrong("cidr", text, f"ip_version '{ip_version}' and cidr '{text}' are of different families.")
    if block.prefixlen == 0 or block.is_multicast or block.is_loopback or block.overlaps(_link_local(block)):
        raise _wrong("cidr", text, "Such a block can't be used for guests.")
    return block


def _link_local(block: Block) -> Any:
    # 169.254.0.0/16 is where the metadata service answers.
    return ipaddress.ip_network("169.254.0.0/16" if block.version == 4 else "fe80::/10")


def _check_modes(block: Block, values: Mapping[str, Any]) -> None:
    asked = Modes(values.get("ipv6_ra_mode"), values.get("ipv6_address_mode"))
    if block.version == 4:
        for field, mode in vars(asked).items():
            if mode is not None:
                raise _refused(f"{field} is not valid when ip_version is 4", field, mode)
        return
    _check_dhcp(block, values.get("enable_dhcp", True), asked)
    if asked.ipv6_ra_mode and asked.ipv6_address_mode and asked.ipv6_ra_mode != asked.ipv6_address_mode:
        raise _refused(f"ipv6_ra_mode set to '{asked.ipv6_ra_mode}' with ipv6_address_mode set to "
                       f"'{asked.ipv6_address_mode}' is not valid. If both attributes are set, they must be the same "
                       "value", "ipv6_ra_mode", asked.ipv6_ra_mode)
    if autoconf.is_automatic(asked) and block.prefixlen != 64:
        raise _refused(f"Invalid CIDR {block} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
                       "requires the prefix to be /64", "cidr", str(block))


def _check_dhcp(block: Block, enable_dhcp: bool, modes: autoconf.Modes) -> None:
    mode = modes.ipv6_ra_mode or modes.ipv6_address_mode
    if mode is not None and not enable_dhcp:
        raise _refused("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False",
                       "enable_dhcp", mode)
    if enable_dhcp and block.prefixlen > _LONGEST_SERVED:
        raise _refused("Subnet has a prefix length that is incompatible with DHCP service enabled", "cidr", str(block))


def _gateway(text: str, block: Block) -> Address:
    """Return a gateway's address: in the block, or for IPv6 link-local, as a router's often is."""
    try:
        address = ipam.parse_address(text)
    except ValueError:
        address = None
    if isinstance(address, ipaddress.IPv6Address) and block.version == 6 and address.is_link_local:
        return address
    return _address("gateway_ip", text, block)


def _address(field: str, text: str, block: Block) -> Address:
    try:
        address = ipam.parse_address(text)
    except ValueError:
        raise _wrong(field, text, f"'{text}' is not a valid IP address.") from None
    if address.version != block.version or address not in block:
        raise _wrong(field, text, f"It is not in the subnet {block}.")
    return address


def _first_host(block: Block) -> Address | None:
    alone = block.prefixlen == block.max_prefixlen
    return None if alone else block[0] if block.prefixlen == block.max_prefixlen - 1 else block[1]


def _check_gateway(block: Block, gateway: Address | None) -> None:
    if gateway is None or block.prefixlen >= block.max_prefixlen - 1:
        return
    if gateway == block.network_address or (block.version == 4 and gateway == block.broadcast_address):
        raise _wrong("gateway_ip", str(gateway), "Gateway is not valid on subnet.")


def _pools(block: Block, given: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    ranges: list[tuple[Address, Address]] = []
    for pool in given:
        try:
            start, end = ipam.parse_address(pool["start"]), ipam.parse_address(pool["end"])
        except ValueError:
            raise _wrong("allocation_pools", str(dict(pool)), "It is not a valid pool of addresses.") from None
        if start.version != block.version or end.version != block.version or int(start) > int(end):
            raise _wrong("allocation_pools", f"{start}-{end}", "It is not a valid pool of addresses.")
        first, last = int(block.network_address), int(block.broadcast_address)
        wide = block.version == 4 and block.prefixlen < 31
        if int(start) < first + wide or int(end) > last - wide:
            raise errors.Conflict(f"The allocation pool {start}-{end} spans beyond the subnet cidr {block}.",
                                  reason="pool out of bounds", pool=f"{start}-{end}")
        ranges.append((start, end))
    ranges.sort(key=lambda pair: int(pair[0]))
    for (start, end), (next_start, next_end) in zip(ranges, ranges[1:], strict=False):
        if int(next_start) <= int(end):
            raise errors.Conflict(f"Found overlapping allocation pools: {start}-{end}, {next_start}-{next_end} for "
                                  f"subnet {block}.", reason="pools overlap", pool=f"{start}-{end}")
    return [{"start": str(start), "end": str(end)} for start, end in ranges]


def _check_gateway_outside(pools: Iterable[Mapping[str, str]], gateway: Address | None) -> None:
    for pool in pools:
        if gateway is not None and int(ipaddress.ip_address(pool["start"])) <= int(gateway) <= int(
                ipaddress.ip_address(pool["end"])):
            raise errors.Conflict(f"Gateway ip {gateway} conflicts with allocation pool {pool['start']}-{pool['end']}.",
                                  reason="gateway in pool", pool=f"{pool['start']}-{pool['end']}")


def _dns_nameservers(given: Sequence[str]) -> list[str]:
    if len(given) > MAX_DNS_NAMESERVERS:
        raise errors.Invalid(reason=f"Unable to complete operation: the number of DNS nameservers exceeds the limit "
                                    f"{MAX_DNS_NAMESERVERS}.")
    servers = []
    for text in given:
        try:
            servers.append(str(ipam.parse_address(text)))
        except ValueError:
            raise _wrong("dns_nameservers", text, f"'{text}' is not a valid nameserver.") from None
    if len(set(servers)) < len(servers):
        raise _wrong("dns_nameservers", ", ".join(given), "A nameserver is named twice.")
    return servers


def _host_routes(block: Block, given: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if len(given) > MAX_HOST_ROUTES:
        raise errors.Invalid(reason=f"Unable to complete operation: the number of host routes exceeds the limit "
                                    f"{MAX_HOST_ROUTES}.")
    routes: list[dict[str, str]] = []
    for route in given:
        try:
            destination = ipaddress.ip_network(route["destination"], strict=False)
            nexthop = ipam.parse_address(route["nexthop"])
        except ValueError:
            raise _wrong("host_routes", str(dict(route)), "It is not a valid route.") from None
        if destination.version != block.version or nexthop.version != block.version:
            raise _wrong("host_routes", str(dict(route)), "It is of another family than the subnet.")
        new = {"destination": str(destination), "nexthop": str(nexthop)}
        if new in routes:
            raise _wrong("host_routes", str(dict(route)), "A route is named twice.")
        routes.append(new)
    return routes


def _refused(message: str, field: str, value: str) -> errors.InvalidField:
    return errors.InvalidField(f"Invalid input for operation: {message}.", field=field, value=value, reason="modes")


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _wrong(field: str, value: str, reason: str) -> errors.InvalidField:
    return errors.InvalidField(f"Invalid input for {field}. Reason: {reason}", field=field, value=value, reason=reason)
