"""Parts of the published API that this cloud does not have: clients are told so, with 501, whatever they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import falcon

from api.openstack.network.resources import Resource
from api.services import Services
from hostler import errors

# Collection → what it belongs to. `docs/api-support.md` names them.
NOT_BUILT: Final = {
    "trunks": "The trunk extension",
    "network_segment_ranges": "The network-segment-range extension",
    "flavors": "The flavors extension", "service_profiles": "The flavors extension",
    "metering/metering-labels": "The metering extension", "metering/metering-label-rules": "The metering extension",
    "log/logs": "The logging extension", "log/loggable-resources": "The logging extension",
    "local_ips": "The local_ip extension", "ndp_proxies": "The l3-ndp-proxy extension",
    "security-groups-default-statefulness": "The security-groups-default-statefulness extension",
}
# Collections within one resource.
ABSENT_INNER: Final = {
    "flavors/{id}/service_profiles": "The flavors extension",
    "local_ips/{id}/port_associations": "The local_ip extension",
    "routers/{id}/conntrack_helpers": "The l3-conntrack-helper extension",
    **{f"qos/policies/{{id}}/{kind}_rules": f"A {kind.replace('_', ' ').replace('dscp', 'DSCP')} rule" for kind in (
        "dscp_marking", "minimum_bandwidth", "packet_rate_limit", "minimum_packet_rate")},
}
# What is done to one resource by PUT.
NOT_BUILT_ACTIONS: Final = {
    "subnetpools/{id}/onboard_network_subnets": "The subnet_onboard extension",
    "subnetpools/{id}/add_prefixes": "The subnetpool-prefix-ops extension",
    "subnetpools/{id}/remove_prefixes": "The subnetpool-prefix-ops extension",
    "routers/{id}/add_external_gateways": "The external-gateway-multihoming extension",
    "routers/{id}/update_external_gateways": "The external-gateway-multihoming extension",
    "routers/{id}/remove_external_gateways": "The external-gateway-multihoming extension",
}


def routes(services: Services) -> Iterator[tuple[str, Resource]]:
    """Yield the paths of what is not built."""
    for path, feature in NOT_BUILT.items():
        yield f"/v2.0/{path}", NotBuiltList(services, feature)
        yield f"/v2.0/{path}/{{id}}", NotBuiltItem(services, feature)
    for path, feature in ABSENT_INNER.items():
        yield f"/v2.0/{path}", NotBuiltList(services, feature)
        yield f"/v2.0/{path}/{{inner_id}}", NotBuiltItem(services, feature)
    for path, feature in NOT_BUILT_ACTIONS.items():
        yield f"/v2.0/{path}", NotBuiltAction(services, feature)


class _NotBuilt(Resource):
    """What is not built."""

    def __init__(self, services: Services, feature: str) -> None:
        super().__init__(services)
        self._feature = feature

    def refuse(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Say that it is not built."""
        raise errors.NotImplementedHere(feature=self._feature)


class NotBuiltList(_NotBuilt):
    """A collection that is not built."""

    on_get = on_post = _NotBuilt.refuse


class NotBuiltItem(_NotBuilt):
    """One of a collection that is not built."""

    on_get = on_put = on_delete = _NotBuilt.refuse


class NotBuiltAction(_NotBuilt):
    """A change of one resource that is not built."""

    on_put = _NotBuilt.refuse
