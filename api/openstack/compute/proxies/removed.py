"""What the Compute API had once and has removed for good: 410 to every call that it had (its API reference, "Obsolete
APIs"); from the microversion that ended a part on, 404.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import falcon

from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, PROXIES, Span, available, until
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors

# path → (what the collection takes, what an item takes, while it answers)
_REMOVED: Final[tuple[tuple[str, str, str, Span], ...]] = (
    ("/os-agents", "get post", "put delete", ALWAYS),
    ("/os-cells", "get post", "get put delete", ALWAYS),
    ("/os-certificates", "post", "get", ALWAYS),
    ("/os-cloudpipe", "get post", "put", ALWAYS),
    ("/os-fixed-ips", "", "get", PROXIES),
    ("/os-floating-ip-dns", "get", "put delete", PROXIES),
    ("/os-floating-ips-bulk", "get post", "get put", PROXIES),
    ("/os-fping", "get", "get", PROXIES),
    ("/os-security-group-default-rules", "get post", "get delete", PROXIES),
    ("/servers/{server_id}/consoles", "get post", "get delete", ALWAYS),
    ("/servers/{server_id}/os-virtual-interfaces", "get", "", until(43)),
)


def _gone(verbs: str, span: Span) -> Callable[[Services], Resource]:
    @available(span)
    def refuse(_self: Resource, request: falcon.Request, _response: falcon.Response, **_path: str) -> None:
        """Refuse everybody."""
        params.caller(request)
        raise errors.Gone(reason="This resource is no longer available. No forwarding address is given.")

    return type("Gone", (Resource,), {f"on_{verb}": refuse for verb in verbs.split()})


ROUTES: Final[tuple[tuple[str, Callable[[Services], Any]], ...]] = tuple(
    (path + tail, _gone(verbs, span)) for path, whole, item, span in _REMOVED
    for tail, verbs in (("", whole), ("/{removed_id}", item)) if verbs)
