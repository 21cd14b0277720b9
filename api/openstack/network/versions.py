"""Version documents, and the extensions that this Network API implements."""

from __future__ import annotations

from typing import Any

import falcon

from api import links
from api.openstack.network.nouns import NOUNS
from api.openstack.network.resources import Resource
from hostler import errors

# alias → (name, what it adds here)
EXTENSIONS: dict[str, tuple[str, str]] = {
    "aap-reject-multicast": ("Allowed address pairs reject multicast extension",
                             "Refuses multicast addresses in allowed address pairs."),
    "address-group": ("Address group", "Lists of blocks that security group rules name."),
    "address-scope": ("Address scope", "Scopes in which subnet pools do not overlap."),
    "agent": ("agent", "Shows administrators each host's agent."),
    "allowed-address-pairs": ("Allowed Address Pairs", "Further addresses that a port may send from."),
    "auto-allocated-topology": ("Auto Allocated Topology Services",
                                "A network behind a router, made for a project that has none."),
    "availability_zone": ("Availability Zone", "Lists the availability zones."),
    "binding": ("Port Binding", "Shows administrators the host that a port is on."),
    "default-subnetpools": ("Default Subnetpools", "Marks the pool that subnets get their block from unasked."),
    "default-network": ("Default Network", "Marks the network that servers get when they name none."),
    "dvr": ("Distributed Virtual Router", "Each host routes for its own guests."),
    "dhcp_agent_scheduler": ("DHCP Agent Scheduler", "Shows where a network's DHCP is served."),
    "dns-integration": ("DNS Integration", "Host names of ports and the DNS domain of networks."),
    "empty-string-filtering": ("Empty String Filtering", "A filter with an empty value finds what has none."),
    "expose-port-forwarding-in-fip": ("Expose Floating IP port forwardings",
                                      "Shows the port forwardings of floating IPs."),
    "external-net": ("Neutron external network", "Marks networks that lead outside."),
    "ext-gw-mode": ("Neutron L3 Configurable external gateway mode", "Turns SNAT of a router on and off."),
    "extraroute": ("Neutron Extra Route", "Static routes of routers."),
    "extraroute-atomic": ("Atomically add/remove extra routes", "Adds and removes some of a router's routes."),
    "extra_dhcp_opt": ("Neutron Extra DHCP options", "DHCP options of single ports."),
    "filter-validation": ("Filter parameters validation", "Refuses filters that do not exist."),
    "fip-port-details": ("Floating IP Port Details Extension", "Shows of floating IPs which port they lead to."),
    "floating-ip-port-forwarding": ("Floating IP Port Forwarding", "Single ports of a floating IP lead to ports."),
    "floating-ip-port-forwarding-description": ("Floating IP Port Forwarding new attribute description",
                                                "A description of port forwardings."),
    "floating-ip-port-forwarding-detail": ("Floating IP port forwarding detail",
                                           "Shows the ids of a floating IP's port forwardings, and of their ports."),
    "floating-ip-port-forwarding-port-ranges": ("Floating IP Port Forwarding support port ranges",
                                                "Forwards ranges of ports."),
    "ip-substring-filtering": ("IP address substring filtering", "Finds ports by a part of an address."),
    "network_availability_zone": ("Network Availability Zone", "Takes hints of the zones a network is for."),
    "l3-ha": ("HA Router extension", "Routers of which one host leads outside, and another when it is down."),
    "l3_agent_scheduler": ("L3 Agent Scheduler", "Shows where a router routes, and chooses where it leads outside."),
    "net-mtu": ("Network MTU", "Shows the MTU of a network."),
    "net-mtu-writable": ("Network MTU (writable)", "Sets the MTU of a network."),
    "network-ip-availability": ("Network IP Availability", "Counts the addresses used of each network."),
    "pagination": ("Pagination support", "Lists in pages by limit and marker."),
    "port-security": ("Port Security", "Turns filtering and anti-spoofing of a port on and off."),
    "port-security-groups-filtering": ("Port filtering on security groups", "Finds ports by security group."),
    "project-id": ("project_id field enabled", "Speaks of projects besides tenants."),
    "provider": ("Provider Network", "Shows and sets what a network is made of (administrators)."),
    "qos": ("Quality of Service", "Policies that limit the bandwidth of ports."),
    "qos-bw-limit-direction": ("Direction for QoS bandwidth limit rule", "Limits either direction."),
    "qos-default": ("QoS default policy", "Marks the policy that a project's new networks get unasked."),
    "qos-port-network-policy": ("QoS Policy of a port's network", "Shows it with the port."),
    "qos-rule-type-details": ("Details of QoS rule types", "Shows administrators what a type's rules say."),
    "quotas": ("Quota management support", "Limits of projects."),
    "quota_details": ("Quota details management support", "Limits and use of projects."),
    "rbac-policies": ("RBAC Policies", "Shares networks and security groups with single projects."),
    "rbac-address-group": ("Add address_group type to RBAC", "Shares address groups."),
    "rbac-address-scope": ("Add address_scope type to RBAC", "Shares address scopes."),
    "rbac-qos-policy": ("Add qos_policy type to RBAC", "Shares QoS policies."),
    "rbac-subnetpool": ("Add subnetpool type to RBAC", "Shares subnet pools."),
    "rbac-security-groups": ("Add security_group type to network RBAC", "Shares security groups."),
    "revision-if-match": ("If-Match constraints based on revision_number",
                          "Makes a change conditional on a resource's revision."),
    "router": ("Neutron L3 Router", "Routers and floating IPs."),
    "security-group": ("security-group", "Security groups and their rules."),
    "security-groups-default-rules": ("Default rules for security groups", "Rules that new groups start with."),
    "security-groups-normalized-cidr": ("Normalized CIDR field for security group rules",
                                        "Shows a rule's prefix without its host bits, besides as it was sent."),
    "security-groups-remote-address-group": ("Remote address group id field for security group rules",
                                             "Lets rules name an address group."),
    "segment": ("Segment", "Shows administrators what networks are made of."),
    "service-type": ("Neutron Service Type Management", "Lists who provides further network services."),
    "sorting": ("Sorting support", "Lists sorted by any number of keys."),
    "standard-attr-description": ("standard-attr-description", "A description for every resource."),
    "standard-attr-revisions": ("Resource revision numbers", "A number that grows with each change."),
    "standard-attr-tag": ("Tag support for resources with standard attribute", "Tags of resources."),
    "standard-attr-timestamp": ("Resource timestamps", "When resources were made and changed."),
    "stateful-security-group": ("Stateful security group", "Groups of which every packet is checked by the rules."),
    "quota-check-limit": ("Quota engine limit check", "New limits are compared with what is used, when asked for."),
    "subnet-external-network": ("Subnet belongs to an external network", "Whether a subnet's network is external."),
    "subnet_allocation": ("Subnet Allocation", "Pools that subnets get their blocks from."),
}
_UPDATED = "2026-01-01T00:00:00-00:00"


class Versions(Resource):
    """`/network`: the versions there are."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the one version."""
        href = f"{links.base_url(self.services.conf, request)}/network/v2.0/"
        response.media = {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}

    on_head = on_get


class Version(Resource):
    """`/network/v2.0`: the collections there are."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the collections."""
        base = f"{links.base_url(self.services.conf, request)}/network/v2.0/"
        names = [(noun.singular, noun.plural, noun.path) for noun in NOUNS]
        names += [("quota", "quotas", "quotas"), ("extension", "extensions", "extensions")]
        response.media = {"resources": [
            {"name": singular, "collection": plural, "links": [{"rel": "self", "href": base + path}]}
            for singular, plural, path in names]}

    on_head = on_get


class Extensions(Resource):
    """`/v2.0/extensions`."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """List them all."""
        response.media = {"extensions": [_extension(alias) for alias in EXTENSIONS]}


class Extension(Resource):
    """`/v2.0/extensions/{id}`."""

    def on_get(self, _request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show one by its alias."""
        if id not in EXTENSIONS:
            raise errors.NotFound(f"Extension with alias {id} does not exist", resource="extension", id=id)
        response.media = {"extension": _extension(id)}


def _extension(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": description, "updated": _UPDATED, "links": []}
