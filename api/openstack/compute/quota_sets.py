"""The published face of quota sets, quota classes and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api.core.server import limits, quota_sets
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Span, Version, since, until
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import errors
from hostler.resources import quota

_NETWORK = until(35)
_FILES = until(56)
# Published resource → when it is shown.
RESOURCES: Final[Mapping[str, Span]] = {
    **dict.fromkeys(("instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups",
                     "server_group_members"), ALWAYS),
    **dict.fromkeys(("fixed_ips", "floating_ips", "security_groups", "security_group_rules"), _NETWORK),
    **dict.fromkeys(("injected_files", "injected_file_content_bytes", "injected_file_path_bytes"), _FILES)}
# In quota classes the groups appear and the network's resources go with 2.50.
CLASS_RESOURCES: Final[Mapping[str, Span]] = {
    **RESOURCES, **dict.fromkeys(("server_groups", "server_group_members"), since(50)),
    **dict.fromkeys(("fixed_ips", "floating_ips", "security_groups", "security_group_rules"), until(49))}
_LIMIT = {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,10}$", "minimum": -1, "maximum": 2147483647}
_UPDATE = Body("quota_set", (
    *(Property(name, _LIMIT, span) for name, span in RESOURCES.items()), Property("force", schema.BOOLEAN)))
# Groups could be changed before they were shown.
_CLASS_UPDATE = Body("quota_class_set", tuple(
    Property(name, _LIMIT, ALWAYS if name.startswith("server_group") else span)
    for name, span in CLASS_RESOURCES.items()))
_QUERY = {"user_id": ALWAYS}


def limits_view(found: Mapping[str, int], version: Version, known: Mapping[str, Span] = RESOURCES) -> dict[str, Any]:
    """Return limits by published name."""
    return {name: found[name] for name, span in known.items() if version in span}


def _changes(body: Mapping[str, Any]) -> dict[str, int]:
    return {name: schema.number_in(body, name, 0, -1) for name in body if name != "force"}


class QuotaSet(Resource):
    """GET, PUT, DELETE /os-quota-sets/{project}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Show."""
        params.read(request, _QUERY)
        found = quota_sets.show(self.services, params.caller(request), project_id)
        response.media = {"quota_set": {"id": project_id, **limits_view(found.limits, request.context.version)}}

    def on_put(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Change."""
        params.read(request, _QUERY)
        body = _UPDATE.read(request)
        found = quota_sets.update(self.services, params.caller(request), project_id, _changes(body),
                                  force=schema.truth(body.get("force")))
        response.media = {"quota_set": limits_view(found, request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Give the defaults."""
        params.read(request, _QUERY)
        quota_sets.reset(self.services, params.caller(request), project_id)
        response.status = 202


class QuotaSetDefaults(Resource):
    """GET /os-quota-sets/{project}/defaults."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Show."""
        found = quota_sets.defaults(self.services, params.caller(request), project_id)
        response.media = {"quota_set": {"id": project_id, **limits_view(found, request.context.version)}}


class QuotaSetDetail(Resource):
    """GET /os-quota-sets/{project}/detail."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Show limits and use."""
        params.read(request, _QUERY)
        found = quota_sets.show(self.services, params.caller(request), project_id, action="detail")
        response.media = {"quota_set": {"id": project_id, **{
            name: {"limit": limit, "in_use": found.used.get(name, 0), "reserved": 0}
            for name, limit in limits_view(found.limits, request.context.version).items()}}}


class QuotaClassSet(Resource):
    """GET and PUT /os-quota-class-sets/{class}: the only class is `default`, that of projects without own limits."""

    def on_get(self, request: falcon.Request, response: falcon.Response, class_name: str) -> None:
        """Show."""
        self.services.policy.check(params.caller(request), "os_compute_api:os-quota-class-sets:show")
        found = limits_view(quota_sets.read_defaults(self.services), request.context.version, CLASS_RESOURCES)
        response.media = {"quota_class_set": {"id": class_name, **found}}

    def on_put(self, request: falcon.Request, response: falcon.Response, class_name: str) -> None:
        """Change."""
        self.services.policy.check(params.caller(request), "os_compute_api:os-quota-class-sets:update")
        body = _CLASS_UPDATE.read(request)
        if class_name != quota.DEFAULTS:
            raise errors.NotImplementedHere(feature=f"The quota class {class_name[:80]}, as any but default,")
        found = quota_sets.write_defaults(self.services, _changes(body))
        response.media = {"quota_class_set": limits_view(found, request.context.version, CLASS_RESOURCES)}


# Published limit → (versions, our resource, whether it is the use of it).
LIMITS: Final[Mapping[str, tuple[Span, str, bool]]] = {
    "maxServerMeta": (ALWAYS, "metadata_items", False), "maxImageMeta": (until(38), "metadata_items", False),
    "maxPersonality": (_FILES, "injected_files", False),
    "maxPersonalitySize": (_FILES, "injected_file_content_bytes", False),
    "maxTotalInstances": (ALWAYS, "instances", False), "totalInstancesUsed": (ALWAYS, "instances", True),
    "maxTotalCores": (ALWAYS, "cores", False), "totalCoresUsed": (ALWAYS, "cores", True),
    "maxTotalRAMSize": (ALWAYS, "ram", False), "totalRAMUsed": (ALWAYS, "ram", True),
    "maxTotalKeypairs": (ALWAYS, "key_pairs", False),
    "maxServerGroups": (ALWAYS, "server_groups", False), "totalServerGroupsUsed": (ALWAYS, "server_groups", True),
    "maxServerGroupMembers": (ALWAYS, "server_group_members", False),
    "maxSecurityGroups": (_NETWORK, "security_groups", False),
    "totalSecurityGroupsUsed": (_NETWORK, "security_groups", True),
    "maxSecurityGroupRules": (_NETWORK, "security_group_rules", False),
    "maxTotalFloatingIps": (_NETWORK, "floating_ips", False), "totalFloatingIpsUsed": (_NETWORK, "floating_ips", True),
}


# `reserved` is not published, but openstacksdk sends it; nothing is ever reserved here.
_LIMITS_QUERY: Final = {"tenant_id": ALWAYS, "reserved": ALWAYS}


class Limits(Resource):
    """GET /limits."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show."""
        query = params.read(request, _LIMITS_QUERY)
        found = limits.show(self.services, params.caller(request), params.one(query, "tenant_id"))
        response.media = {"limits": {"rate": [], "absolute": {
            name: found.used.get(resource, 0) if used else found.limits[resource]
            for name, (span, resource, used) in LIMITS.items() if request.context.version in span}}}
