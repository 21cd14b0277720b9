"""What the lists of the Network API can be filtered and sorted by: published attributes and the fields they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from hostler.query import text
from hostler.query.expressions import EVERYTHING, NOTHING, And, Compare, Expression, Operator, Or, Some
from hostler.query.fields import refuse
from hostler.resources.network import protocols


def _text(path: str) -> text.Filter:
    """One of the values, of which an empty one also means none."""
    def make(_name: str, values: Sequence[str]) -> Expression:
        one = Compare(path, Operator.IN, list(values))
        return Or((one, Compare(path, Operator.NULL))) if "" in values else one
    return make


def constant(present: str) -> text.Filter:
    """An attribute that is the same for every row."""
    return lambda _name, values: EVERYTHING if present in values else NOTHING


def _equal(*names: str, **renamed: str) -> dict[str, text.Filter]:
    return {name: text.equal(path) for name, path in {**dict(zip(names, names, strict=True)), **renamed}.items()}


def _protocol(_name: str, values: Sequence[str]) -> Expression:
    spellings = [spelling for value in values for spelling in protocols.spellings_of(value)]
    return Compare("protocol", Operator.IN, spellings)


_ADDRESSES: Final[Mapping[str, text.Filter]] = {
    "ip_address": text.equal("ip_address"), "subnet_id": text.equal("subnet_id"),
    "ip_address_substr": text.any_of("ip_address", Operator.CONTAINS)}


def _fixed_ips(name: str, values: Sequence[str]) -> Expression:
    """Each value is `ip_address=…`, `ip_address_substr=…` or `subnet_id=…`; values of one kind are alternatives."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for value in values:
        key, _, rest = value.partition("=")
        if key not in _ADDRESSES:
            raise refuse(name, key, "It is ip_address=… or subnet_id=….")
        wanted[key].append(rest)
    return And(tuple(Some("fixed_ips", _ADDRESSES[key](name, parts)) for key, parts in wanted.items()))


_STANDARD: Final[Mapping[str, text.Filter]] = {
    **_equal("id", "project_id", tenant_id="project_id", revision_number="revision"), "name": _text("name"),
    "description": _text("description"), "changed_since": text.since("updated_at")}
_TAGGED: Final[Mapping[str, text.Filter]] = {**_STANDARD, **text.tags(text.listed_tag)}
NETWORK: Final[Mapping[str, text.Filter]] = {
    **_TAGGED, **_equal("admin_state_up", "shared", "is_default", "mtu", "port_security_enabled",
                        "qos_policy_id"),
    "router:external": text.equal("external"), "dns_domain": _text("dns_domain"), "status": constant("ACTIVE"),
    "provider:network_type": _text("network_type"), "provider:physical_network": _text("physical_network"),
    "provider:segmentation_id": text.equal("segmentation_id")}
SUBNET: Final[Mapping[str, text.Filter]] = {
    **_TAGGED, **_equal("network_id", "cidr", "gateway_ip", "ip_version", "enable_dhcp", "shared"),
    "router:external": text.equal("network.external"), "ipv6_address_mode": _text("ipv6_address_mode"),
    "ipv6_ra_mode": _text("ipv6_ra_mode"), "subnetpool_id": _text("subnetpool_id"), "segment_id": constant("")}
PORT: Final[Mapping[str, text.Filter]] = {
    **_TAGGED, **_equal("network_id", "device_id", "mac_address", "admin_state_up", "port_security_enabled",
                        "qos_policy_id", security_groups="port_security_groups.group_id"),
    **{name: _text(name) for name in ("device_owner", "status", "dns_name")}, "fixed_ips": _fixed_ips,
    "binding:vnic_type": constant("normal"), "binding:host_id": text.equal("host_name")}
GROUP: Final[Mapping[str, text.Filter]] = {**_TAGGED, **_equal("stateful", "is_default", "shared")}
RULE: Final[Mapping[str, text.Filter]] = {
    **_STANDARD, **_equal("remote_group_id", "remote_address_group_id", "remote_ip_prefix",
                          security_group_id="group_id", port_range_min="port_min", port_range_max="port_max",
                          belongs_to_default_sg="group.is_default"),
    "direction": _text("direction"), "ethertype": _text("ethertype"), "protocol": _protocol}
DEFAULT_RULE: Final[Mapping[str, text.Filter]] = {
    **_equal("id", "remote_group_id", "remote_address_group_id", "remote_ip_prefix", "used_in_default_sg",
             "used_in_non_default_sg", port_range_min="port_min", port_range_max="port_max"),
    **{name: _text(name) for name in ("description", "direction", "ethertype")}, "protocol": _protocol}
ROUTER: Final[Mapping[str, text.Filter]] = {
    **_TAGGED, **_equal("admin_state_up", "enable_snat"), "status": constant("ACTIVE")}
FLOATING_IP: Final[Mapping[str, text.Filter]] = {
    **{name: how for name, how in _TAGGED.items() if name != "name"},
    **_equal("port_id", "router_id", "fixed_ip_address", floating_network_id="network_id",
             floating_ip_address="address"), "status": _text("status")}


def _range(name: str, values: Sequence[str]) -> Expression:
    """`80` or `80:90`, of the side that the filter names."""
    side = name.partition("_")[0]
    ranges = [(first, last or first) for first, _, last in (value.partition(":") for value in values)]
    return Or(tuple(And((Compare(f"{side}_first", Operator.EQ, first), Compare(f"{side}_last", Operator.EQ, last)))
                    for first, last in ranges))


PORT_FORWARDING: Final[Mapping[str, text.Filter]] = {
    **_equal("id", internal_port_id="port_id"), "protocol": _text("protocol"), "description": _text("description"),
    "external_port": _range, "external_port_range": _range}
SUBNET_POOL: Final[Mapping[str, text.Filter]] = {
    **_TAGGED, **_equal("ip_version", "min_prefixlen", "default_prefixlen", "max_prefixlen", "default_quota",
                        "is_default", "shared"), "address_scope_id": _text("address_scope_id")}
ADDRESS_SCOPE: Final[Mapping[str, text.Filter]] = {
    **_equal("id", "project_id", "ip_version", "shared", tenant_id="project_id"), "name": _text("name")}
QOS_POLICY: Final[Mapping[str, text.Filter]] = {**_TAGGED, **_equal("is_default", "shared")}
ADDRESS_GROUP: Final[Mapping[str, text.Filter]] = _STANDARD
RBAC_POLICY: Final[Mapping[str, text.Filter]] = {
    **_equal("id", "object_id", "project_id", tenant_id="project_id", target_tenant="target"),
    "object_type": _text("object_type"), "action": _text("action")}
AVAILABILITY: Final[Mapping[str, text.Filter]] = {
    **_equal(network_id="id", project_id="project_id", tenant_id="project_id"), "network_name": _text("name")}


def _sortable(*names: str, **renamed: str) -> dict[str, str]:
    standard = ("id", "name", "project_id", "created_at", "updated_at", "description")
    return {**{name: name for name in (*standard, *names)}, "tenant_id": "project_id", "revision_number": "revision",
            **renamed}


SORT_NETWORK: Final = _sortable("admin_state_up", "mtu")
SORT_SUBNET: Final = _sortable("cidr", "network_id", "ip_version", "enable_dhcp", "gateway_ip")
SORT_PORT: Final = _sortable("mac_address", "network_id", "status", "device_id", "device_owner", "admin_state_up")
SORT_ROUTER: Final = _sortable("admin_state_up")
SORT_FLOATING_IP: Final = {name: path for name, path in _sortable(
    "port_id", "router_id", "fixed_ip_address", "status", floating_network_id="network_id",
    floating_ip_address="address").items() if name != "name"}
SORT_PORT_FORWARDING: Final = {
    "id": "id", "protocol": "protocol", "internal_port_id": "port_id", "external_port": "external_first",
    "external_port_range": "external_first", "internal_port": "internal_first", "description": "description"}
SORT_GROUP: Final = _sortable()
SORT_RULE: Final = _sortable("direction", "ethertype", "protocol", "remote_address_group_id",
                             security_group_id="group_id", port_range_min="port_min", port_range_max="port_max")
SORT_DEFAULT_RULE: Final = {
    "id": "id", "direction": "direction", "ethertype": "ethertype", "protocol": "protocol",
    "port_range_min": "port_min", "port_range_max": "port_max", "description": "description"}
SORT_RBAC_POLICY: Final = {"id": "id", "project_id": "project_id", "tenant_id": "project_id", "object_id": "object_id",
                           "object_type": "object_type", "action": "action", "target_tenant": "target"}
SORT_SUBNET_POOL: Final = _sortable("ip_version", "min_prefixlen", "default_prefixlen", "max_prefixlen",
                                    "address_scope_id")
SORT_ADDRESS_SCOPE: Final = {"id": "id", "name": "name", "ip_version": "ip_version", "project_id": "project_id",
                             "tenant_id": "project_id"}
