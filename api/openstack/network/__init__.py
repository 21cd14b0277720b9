"""The Network API v2.0: networks, subnets, ports, security groups, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from api.core.network.address_groups import add_addresses, remove_addresses
from api.face import Face
from api.openstack.network import (
    address_groups,
    agents,
    auto_allocated_topologies,
    faults,
    not_built,
    qos_policies,
    routers,
    segments,
    usage,
    versions,
)
from api.openstack.network.nouns import NOUNS, BodyReader, port_forwarding_noun
from api.openstack.network.resources import Collection, Inner, InnerItem, Item, Tag, Tags
from api.services import Services


def _routes(services: Services) -> Iterable[tuple[str, Any]]:
    yield "", versions.Versions(services)
    yield "/v2.0", versions.Version(services)
    yield "/v2.0/extensions", versions.Extensions(services)
    yield "/v2.0/extensions/{id}", versions.Extension(services)
    yield from _noun_routes(services)
    yield "/v2.0/quotas", usage.Quotas(services)
    yield "/v2.0/quotas/{id}", usage.Quota(services)
    yield "/v2.0/quotas/{id}/default", usage.DefaultQuota(services)
    yield "/v2.0/quotas/{id}/details", usage.QuotaDetails(services)
    yield "/v2.0/network-ip-availabilities", usage.Availabilities(services)
    yield "/v2.0/network-ip-availabilities/{id}", usage.AvailabilityOf(services)
    yield "/v2.0/availability_zones", usage.Zones(services)
    yield "/v2.0/service-providers", routers.ServiceProviders(services)
    yield "/v2.0/routers/{id}/add_router_interface", routers.AddInterface(services)
    yield "/v2.0/routers/{id}/remove_router_interface", routers.RemoveInterface(services)
    yield "/v2.0/routers/{id}/add_extraroutes", routers.AddRoutes(services)
    yield "/v2.0/routers/{id}/remove_extraroutes", routers.RemoveRoutes(services)
    forwardings = BodyReader(port_forwarding_noun(""))
    yield "/v2.0/floatingips/{id}/port_forwardings", Inner(services, port_forwarding_noun, forwardings)
    yield "/v2.0/floatingips/{id}/port_forwardings/{inner_id}", InnerItem(services, port_forwarding_noun, forwardings)
    yield "/v2.0/address-groups/{id}/add_addresses", address_groups.Addresses(services, add_addresses)
    yield "/v2.0/address-groups/{id}/remove_addresses", address_groups.Addresses(services, remove_addresses)
    yield "/v2.0/qos/policies/{id}/bandwidth_limit_rules", qos_policies.Rules(services)
    yield "/v2.0/qos/policies/{id}/bandwidth_limit_rules/{limit_id}", qos_policies.Rule(services)
    yield "/v2.0/qos/rule-types", qos_policies.RuleTypes(services)
    yield "/v2.0/qos/rule-types/{id}", qos_policies.RuleType(services)
    yield "/v2.0/segments", segments.Segments(services)
    yield "/v2.0/segments/{id}", segments.Segment(services)
    yield "/v2.0/auto-allocated-topology/{id}", auto_allocated_topologies.Topology(services)
    yield from agents.routes(services)
    yield from not_built.routes(services)


def _noun_routes(services: Services) -> Iterator[tuple[str, Any]]:
    for noun in NOUNS:
        reader = BodyReader(noun)
        yield f"/v2.0/{noun.path}", Collection(services, noun, reader)
        yield f"/v2.0/{noun.path}/{{id}}", Item(services, noun, reader)
        # Tags are by the collection's name alone: of QoS policies also at /v2.0/policies, where the reference has them.
        for path in {noun.path, noun.path.rpartition("/")[2]} if noun.tagged is not None else ():
            yield f"/v2.0/{path}/{{id}}/tags", Tags(services, noun)
            yield f"/v2.0/{path}/{{id}}/tags/{{tag}}", Tag(services, noun)


FACE = Face(prefix="/network", routes=_routes, render_error=faults.render)
