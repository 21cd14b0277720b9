"""The Network API's answers, from the attribute maps of `neutron_lib/api/definitions` and the reference's parameters.

Attributes of extensions this cloud does not have are allowed to be missing, not to be of another type. What `fields`
asks for is a part of a resource, so members are required only where `revision_number` is there.
"""

from __future__ import annotations

import re
from typing import Any

from tests.harness.schemas.validation import Schema

Version = tuple[int, int]

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NAME = {"type": "string", "maxLength": 255}
_FLAG = {"type": "boolean"}
_FLAG_OR_NULL = {"type": ["boolean", "null"]}
_NUMBER = {"type": "integer"}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER_OR_NULL = {"type": ["integer", "null"]}
_UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_UUID_OR_NULL = {"anyOf": [_UUID, {"type": "null"}]}
_PROJECT = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_ADDRESS = {"type": "string", "pattern": r"^[0-9a-f.:]+$"}
_BLOCK = {"type": "string", "pattern": r"^[0-9a-f.:]+/\d{1,3}$"}
_MAC = {"type": "string", "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"}
_EMPTY: dict[str, Any] = {"type": "null"}
_DIGITS = {"type": "string", "pattern": "^[0-9]{1,3}$"}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required),
            "additionalProperties": False}


def _resource(required: dict[str, Any], optional: dict[str, Any] | None = None, *together: str) -> dict[str, Any]:
    """Return the schema of a resource that may be shown in part; `together` are members shown all or none."""
    schema = {**_object(required, optional), "required": [],
              "if": {"required": ["revision_number"]}, "then": {"required": list(required)}}
    if together:
        schema["dependentRequired"] = {name: list(together) for name in together}
    return schema


_STANDARD = {"id": _UUID, "description": {"type": "string", "maxLength": 255}, "project_id": _PROJECT,
             "tenant_id": _PROJECT, "created_at": _TIME, "updated_at": _TIME, "revision_number": _COUNT}
_TAGGED = {**_STANDARD, "name": _NAME, "tags": _list(_TEXT)}

_PROVIDER = {"provider:network_type": {"enum": ["flat", "vlan", "vxlan", "gre", "geneve", "local"]},
             "provider:physical_network": _TEXT_OR_NULL, "provider:segmentation_id": _NUMBER_OR_NULL}
_NETWORK = _resource({
    **_TAGGED, "admin_state_up": _FLAG, "status": {"enum": ["ACTIVE", "DOWN", "BUILD", "ERROR"]}, "shared": _FLAG,
    "router:external": _FLAG, "is_default": _FLAG, "mtu": _COUNT, "port_security_enabled": _FLAG, "dns_domain": _TEXT,
    "subnets": _list(_UUID), "availability_zone_hints": _list(_TEXT), "availability_zones": _list(_TEXT),
    "ipv4_address_scope": _UUID_OR_NULL, "ipv6_address_scope": _UUID_OR_NULL,
}, {**_PROVIDER, "l2_adjacency": _FLAG, "qos_policy_id": _UUID_OR_NULL, "vlan_transparent": _FLAG_OR_NULL,
    "segments": _list({"type": "object"})}, *_PROVIDER)
_MODE = {"enum": ["slaac", "dhcpv6-stateful", "dhcpv6-stateless", None]}
_SUBNET = _resource({
    **_TAGGED, "network_id": _UUID, "ip_version": {"enum": [4, 6]}, "cidr": _BLOCK,
    "gateway_ip": {"anyOf": [_ADDRESS, _EMPTY]}, "enable_dhcp": _FLAG,
    "allocation_pools": _list(_object({"start": _ADDRESS, "end": _ADDRESS})), "dns_nameservers": _list(_ADDRESS),
    "host_routes": _list(_object({"destination": _BLOCK, "nexthop": _ADDRESS})), "ipv6_ra_mode": _MODE,
    "ipv6_address_mode": _MODE, "subnetpool_id": _UUID_OR_NULL, "service_types": _list(_TEXT), "router:external": _FLAG,
}, {"segment_id": _UUID_OR_NULL, "dns_publish_fixed_ip": _FLAG})
_BINDING = {"binding:host_id": _TEXT, "binding:profile": {"type": "object"}, "binding:vif_type": _TEXT,
            "binding:vif_details": {"type": "object"}}
_PORT = _resource({
    **_TAGGED, "network_id": _UUID, "mac_address": _MAC, "admin_state_up": _FLAG,
    "status": {"enum": ["ACTIVE", "DOWN", "BUILD", "ERROR", "N/A"]}, "device_id": _NAME, "device_owner": _NAME,
    "fixed_ips": _list(_object({"subnet_id": _UUID, "ip_address": _ADDRESS})), "security_groups": _list(_UUID),
    "allowed_address_pairs": _list(_object({"mac_address": _MAC, "ip_address": {"anyOf": [_ADDRESS, _BLOCK]}})),
    "port_security_enabled": _FLAG, "extra_dhcp_opts": _list({"type": "object"}), "dns_name": _NAME,
    "dns_assignment": _list(_object({"hostname": _TEXT, "ip_address": _ADDRESS, "fqdn": _TEXT})),
    "binding:vnic_type": {"enum": ["normal", "direct", "direct-physical", "macvtap", "baremetal", "virtio-forwarder",
                                   "vdpa", "remote-managed"]},
}, {**_BINDING, "dns_domain": _TEXT, "ip_allocation": _TEXT, "qos_policy_id": _UUID_OR_NULL,
    "qos_network_policy_id": _UUID_OR_NULL, "data_plane_status": _TEXT_OR_NULL, "resource_request": {},
    "propagate_uplink_status": _FLAG, "numa_affinity_policy": _TEXT_OR_NULL, "hints": {}}, *_BINDING)
_RULE = _resource({
    **_STANDARD, "security_group_id": _UUID, "direction": {"enum": ["ingress", "egress"]},
    "ethertype": {"enum": ["IPv4", "IPv6"]}, "protocol": _TEXT_OR_NULL, "port_range_min": _NUMBER_OR_NULL,
    "port_range_max": _NUMBER_OR_NULL, "remote_ip_prefix": {"anyOf": [_BLOCK, _EMPTY]},
    "remote_group_id": _UUID_OR_NULL,
}, {"remote_address_group_id": _UUID_OR_NULL, "normalized_cidr": {"anyOf": [_BLOCK, _EMPTY]},
    "belongs_to_default_sg": _FLAG})
_DEFAULT_RULE = _object({
    "id": _UUID, "description": _TEXT, "direction": {"enum": ["ingress", "egress"]},
    "ethertype": {"enum": ["IPv4", "IPv6"]}, "protocol": _TEXT_OR_NULL, "port_range_min": _NUMBER_OR_NULL,
    "port_range_max": _NUMBER_OR_NULL, "remote_ip_prefix": {"anyOf": [_BLOCK, _EMPTY]},
    "remote_group_id": {"anyOf": [_UUID_OR_NULL, {"const": "PARENT"}]}, "remote_address_group_id": _UUID_OR_NULL,
    "used_in_default_sg": _FLAG, "used_in_non_default_sg": _FLAG})
_DEFAULT_RULE["required"] = []
_GROUP = _resource({**_TAGGED, "stateful": _FLAG, "security_group_rules": _list(_RULE), "shared": _FLAG})

_SUBNET_POOL = _resource({
    **_TAGGED, "ip_version": {"enum": [4, 6]}, "prefixes": _list(_BLOCK), "min_prefixlen": _DIGITS,
    "default_prefixlen": _DIGITS, "max_prefixlen": _DIGITS, "default_quota": _NUMBER_OR_NULL,
    "address_scope_id": _UUID_OR_NULL, "is_default": _FLAG, "shared": _FLAG})
_SCOPE = _object({"id": _UUID, "name": _NAME, "ip_version": {"enum": [4, 6]}, "shared": _FLAG, "project_id": _PROJECT,
                  "tenant_id": _PROJECT})
_SCOPE["required"] = []
_ADDRESS_GROUP = _resource({**_STANDARD, "name": _NAME, "addresses": _list(_BLOCK)})
_LIMIT_RULE = {"id": _UUID, "max_kbps": _COUNT, "max_burst_kbps": _COUNT, "direction": {"enum": ["ingress", "egress"]}}
_QOS_POLICY = _resource({**_TAGGED, "shared": _FLAG, "is_default": _FLAG, "rules": _list(_object({
    **_LIMIT_RULE, "qos_policy_id": _UUID, "type": {"const": "bandwidth_limit"}}))})
_RULE_TYPE = _object({"type": _TEXT, "drivers": _list(_object({"name": _TEXT, "supported_parameters": _list(_object({
    "parameter_name": _TEXT, "parameter_type": {"enum": ["range", "choices"]}, "parameter_values": {}}))}))})
_AGENT = {**_object({
    "id": _UUID, "agent_type": _TEXT, "binary": _TEXT, "topic": _TEXT, "host": _TEXT,
    "availability_zone": _TEXT_OR_NULL, "admin_state_up": _FLAG, "alive": _FLAG, "created_at": _TEXT,
    "started_at": _TEXT_OR_NULL,
    "heartbeat_timestamp": _TEXT_OR_NULL, "description": _TEXT_OR_NULL, "configurations": {"type": "object"},
    "resources_synced": _FLAG_OR_NULL}, {"ha_state": {"enum": ["active", "standby", "unknown", None]}}), "required": []}
_SEGMENT = {**_object({
    "id": _UUID, "network_id": _UUID, "name": _TEXT_OR_NULL, "description": _TEXT_OR_NULL,
    "network_type": {"enum": ["flat", "vlan", "vxlan", "gre", "geneve", "local"]}, "physical_network": _TEXT_OR_NULL,
    "segmentation_id": _NUMBER_OR_NULL, "created_at": _TIME, "updated_at": _TIME, "revision_number": _COUNT}),
    "required": []}
_RBAC = _object({"id": _UUID, "object_type": {"enum": [
    "network", "security_group", "address_group", "subnetpool", "address_scope", "qos_policy"]}, "object_id": _UUID,
    "action": {"enum": ["access_as_shared", "access_as_external"]},
    "target_tenant": {"anyOf": [_PROJECT, {"const": "*"}]}, "project_id": _PROJECT, "tenant_id": _PROJECT})
_RBAC["required"] = []

_GATEWAY = {"anyOf": [_EMPTY, _object({"network_id": _UUID, "enable_snat": _FLAG, "external_fixed_ips": _list(
    _object({"subnet_id": _UUID, "ip_address": _ADDRESS}))}, {"qos_policy_id": _UUID_OR_NULL})]}
_ROUTER = _resource({
    **_TAGGED, "admin_state_up": _FLAG, "status": {"enum": ["ACTIVE", "ALLOCATING", "ERROR"]},
    "external_gateway_info": _GATEWAY, "routes": _list(_object({"destination": _BLOCK, "nexthop": _ADDRESS})),
    "availability_zone_hints": _list(_TEXT), "availability_zones": _list(_TEXT), "flavor_id": _UUID_OR_NULL,
}, {"distributed": _FLAG, "ha": _FLAG, "service_type_id": _UUID_OR_NULL, "conntrack_helpers": _list({})})
_INTERFACE = _object({"id": _UUID, "project_id": _PROJECT, "tenant_id": _PROJECT, "port_id": _UUID,
                      "network_id": _UUID, "subnet_id": _UUID, "subnet_ids": _list(_UUID)}, {"tags": _list(_TEXT)})
_PORT_NUMBER = {"anyOf": [_EMPTY, {"type": "integer", "minimum": 1, "maximum": 65535}]}
_FORWARDED = {"id": _UUID, "internal_port_id": _UUID, "internal_ip_address": _ADDRESS, "internal_port": _PORT_NUMBER,
              "external_port": _PORT_NUMBER, "protocol": {"enum": ["tcp", "udp", "sctp", "dccp", "icmp"]}}
_FORWARDING = _object({**_FORWARDED, "description": _TEXT, "internal_port_range": _TEXT, "external_port_range": _TEXT})
_FLOATING_IP = _resource({
    **_STANDARD, "tags": _list(_TEXT), "floating_network_id": _UUID, "floating_ip_address": _ADDRESS,
    "port_id": _UUID_OR_NULL, "fixed_ip_address": {"anyOf": [_ADDRESS, _EMPTY]}, "router_id": _UUID_OR_NULL,
    "status": {"enum": ["ACTIVE", "DOWN", "ERROR"]}, "dns_name": _TEXT, "dns_domain": _TEXT,
    "port_details": {"anyOf": [_EMPTY, _object({
        "name": _NAME, "network_id": _UUID, "mac_address": _MAC, "admin_state_up": _FLAG, "status": _TEXT,
        "device_id": _TEXT, "device_owner": _TEXT})]},
}, {"qos_policy_id": _UUID_OR_NULL, "port_forwardings": _list(_object(_FORWARDED))})

_LIMIT = {"type": "integer", "minimum": -1, "maximum": 2147483647}
_QUOTAS = ("network", "subnet", "port", "security_group", "security_group_rule",
           "router", "floatingip", "rbac_policy", "subnetpool")
_QUOTA = _object(dict.fromkeys(_QUOTAS, _LIMIT),
                 {"project_id": _TEXT, "tenant_id": _TEXT})
_USED = _object({"used": _COUNT, "limit": _LIMIT, "reserved": _COUNT})
_USAGE = _object(dict.fromkeys(_QUOTAS, _USED))
_COUNTS = _object(dict.fromkeys(("total_ips_in_subnet", "total_ips_in_allocation_pool", "used_ips_in_subnet",
                                 "used_ips_in_allocation_pool"), _COUNT))
_AVAILABILITY = _object({
    "network_id": _UUID, "network_name": _TEXT, "project_id": _PROJECT, "tenant_id": _PROJECT, "total_ips": _COUNT,
    "used_ips": _COUNT, "subnet_ip_availability": _list(_object({
        "subnet_id": _UUID, "subnet_name": _TEXT, "cidr": _BLOCK, "ip_version": {"enum": [4, 6]}, "total_ips": _COUNT,
        "used_ips": _COUNT}, {"ip_availability_details": _COUNTS}))}, {"ip_availability_details": _COUNTS})
_LINK = _object({"rel": {"enum": ["self", "next", "previous"]}, "href": {"type": "string", "format": "uri"}})
_EXTENSION = _object({"alias": _TEXT, "name": _TEXT, "description": _TEXT, "updated": _TEXT, "links": _list({})})
_TAGS = _object({"tags": _list(_TEXT)})
_NOTHING = {"type": ["string", "null"], "maxLength": 0}

_NOUNS = (("networks", "network", _NETWORK), ("subnets", "subnet", _SUBNET), ("ports", "port", _PORT),
          ("security-groups", "security_group", _GROUP), ("security-group-rules", "security_group_rule", _RULE),
          ("default-security-group-rules", "default_security_group_rule", _DEFAULT_RULE),
          ("routers", "router", _ROUTER), ("floatingips", "floatingip", _FLOATING_IP),
          ("rbac-policies", "rbac_policy", _RBAC), ("subnetpools", "subnetpool", _SUBNET_POOL),
          ("address-scopes", "address_scope", _SCOPE), ("address-groups", "address_group", _ADDRESS_GROUP),
          ("qos/policies", "policy", _QOS_POLICY))
_UNTAGGED = ("security_group_rule", "rbac_policy", "address_scope", "address_group", "port_forwarding")


def _noun(path: str, singular: str, schema: dict[str, Any]) -> list[tuple[str, str, int, Any]]:
    plural = path.rpartition("/")[2].replace("-", "_")
    many = _object({plural: _list(schema)})
    one = _object({singular: schema})
    answers: list[tuple[str, str, int, Any]] = [
        ("GET", f"/{path}", 200, _object({plural: _list(schema)}, {f"{plural}_links": _list(_LINK)})),
        ("POST", f"/{path}", 201, {"anyOf": [one, many]}), ("GET", f"/{path}/{{id}}", 200, one),
        ("DELETE", f"/{path}/{{id}}", 204, _NOTHING)]
    if singular in ("security_group_rule", "default_security_group_rule"):
        return answers
    answers.append(("PUT", f"/{path}/{{id}}", 200, one))
    if singular in _UNTAGGED:
        return answers
    return [*answers, *_tags(path), *(_tags("policies") if path == "qos/policies" else ())]


def _tags(path: str) -> list[tuple[str, str, int, Any]]:
    tags = f"/{path}/{{id}}/tags"
    return [("GET", tags, 200, _TAGS), ("PUT", tags, 200, _TAGS),
            ("DELETE", tags, 204, _NOTHING), ("GET", f"{tags}/{{tag}}", 204, _NOTHING),
            ("PUT", f"{tags}/{{tag}}", 201, _NOTHING), ("DELETE", f"{tags}/{{tag}}", 204, _NOTHING)]


# (method, path below /v2.0, status) → the body.
_ANSWERS: tuple[tuple[str, str, int, Any], ...] = (
    *(answer for noun in _NOUNS for answer in _noun(*noun)),
    ("GET", "", 200, _object({"resources": _list(_object({
        "name": _TEXT, "collection": _TEXT, "links": _list(_LINK)}))})),
    ("GET", "/extensions", 200, _object({"extensions": _list(_EXTENSION)})),
    ("GET", "/extensions/{alias}", 200, _object({"extension": _EXTENSION})),
    ("GET", "/quotas", 200, _object({"quotas": _list(_QUOTA)})),
    ("GET", "/quotas/{id}", 200, _object({"quota": _QUOTA})), ("PUT", "/quotas/{id}", 200, _object({"quota": _QUOTA})),
    ("DELETE", "/quotas/{id}", 204, _NOTHING), ("GET", "/quotas/{id}/default", 200, _object({"quota": _QUOTA})),
    ("GET", "/quotas/{id}/details", 200, _object({"quota": _USAGE})),
    ("GET", "/network-ip-availabilities", 200, _object({"network_ip_availabilities": _list(_AVAILABILITY)})),
    ("GET", "/network-ip-availabilities/{id}", 200, _object({"network_ip_availability": _AVAILABILITY})),
    ("GET", "/auto-allocated-topology/{id}", 200, _object({"auto_allocated_topology": _object({
        "id": {"anyOf": [_UUID, {"const": "dry-run=pass"}]}, "project_id": _PROJECT, "tenant_id": _PROJECT})})),
    ("DELETE", "/auto-allocated-topology/{id}", 204, _NOTHING),
    ("GET", "/service-providers", 200, _object({"service_providers": _list({**_object(
        {"service_type": _TEXT, "name": _TEXT, "default": _FLAG}), "required": []})})),
    *_noun("floatingips/{floatingip}/port_forwardings", "port_forwarding", _FORWARDING),
    ("PUT", "/routers/{id}/add_router_interface", 200, _INTERFACE),
    ("PUT", "/routers/{id}/remove_router_interface", 200, _INTERFACE),
    ("PUT", "/routers/{id}/add_extraroutes", 200, _object({"router": _ROUTER})),
    ("PUT", "/routers/{id}/remove_extraroutes", 200, _object({"router": _ROUTER})),
    *(("PUT", f"/address-groups/{{id}}/{verb}_addresses", 200, _object({"address_group": _ADDRESS_GROUP}))
      for verb in ("add", "remove")),
    *(("GET", f"/qos/policies/{{id}}/bandwidth_limit_rules{path}", 200, body) for path, body in (
        ("", _object({"bandwidth_limit_rules": _list({**_object(_LIMIT_RULE), "required": []})})),
        ("/{id}", _object({"bandwidth_limit_rule": {**_object(_LIMIT_RULE), "required": []}})))),
    ("POST", "/qos/policies/{id}/bandwidth_limit_rules", 201, _object({"bandwidth_limit_rule": _object(_LIMIT_RULE)})),
    ("PUT", "/qos/policies/{id}/bandwidth_limit_rules/{id}", 200, _object({
        "bandwidth_limit_rule": _object(_LIMIT_RULE)})),
    ("DELETE", "/qos/policies/{id}/bandwidth_limit_rules/{id}", 204, _NOTHING),
    ("GET", "/qos/rule-types", 200, _object({"rule_types": _list(_object({"type": _TEXT}))})),
    ("GET", "/qos/rule-types/{type}", 200, _object({"rule_type": _RULE_TYPE})),
    *(("GET", path, 200, _object({"agents": _list(_AGENT)})) for path in (
        "/agents", "/networks/{id}/dhcp-agents", "/routers/{id}/l3-agents")),
    ("GET", "/agents/{id}", 200, _object({"agent": _AGENT})),
    ("GET", "/agents/{id}/dhcp-networks", 200, _object({"networks": _list(_NETWORK)})),
    ("POST", "/agents/{id}/l3-routers", 201, _NOTHING), ("DELETE", "/agents/{id}/l3-routers/{id}", 204, _NOTHING),
    ("GET", "/agents/{id}/l3-routers", 200, _object({"routers": _list(_ROUTER)})),
    ("GET", "/segments", 200, _object({"segments": _list(_SEGMENT)}, {"segments_links": _list(_LINK)})),
    ("GET", "/segments/{id}", 200, _object({"segment": _SEGMENT})),
    ("GET", "/availability_zones", 200, _object({"availability_zones": _list(_object({
        "name": _TEXT, "resource": {"enum": ["network", "router"]},
        "state": {"enum": ["available", "unavailable"]}}))})),
)
_VERSIONS = Schema(_object({"versions": _list(_object({"id": {"const": "v2.0"}, "status": {"const": "CURRENT"},
                                                       "links": _list(_LINK)}))}))
_ERROR = Schema(_object({"NeutronError": _object({"type": {"type": "string", "minLength": 1},
                                                  "message": {"type": "string", "minLength": 1}, "detail": _TEXT})}))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/v2\\.0" + re.sub(r"\{[^}]+\}", "[^/]+", path))


_TABLE = [(method, _pattern(path), status, Schema(body)) for method, path, status, body in _ANSWERS]


def check(method: str, path: str, _microversion: Version | None, status: int, body: Any,
          _action: str | None = None) -> str | None:
    """Return what is wrong with an answer, or None (see the package's docstring)."""
    if method == "HEAD":
        return None
    if status >= 400:
        return _ERROR.problem(body)
    if path in ("", "/"):
        return _VERSIONS.problem(body)
    rows = [row for row in _TABLE if row[0] == method and row[1].fullmatch(path)]
    if not rows:
        return "the reference has no such operation"
    for _, _, published, schema in rows:
        if published == status:
            return schema.problem(body)
    return f"status {status}, published is {[row[2] for row in rows]}"
