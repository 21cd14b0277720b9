"""What bodies may hold, attribute by attribute; everything else is refused by name.

`ATTRIBUTES` of a noun maps each published attribute to its schema and where it may stand; `RENAMES` are those that our
columns call otherwise.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

# PostgreSQL keeps no NUL.
_NO_NUL = r"^[^\x00]*\Z"
TEXT: Mapping[str, Any] = {"type": "string", "maxLength": 255, "pattern": _NO_NUL}
LONG_TEXT: Mapping[str, Any] = {"type": ["string", "null"], "maxLength": 255, "pattern": _NO_NUL}
TRUTH: Mapping[str, Any] = {"type": "boolean"}
ADDRESS: Mapping[str, Any] = {"type": "string", "minLength": 2, "maxLength": 64}
ID: Mapping[str, Any] = {"type": "string", "maxLength": 36, "format": "UUID"}
# Where the reference looks the name up: anything but a UUID is not found.
ANY_ID: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 36, "pattern": _NO_NUL}
_WHOLE = re.compile(r"-?[0-9]{1,10}")
NOTHING: Mapping[str, Any] = {"enum": [None, "", [], {}]}


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` with null allowed."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def whole_number(low: int, high: int) -> dict[str, Any]:
    """Return the schema of a number between two."""
    return {"type": "integer", "minimum": low, "maximum": high}


def list_of(schema: Mapping[str, Any], most: int = 256) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": dict(schema), "maxItems": most}


def record_of(required: tuple[str, ...] = (), **fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a map with exactly these fields."""
    return {"type": "object", "properties": {name: dict(field) for name, field in fields.items()},
            "required": list(required), "additionalProperties": False}


def coerced(schema: Mapping[str, Any], value: Any) -> Any:
    """Return `value` as the number or boolean that `schema` wants, when it is one written as text.

    The command line client sends `"mtu": "1400"`, older ones `"shared": "True"`. Anything else is left
    for the schema to refuse.
    """
    kinds = [branch for branch in schema.get("anyOf", (schema,)) if branch.get("type") != "null"]
    if len(kinds) != 1 or isinstance(value, bool):
        return value
    kind = kinds[0]
    if kind.get("type") == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower(), value)
    whole = kind.get("type") == "integer" or all(isinstance(item, int) for item in kind.get("enum", ("",)))
    if whole and isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if whole and isinstance(value, str) and _WHOLE.fullmatch(value) else value


@dataclasses.dataclass(frozen=True)
class Attribute:
    """One attribute: its schema, whether POST and PUT take it, whether POST needs it.

    `ignored` values say what holds anyway (an empty list, null), so they are checked and dropped.
    """

    schema: Mapping[str, Any]
    post: bool = True
    put: bool = True
    required: bool = False
    ignored: bool = False


_FIXED = {"post": True, "put": False}
_PROJECT: Mapping[str, Attribute] = {
    "project_id": Attribute(ANY_ID, **_FIXED), "tenant_id": Attribute(ANY_ID, **_FIXED)}
_NAMED: Mapping[str, Attribute] = {"name": Attribute(TEXT), "description": Attribute(LONG_TEXT), **_PROJECT}
_ADDRESS_ITEM = record_of(subnet_id=ID, ip_address=ADDRESS)
_PAIR = record_of(("ip_address",), ip_address=ADDRESS, mac_address=nullable(ADDRESS))
_DHCP_OPTION = record_of(("opt_name",), opt_name={"type": "string", "minLength": 1, "maxLength": 64},
                         opt_value=nullable({"type": "string", "maxLength": 255}),
                         ip_version={"enum": [4, 6, "4", "6"]})
_POOL = record_of(("start", "end"), start=ADDRESS, end=ADDRESS)
_ROUTE = record_of(("destination", "nexthop"), destination=ADDRESS, nexthop=ADDRESS)
ROUTES: Mapping[str, Any] = list_of(_ROUTE)
_RA_MODE = {"enum": ["slaac", "dhcpv6-stateful", "dhcpv6-stateless", None]}
_LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_DNS = {"type": "string", "maxLength": 255, "pattern": rf"^({_LABEL}(\.{_LABEL})*\.?)?\Z"}

NETWORK: Mapping[str, Attribute] = {
    **_NAMED, "admin_state_up": Attribute(TRUTH), "shared": Attribute(TRUTH), "router:external": Attribute(TRUTH),
    "is_default": Attribute(TRUTH), "mtu": Attribute(whole_number(68, 65535)),
    "port_security_enabled": Attribute(TRUTH), "dns_domain": Attribute(_DNS),
    "provider:network_type": Attribute({"enum": ["flat", "vlan", "vxlan", "gre", "geneve", "local"]}),
    "provider:physical_network": Attribute(nullable({**TEXT, "minLength": 1, "maxLength": 64})),
    "provider:segmentation_id": Attribute(nullable(whole_number(0, 16777215))),
    "qos_policy_id": Attribute(nullable(ID)),
    "availability_zone_hints": Attribute({**list_of({**TEXT, "minLength": 1}), "uniqueItems": True}, put=False),
    "vlan_transparent": Attribute({"enum": [None, False]}, ignored=True),
}
SUBNET: Mapping[str, Attribute] = {
    **_NAMED, "network_id": Attribute(ID, required=True, **_FIXED),
    "ip_version": Attribute({"enum": [4, 6]}, required=True, **_FIXED), "cidr": Attribute(nullable(ADDRESS), **_FIXED),
    "gateway_ip": Attribute(nullable(ADDRESS)), "allocation_pools": Attribute(list_of(_POOL)),
    "dns_nameservers": Attribute(nullable(list_of(ADDRESS))), "host_routes": Attribute(nullable(ROUTES)),
    "enable_dhcp": Attribute(TRUTH), "ipv6_ra_mode": Attribute(_RA_MODE, **_FIXED),
    "ipv6_address_mode": Attribute(_RA_MODE, **_FIXED), "subnetpool_id": Attribute(nullable(ANY_ID), **_FIXED),
    "prefixlen": Attribute(nullable(whole_number(0, 128)), **_FIXED), "segment_id": Attribute(NOTHING, ignored=True),
    "use_default_subnetpool": Attribute({"type": ["boolean", "null"]}, **_FIXED),
    "service_types": Attribute(NOTHING, ignored=True),
    "dns_publish_fixed_ip": Attribute({"enum": [None, False]}, ignored=True),
}
PORT: Mapping[str, Attribute] = {
    **_NAMED, "network_id": Attribute(ID, required=True, **_FIXED), "admin_state_up": Attribute(TRUTH),
    "mac_address": Attribute(nullable(ADDRESS)), "fixed_ips": Attribute(list_of(_ADDRESS_ITEM)),
    "device_id": Attribute(nullable(TEXT)), "device_owner": Attribute(nullable(TEXT)),
    "security_groups": Attribute(nullable({**list_of(ID), "uniqueItems": True})),
    "allowed_address_pairs": Attribute(nullable(list_of(_PAIR))), "port_security_enabled": Attribute(TRUTH),
    "dns_name": Attribute(nullable(_DNS)), "binding:host_id": Attribute(nullable(TEXT)),
    "binding:profile": Attribute(nullable({"type": "object"})), "binding:vnic_type": Attribute(TEXT),
    "extra_dhcp_opts": Attribute(nullable(list_of(_DHCP_OPTION))),
    "qos_policy_id": Attribute(nullable(ID)), "numa_affinity_policy": Attribute(NOTHING, ignored=True),
    "propagate_uplink_status": Attribute({"type": ["boolean", "null"]}, ignored=True),
    "hints": Attribute(NOTHING, ignored=True), "trusted": Attribute({"enum": [None, False]}, ignored=True),
}
GROUP: Mapping[str, Attribute] = {**_NAMED, "stateful": Attribute(TRUTH)}
RULE: Mapping[str, Attribute] = {
    **_PROJECT, "description": Attribute(LONG_TEXT, **_FIXED),
    "security_group_id": Attribute(ID, required=True, **_FIXED),
    "direction": Attribute({"enum": ["ingress", "egress"]}, required=True, **_FIXED),
    "ethertype": Attribute({"enum": ["IPv4", "IPv6", None]}, **_FIXED),
    "protocol": Attribute({"anyOf": [nullable({"type": "string", "maxLength": 32}), whole_number(0, 255)]}, **_FIXED),
    "port_range_min": Attribute(nullable({"type": "integer"}), **_FIXED),
    "port_range_max": Attribute(nullable({"type": "integer"}), **_FIXED),
    "remote_ip_prefix": Attribute(nullable(ADDRESS), **_FIXED),
    "remote_group_id": Attribute(nullable(ANY_ID), **_FIXED),
    "remote_address_group_id": Attribute(nullable(ID), **_FIXED),
}
DEFAULT_RULE: Mapping[str, Attribute] = {
    **{name: attribute for name, attribute in RULE.items() if name not in (*_PROJECT, "security_group_id")},
    "remote_group_id": Attribute(nullable({"type": "string", "maxLength": 36}), **_FIXED),
    "used_in_default_sg": Attribute(TRUTH, **_FIXED), "used_in_non_default_sg": Attribute(TRUTH, **_FIXED),
}
_GATEWAY = record_of(network_id=nullable(ID), enable_snat=TRUTH,
                     external_fixed_ips=list_of(record_of(subnet_id=ID, ip_address=ADDRESS)))
ROUTER: Mapping[str, Attribute] = {
    **_NAMED, "admin_state_up": Attribute(TRUTH), "external_gateway_info": Attribute(nullable(_GATEWAY)),
    "routes": Attribute(nullable(ROUTES), post=False),
    "distributed": Attribute(nullable(TRUTH)), "ha": Attribute(nullable(TRUTH)),
    "availability_zone_hints": Attribute(NOTHING, put=False, ignored=True),
    "flavor_id": Attribute(NOTHING, put=False, ignored=True),
}
FLOATING_IP: Mapping[str, Attribute] = {
    **_PROJECT, "description": Attribute(LONG_TEXT), "floating_network_id": Attribute(ID, required=True, **_FIXED),
    "port_id": Attribute(nullable(ID)), "fixed_ip_address": Attribute(nullable(ADDRESS)),
    "subnet_id": Attribute(nullable(ID), **_FIXED), "floating_ip_address": Attribute(nullable(ADDRESS), **_FIXED),
    "dns_name": Attribute(NOTHING, put=False, ignored=True), "dns_domain": Attribute(NOTHING, put=False, ignored=True),
    "qos_policy_id": Attribute(NOTHING, ignored=True),
}
_PORT_NUMBER = nullable(whole_number(1, 65535))
_PORT_RANGE = {"anyOf": [whole_number(1, 65535), {"type": "string", "pattern": r"^[0-9]{1,5}(:[0-9]{1,5})?\Z"},
                         {"type": "null"}]}
PORT_FORWARDING: Mapping[str, Attribute] = {
    "description": Attribute(LONG_TEXT), "internal_port_id": Attribute(ID, required=True),
    "internal_ip_address": Attribute(ADDRESS, required=True),
    "protocol": Attribute({"enum": ["tcp", "udp", "sctp", "dccp", "icmp", "ipv6-icmp"]}, required=True),
    **{f"{side}_port": Attribute(_PORT_NUMBER) for side in ("external", "internal")},
    **{f"{side}_port_range": Attribute(_PORT_RANGE) for side in ("external", "internal")},
}
_LENGTH = whole_number(0, 128)
SUBNET_POOL: Mapping[str, Attribute] = {
    **_NAMED, "name": Attribute(TEXT, required=True), "prefixes": Attribute(list_of(ADDRESS), required=True),
    "min_prefixlen": Attribute(_LENGTH), "default_prefixlen": Attribute(_LENGTH), "max_prefixlen": Attribute(_LENGTH),
    "default_quota": Attribute(nullable(whole_number(0, 2147483647))), "address_scope_id": Attribute(nullable(ID)),
    "is_default": Attribute(TRUTH), "shared": Attribute(TRUTH, **_FIXED),
}
ADDRESS_SCOPE: Mapping[str, Attribute] = {
    "name": Attribute(TEXT, required=True), **_PROJECT, "shared": Attribute(TRUTH),
    "ip_version": Attribute({"enum": [4, 6]}, required=True, **_FIXED),
}
ADDRESS_GROUP: Mapping[str, Attribute] = {
    **_NAMED, "addresses": Attribute(nullable(list_of(ADDRESS, 1024)), **_FIXED)}
QOS_POLICY: Mapping[str, Attribute] = {**_NAMED, "shared": Attribute(TRUTH), "is_default": Attribute(TRUTH)}
BANDWIDTH_LIMIT: Mapping[str, Attribute] = {
    "max_kbps": Attribute(whole_number(0, 2147483647), required=True),
    "max_burst_kbps": Attribute(whole_number(0, 2147483647)), "direction": Attribute({"enum": ["egress", "ingress"]})}
RBAC_POLICY: Mapping[str, Attribute] = {
    **_PROJECT, "object_type": Attribute({**TEXT, "minLength": 1}, required=True, **_FIXED),
    "object_id": Attribute(ID, required=True, **_FIXED),
    "action": Attribute({**TEXT, "minLength": 1}, required=True, **_FIXED),
    "target_tenant": Attribute({**TEXT, "minLength": 1}, required=True),
}
CASE_INSENSITIVE = frozenset({"dns_name", "dns_domain"})
RENAMES: Mapping[str, str] = {
    "tenant_id": "project_id", "router:external": "external", "provider:network_type": "network_type",
    "provider:physical_network": "physical_network", "provider:segmentation_id": "segmentation_id",
    "binding:host_id": "requested_host", "binding:profile": "binding_profile", "binding:vnic_type": "vnic_type",
    "availability_zone_hints": "zone_hints", "security_group_id": "group_id", "port_range_min": "port_min",
    "port_range_max": "port_max", "external_gateway_info": "gateway", "floating_network_id": "network_id",
    "floating_ip_address": "address", "target_tenant": "target", "internal_port_id": "port_id",
    "internal_ip_address": "fixed_ip_address",
}
