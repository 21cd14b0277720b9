"""Checks what a request asks of a port: rights, MAC, addresses, address pairs, groups; returns canonical spellings."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller, not_found
from hostler import errors, ids
from hostler.db.models import FixedIp, FloatingIp, Host, Network, Port, RouterPort, SecurityGroup, Subnet
from hostler.resources.network import autoconf, dhcp_options, ipam, place_ports, security_groups, sharing

MAX_PAIRS = 10
MAX_ADDRESSES = 16
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
# No guest sends from these; only 0.0.0.0/0, the usual spelling of "any source", may cover them.
_MULTICAST: Mapping[int, Any] = {4: ipaddress.ip_network("224.0.0.0/4"), 6: ipaddress.ip_network("ff00::/8")}
# Attributes of a request that are no columns of the port's row, or have one value here.
_VNIC_TYPES = frozenset({
    "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed"})
_NOT_COLUMNS = frozenset({"fixed_ips", "security_groups", "vnic_type", "project_id"})
_BINDING: Mapping[str, str] = {"requested_host": "binding:host_id", "binding_profile": "binding:profile"}
MAX_PROFILE_CHARACTERS = 4095
_HELD_BY_SERVER = ("mac_address", "device_id", "device_owner")


def check_rights(session: orm.Session, caller: Caller, verb: str, project_id: str, network: Network,
                 values: Mapping[str, Any]) -> None:
    """Raise Forbidden unless the caller may set each of `values`, NotImplementedHere for what no agent can do."""
    caller.check(f"{verb}_port", project_id, network.project_id)
    if verb == "create" and not (caller.sees_all or network.project_id == project_id
                                 or sharing.shared_among(session, [network.id], project_id)):
        # An external network is visible so that it can be named, not so that guests can be on it.
        raise not_found(Network, network.id)
    for attribute in ("mac_address", "port_security_enabled", "allowed_address_pairs"):
        if values.get(attribute) not in (None, [], True):
            caller.check(f"{verb}_port:{attribute}", project_id, network.project_id)
    if str(values.get("device_owner") or "").startswith("network:"):
        caller.check(f"{verb}_port:device_owner:network", project_id, network.project_id)
    for attribute, published in _BINDING.items():
        if values.get(attribute) or verb == "update" and attribute in values:
            caller.check(f"{verb}_port:{published}", project_id)
    vnic_type = values.get("vnic_type", "normal")
    if vnic_type not in _VNIC_TYPES:
        raise errors.InvalidField(field="binding:vnic_type", value=vnic_type,
                                  reason=f"It is none of {', '.join(sorted(_VNIC_TYPES))}.")
    if vnic_type != "normal":
        raise errors.NotImplementedHere(feature=f"binding:vnic_type {vnic_type}")


def columns(network: Network, values: Mapping[str, Any], port: Port | None = None) -> dict[str, Any]:
    """Return the columns that `values` set, in their canonical spelling; `port` is the one they change."""
    new = {name: value for name, value in values.items() if name not in _NOT_COLUMNS}
    if new.get("mac_address") is None:
        new.pop("mac_address", None)
    else:
        new["mac_address"] = _mac(new["mac_address"])
    if "allowed_address_pairs" in new:
        new["allowed_address_pairs"] = _pairs(new["allowed_address_pairs"] or ())
    if len(json.dumps(new.get("binding_profile") or {})) > MAX_PROFILE_CHARACTERS:
        raise errors.InvalidField("Invalid input for operation: binding:profile value too large.",
                                  field="binding:profile", value="…", reason="too large")
    for name in _BINDING.keys() & new.keys():
        new[name] = new[name] or None
    if "extra_dhcp_opts" in new:
        new["extra_dhcp_opts"] = dhcp_options.changed(port.extra_dhcp_opts if port is not None else (),
                                                      new["extra_dhcp_opts"] or ())
    for name in ("device_id", "device_owner", "dns_name"):
        if name in new and new[name] is None:
            new[name] = ""
    new.pop("network_id", None)
    secured = (port or network).port_security_enabled
    if new.get("allowed_address_pairs", port.allowed_address_pairs if port else ()) and not new.get(
            "port_security_enabled", secured):
        raise errors.Conflict("Port Security must be enabled in order to have allowed address pairs on a port.",
                              reason="pairs need port security")
    return new


def check_bound(session: orm.Session, port: Port, new: dict[str, Any]) -> None:
    """Raise InUse when a change would take the port from the server that holds it, or from that server's host."""
    if port.server_id is None:
        return
    named = new.pop("requested_host", None)
    if named is not None and session.scalars(sa.select(Host.name).where(Host.id == port.host_id)).first() != named:
        raise errors.InUse(f"Unable to complete operation on port {port.id}: port is in use by server "
                           f"{port.server_id}, whose host it is on.", resource="port", id=port.id, reason="server")
    for name in _HELD_BY_SERVER:
        if name in new and new[name] != getattr(port, name):
            raise errors.InUse(f"Unable to complete operation on port {port.id}: port is in use by server "
                               f"{port.server_id}; detach it before {name} is changed.",
                               resource="port", id=port.id, reason="server")


def check_not_routed(session: orm.Session, port: Port) -> None:
    """Raise InUse when a router or a floating IP has the port."""
    held = session.scalars(sa.select(RouterPort.port_id).where(RouterPort.port_id == port.id).union(
        sa.select(FloatingIp.public_port_id).where(FloatingIp.public_port_id == port.id))).first()
    if held is not None:
        raise errors.InUse(f"Port {port.id} cannot be deleted directly via the port API: has device owner "
                           f"{port.device_owner}.", resource="service port", id=port.id, reason=port.device_owner)


def check_not_led_to(session: orm.Session, port_id: str, addresses: Collection[str]) -> None:
    """Raise Invalid when a floating IP leads to one of the addresses, which a port is about to lose."""
    leading = session.scalar(sa.select(FloatingIp.address).where(
        FloatingIp.port_id == port_id, FloatingIp.fixed_ip_address.in_(addresses)).limit(1))
    if leading is not None:
        raise errors.Invalid(reason=f"Bad port request: cannot update the fixed_ips of port {port_id}, because its "
                                    f"original fixed_ip has been associated to the floating ip {leading}.")


def requests(caller: Caller, network: Network, subnets: Sequence[Subnet],
             given: Sequence[Mapping[str, str]] | None, *, device_owner: str,
             held: Sequence[FixedIp] = ()) -> tuple[ipam.AddressRequest, ...]:
    """Return the addresses wanted: those `given`, or with None one of each family that the network has.

    What the port forms in automatic subnets is always among them, unless it is a router's. `held` are the addresses it
    has, which may be named again.
    """
    if given is None:
        return place_ports.wanted(subnets)
    if len(given) > MAX_ADDRESSES:
        raise errors.InvalidField(field="fixed_ips", value=str(len(given)), reason=f"At most {MAX_ADDRESSES} fit.")
    for address, times in Counter(item["ip_address"] for item in given if "ip_address" in item).items():
        if times > 1:
            raise errors.InvalidField(field="fixed_ips", value=address, reason="An address is named twice.")
    formed = () if device_owner in autoconf.ROUTERS else place_ports.formed(subnets)
    automatic = {request.subnets[0].id for request in formed}
    own = {row.ip_address for row in held if row.subnet_id in automatic}
    named = (item for item in given if item.get("ip_address") not in own
             and (item.get("ip_address") or ids.canonical(item.get("subnet_id", "")) not in automatic))
    return (*(_request(caller, network, subnets, item, device_owner) for item in named), *formed)


def requests_after(caller: Caller, network: Network, subnets: Sequence[Subnet], held: Sequence[FixedIp],
                   given: Sequence[Mapping[str, str]], *,
                   device_owner: str) -> tuple[list[ipam.AddressRequest], set[str]]:
    """Return what must be added to make a port's addresses those `given`, and the ids of the rows that stay."""
    asked = requests(caller, network, subnets, given, device_owner=device_owner, held=held)
    kept: set[str] = set()
    missing: list[ipam.AddressRequest] = []
    for request in sorted(asked, key=lambda item: item.address is None):  # named ones choose first
        row = next((row for row in held if row.id not in kept and row.subnet_id == request.subnets[0].id
                    and request.address in (None, row.ip_address)), None)
        if row is None:
            missing.append(request)
        else:
            kept.add(row.id)
    return missing, kept


def groups_of_new(session: orm.Session, caller: Caller, project_id: str, new: Mapping[str, Any],
                  values: Mapping[str, Any]) -> list[str]:
    """Return the groups of a new port: those named, else the project's default; none without port security."""
    given = values.get("security_groups")
    if not new["port_security_enabled"]:
        if given:
            raise _needs_security()
        return []
    if given is None:
        return [security_groups.ensure_default(session, project_id).id]
    return _known_groups(session, caller, project_id, given)


def groups_after(session: orm.Session, caller: Caller, port: Port, before: Collection[str],
                 values: Mapping[str, Any]) -> list[str]:
    """Return the groups of a port after a change."""
    given = values.get("security_groups")
    secured = values.get("port_security_enabled", port.port_security_enabled)
    if not secured:
        if given:
            raise _needs_security()
        if given is None and before:
            raise errors.Conflict("Port has security group associated. Cannot disable port security or IP address "
                                  "until security group is removed.", reason="groups need port security")
    return list(before) if given is None else _known_groups(session, caller, port.project_id, given)


def _known_groups(session: orm.Session, caller: Caller, project_id: str, given: Sequence[str]) -> list[str]:
    wanted = {ids.canonical(text) or text: text for text in given}
    mine = sa.true() if caller.sees_all else sa.or_(SecurityGroup.project_id.in_([project_id, caller.project_id]),
                                                    sharing.shared_with(SecurityGroup.id, project_id))
    found = set(session.scalars(sa.select(SecurityGroup.id).where(SecurityGroup.id.in_(wanted), mine)))
    for group_id, text in wanted.items():
        if group_id not in found:
            raise not_found(SecurityGroup, text)
    security_groups.check_alike(session, wanted)
    return list(wanted)


def _needs_security() -> errors.Invalid:
    return errors.Invalid(reason="Port security must be enabled and port must have an IP address in order to use "
                                 "security groups.")


def _request(caller: Caller, network: Network, subnets: Sequence[Subnet],
             item: Mapping[str, str], device_owner: str) -> ipam.AddressRequest:
    address, named = item.get("ip_address"), item.get("subnet_id")
    subnet = None
    if named is not None:
        subnet = next((subnet for subnet in subnets if subnet.id == ids.canonical(named)), None)
        if subnet is None:
            raise errors.InvalidField(
                f"Invalid input for operation: Failed to create port on network {network.id}, because fixed_ips "
                f"included invalid subnet {named}.", field="fixed_ips", value=named, reason="another network's")
        if address is None:
            return ipam.AddressRequest((subnet,))
    elif address is not None:
        subnet = ipam.subnet_with(subnets, address)
    if address is None or subnet is None:
        raise errors.InvalidField(
            f"Invalid input for operation: IP address {address} is not a valid IP for any of the subnets on the "
            "specified network.", field="fixed_ips", value=str(address), reason="outside")
    owner = caller.sees_all or network.project_id == caller.project_id
    return ipam.AddressRequest((subnet,), ipam.check_address(network, subnet, address, owner=owner,
                                                                   device_owner=device_owner))


def _mac(text: str) -> str:
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise errors.InvalidField(f"Invalid input for mac_address. Reason: '{text}' is not a valid MAC address.",
                                  field="mac_address", value=text, reason="no MAC")
    return mac


def _pairs(given: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if len(given) > MAX_PAIRS:
        raise errors.Invalid(reason=f"The number of allowed address pairs exceeds the maximum {MAX_PAIRS}.")
    pairs: list[dict[str, str]] = []
    for pair in given:
        address = _pair_address(pair["ip_address"])
        new = {"ip_address": address}
        if pair.get("mac_address"):
            new["mac_address"] = _mac(pair["mac_address"])
        if new in pairs:
            raise errors.Invalid(reason=f"Request contains duplicate address pair: ip_address {address}.")
        pairs.append(new)
    return pairs


def _pair_address(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError("an address with a zone is of one host only")
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise _wrong_pair(text, f"'{text}' is not a valid IP address.") from None
    if str(interface.network) != "0.0.0.0/0" and interface.network.overlaps(_MULTICAST[interface.version]):
        raise _wrong_pair(text, f"IP {text} is a multicast address, which is not supported.")
    return interface.with_prefixlen if "/" in text else str(interface.ip)


def _wrong_pair(text: str, reason: str) -> errors.InvalidField:
    return errors.InvalidField(f"Invalid input for allowed_address_pairs. Reason: {reason}",
                               field="allowed_address_pairs", value=text, reason=reason)
