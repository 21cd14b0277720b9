"""How the Network API shows what the core verbs return."""

from __future__ import annotations

import ipaddress
from typing import Any

from api.core.network import qos_policies
from api.core.network.floating_ips import Described
from api.core.network.networks import NetworkRecord
from api.core.network.port_forwardings import ports_of
from api.core.network.ports import PortRecord
from api.core.network.router_interfaces import InterfaceRecord
from api.core.network.routers import RouterRecord
from api.core.network.scope import Caller
from api.core.network.security_groups import GroupRecord
from api.core.network.subnets import SubnetRecord
from api.core.network.verbs import Record
from hostler import clock, ids
from hostler.db.models import DefaultRule, PortForwarding, SecurityGroupRule

# The reference shows them as text.
_PREFIX_LENGTHS = ("min_prefixlen", "default_prefixlen", "max_prefixlen")
# What a floating IP shows of its port, and of its port forwardings.
_PORT_DETAILS = ("name", "network_id", "mac_address", "admin_state_up", "device_id", "device_owner")
_FORWARDED = ("id", "internal_port_id", "internal_ip_address", "internal_port", "external_port", "protocol")


def _standard(row: Any) -> dict[str, Any]:
    project_id = ids.bare(row.project_id)
    shown = {"id": row.id, "name": row.name, "description": row.description or "", "project_id": project_id,
             "tenant_id": project_id, "created_at": clock.iso_z(row.created_at),
             "updated_at": clock.iso_z(row.updated_at), "revision_number": row.revision}
    if hasattr(row, "tags"):
        shown["tags"] = row.tags
    return shown


def network(record: NetworkRecord, caller: Caller) -> dict[str, Any]:
    """Show a network; its provider attributes to those who may see them."""
    row = record.row
    scopes = {version: scope_id for _, version, scope_id in record.subnets if scope_id is not None}
    shown = {**_standard(row), "status": "ACTIVE", "admin_state_up": row.admin_state_up, "shared": record.shared,
             "router:external": row.external, "is_default": row.is_default, "mtu": row.mtu,
             "port_security_enabled": row.port_security_enabled, "dns_domain": row.dns_domain,
             "qos_policy_id": row.qos_policy_id, "subnets": [subnet_id for subnet_id, *_ in record.subnets],
             "availability_zone_hints": row.zone_hints or [], "availability_zones": [],
             "ipv4_address_scope": scopes.get(4), "ipv6_address_scope": scopes.get(6)}
    if caller.allows("get_network:provider"):
        shown |= {"provider:network_type": row.network_type, "provider:physical_network": row.physical_network,
                  "provider:segmentation_id": row.segmentation_id}
    return shown


def subnet(record: SubnetRecord, _caller: Caller) -> dict[str, Any]:
    """Show a subnet."""
    row = record.row
    return {**_standard(row), "network_id": row.network_id, "ip_version": row.ip_version, "cidr": row.cidr,
            "gateway_ip": row.gateway_ip, "enable_dhcp": row.enable_dhcp, "allocation_pools": row.allocation_pools,
            "dns_nameservers": row.dns_nameservers, "host_routes": row.host_routes,
            "ipv6_ra_mode": row.ipv6_ra_mode, "ipv6_address_mode": row.ipv6_address_mode,
            "subnetpool_id": row.subnetpool_id, "service_types": [], "router:external": record.external}


def port(record: PortRecord, caller: Caller) -> dict[str, Any]:
    """Show a port; where it is bound to those who may see it."""
    row = record.row
    pairs = [{"mac_address": row.mac_address, **pair} for pair in row.allowed_address_pairs]
    shown = {**_standard(row), "network_id": row.network_id, "mac_address": row.mac_address, "status": row.shown_status,
             "admin_state_up": row.admin_state_up, "device_id": row.device_id, "device_owner": row.device_owner,
             "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address}
                           for subnet_id, address in record.addresses],
             "security_groups": list(record.group_ids), "allowed_address_pairs": pairs,
             "port_security_enabled": row.port_security_enabled, "extra_dhcp_opts": row.extra_dhcp_opts,
             "dns_name": row.dns_name,
             "dns_assignment": _dns_assignment(record), "binding:vnic_type": "normal",
             "qos_policy_id": row.qos_policy_id, "qos_network_policy_id": record.network_policy_id}
    if caller.allows("get_port:binding"):
        bound = record.host is not None
        named = row.requested_host if row.server_id is None else None
        shown |= {"binding:host_id": record.host or named or "", "binding:profile": row.binding_profile or {},
                  "binding:vif_type": "bridge" if bound else "unbound",
                  "binding:vif_details": {"port_filter": True} if bound else {}}
    return shown


def _dns_assignment(record: PortRecord) -> list[dict[str, str]]:
    domain = record.dns_domain.strip(".")
    shown = []
    for _, address in record.addresses:
        name = record.row.dns_name or "host-" + address.replace(".", "-").replace(":", "-")
        shown.append({"hostname": name, "ip_address": address, "fqdn": f"{name}.{domain}." if domain else f"{name}."})
    return shown


def group(record: GroupRecord, caller: Caller) -> dict[str, Any]:
    """Show a security group with its rules."""
    return {**_standard(record.row), "stateful": record.row.stateful, "shared": record.shared,
            "security_group_rules": [rule(item, caller) for item in record.rules]}


def rule(row: SecurityGroupRule, _caller: Caller) -> dict[str, Any]:
    """Show a security group rule."""
    shown = {**_standard(row), "security_group_id": row.group_id, "direction": row.direction,
             "ethertype": row.ethertype, "protocol": row.protocol, "port_range_min": row.port_min,
             "port_range_max": row.port_max, "remote_ip_prefix": row.remote_ip_prefix,
             "normalized_cidr": _normalized(row.remote_ip_prefix), "remote_group_id": row.remote_group_id,
             "remote_address_group_id": row.remote_address_group_id}
    del shown["name"]
    return shown


def default_rule(row: DefaultRule, _caller: Caller) -> dict[str, Any]:
    """Show a rule of the template."""
    return {"id": row.id, "description": row.description or "", "direction": row.direction, "ethertype": row.ethertype,
            "protocol": row.protocol, "port_range_min": row.port_min, "port_range_max": row.port_max,
            "remote_ip_prefix": row.remote_ip_prefix, "remote_group_id": row.remote_group_id,
            "remote_address_group_id": row.remote_address_group_id, "used_in_default_sg": row.used_in_default_sg,
            "used_in_non_default_sg": row.used_in_non_default_sg}


def _normalized(prefix: str | None) -> str | None:
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def router(record: RouterRecord, caller: Caller) -> dict[str, Any]:
    """Show a router; how it is made to administrators."""
    row, gateway = record.row, None
    if record.external_network_id is not None:
        gateway = {"network_id": record.external_network_id, "enable_snat": row.enable_snat,
                   "external_fixed_ips": [{"subnet_id": subnet_id, "ip_address": address}
                                          for subnet_id, address in record.external_addresses]}
    shown = {**_standard(row), "status": "ACTIVE", "admin_state_up": row.admin_state_up,
             "external_gateway_info": gateway, "routes": row.routes, "availability_zone_hints": [],
             "availability_zones": [], "flavor_id": None}
    if caller.sees_all:
        shown |= {"distributed": row.distributed, "ha": not row.distributed}
    return shown


def interface(record: InterfaceRecord) -> dict[str, Any]:
    """Show an interface that was added to a router or removed."""
    project_id = ids.bare(record.router.project_id)
    return {"id": record.router.id, "project_id": project_id, "tenant_id": project_id, "port_id": record.port_id,
            "network_id": record.network_id, "subnet_id": record.subnet_ids[0], "subnet_ids": list(record.subnet_ids)}


def floating_ip(record: Described, caller: Caller) -> dict[str, Any]:
    """Show a floating IP."""
    row = record.row
    shown = {**_standard(row), "floating_network_id": row.network_id, "floating_ip_address": row.address,
             "port_id": row.port_id, "fixed_ip_address": row.fixed_ip_address, "router_id": row.router_id,
             "status": row.status, "dns_name": "", "dns_domain": "",
             "port_details": None if record.port is None else {
                 "status": record.port.shown_status, **{name: getattr(record.port, name) for name in _PORT_DETAILS}},
             "port_forwardings": [{name: value for name, value in port_forwarding(one, caller).items()
                                   if name in _FORWARDED} for one in record.forwardings]}
    del shown["name"]
    return shown


def port_forwarding(row: PortForwarding, _caller: Caller) -> dict[str, Any]:
    """Show a port forwarding; a side's single port is null where it is a range."""
    shown: dict[str, Any] = {
        "id": row.id, "protocol": row.protocol, "internal_port_id": row.port_id,
        "internal_ip_address": row.fixed_ip_address, "description": row.description or ""}
    for side in ("external", "internal"):
        first, last = ports_of(row, side)
        shown |= {f"{side}_port": first if first == last else None, f"{side}_port_range": f"{first}:{last}"}
    return shown


def rbac_policy(record: Record, _caller: Caller) -> dict[str, Any]:
    """Show an RBAC policy."""
    row = record.row
    project_id = ids.bare(row.project_id)
    return {"id": row.id, "object_type": row.object_type, "object_id": row.object_id, "action": row.action,
            "target_tenant": ids.bare(row.target), "project_id": project_id, "tenant_id": project_id}


def subnet_pool(record: Record, _caller: Caller) -> dict[str, Any]:
    """Show a subnet pool."""
    row = record.row
    return {**_standard(row), "ip_version": row.ip_version, "prefixes": row.prefixes,
            **{name: str(getattr(row, name)) for name in _PREFIX_LENGTHS}, "default_quota": row.default_quota,
            "address_scope_id": row.address_scope_id, "is_default": row.default_of is not None,
            "shared": record.shared}


def address_scope(record: Record, _caller: Caller) -> dict[str, Any]:
    """Show an address scope."""
    row = record.row
    project_id = ids.bare(row.project_id)
    return {"id": row.id, "name": row.name, "ip_version": row.ip_version, "shared": record.shared,
            "project_id": project_id, "tenant_id": project_id}


def address_group(record: Record, _caller: Caller) -> dict[str, Any]:
    """Show an address group."""
    return {**_standard(record.row), "addresses": record.row.addresses}


def qos_policy(record: Record, _caller: Caller) -> dict[str, Any]:
    """Show a QoS policy with its rules."""
    row = record.row
    return {**_standard(row), "shared": record.shared, "is_default": row.default_of is not None, "rules": [
        {**rule, "qos_policy_id": row.id, "type": qos_policies.RULE_TYPE} for rule in row.rules]}
