"""Parts of the published API that this cloud does not have: clients are told so, with 501, whatever they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import falcon

from api.openstack.network.resources import Resource
from api.services import Services
from hostler import errors

# Collection → what it belongs to. `docs/api-support.md` names them.
ABSENT: Final = {
    "trunks": "The trunk extension",
    "network_segment_ranges": "The network-segment-range extension",
    "flavors": "The flavors extension", "service_profiles": "The flavors extension",
    "metering/metering-labels": "The metering extension", "metering/metering-label-rules": "The metering extension",
    "log/logs": "The logging extension", "log/loggable-resources": "The logging extension",
    "local_ips": "The local_ip extension", "ndp_proxies": "The l3-ndp-proxy extension",
}
# Rules of QoS policies.
ABSENT_RULES: Final = {
    "dscp_marking_rules": "A DSCP marking rule", "minimum_bandwidth_rules": "A minimum bandwidth rule",
    "packet_rate_limit_rules": "A packet rate limit rule", "minimum_packet_rate_rules": "A minimum packet rate rule",
}


def routes(services: Services) -> Iterator[tuple[str, Resource]]:
    """Yield the paths of what is not built."""
    for path, feature in ABSENT.items():
        yield f"/v2.0/{path}", AbsentList(services, feature)
        yield f"/v2.0/{path}/{{id}}", AbsentItem(services, feature)
    for path, feature in ABSENT_RULES.items():
        yield f"/v2.0/qos/policies/{{id}}/{path}", AbsentList(services, feature)
        yield f"/v2.0/qos/policies/{{id}}/{path}/{{rule_id}}", AbsentItem(services, feature)


class AbsentList(Resource):
    """A collection that is not built."""

    def __init__(self, services: Services, feature: str) -> None:
        super().__init__(services)
        self._feature = feature

    def on_get(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse."""
        raise errors.NotImplementedHere(feature=self._feature)

    on_post = on_get


class AbsentItem(Resource):
    """One of a collection that is not built."""

    def __init__(self, services: Services, feature: str) -> None:
        super().__init__(services)
        self._feature = feature

    def on_get(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse."""
        raise errors.NotImplementedHere(feature=self._feature)

    on_put = on_delete = on_get
