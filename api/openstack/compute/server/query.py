"""The query of GET /servers, in every microversion, and its translation for the core."""

from __future__ import annotations

from typing import Final

import falcon

from api import paging
from api.core.server import filters as server_filters
from api.core.server import list as server_list
from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, Span, since, until
from api.policy import Policy
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server import states

# Published name → name of the core's filter.
_ALIASES: Final = {"tenant_id": "project_id", "image_ref": "image"}
# Filters that anybody may use; the others are the administrators', and ignored from others (as published).
_EVERYBODYS: Final = frozenset({
    "reservation_id", "name", "status", "image", "image_ref", "flavor", "ip", "changes-since", "changes-before",
    "ip6", "sort_key", "sort_dir", "limit", "marker", "tags", "tags-any", "not-tags", "not-tags-any", "all_tenants",
    "display_name", "uuid", "locked", "deleted", "user_id", "vm_state", "task_state", "power_state", "key_name",
    "description", "display_description", "created_at", "launched_at", "terminated_at", "availability_zone",
    "config_drive", "hostname", "launch_index", "root_device_name", "kernel_id", "ramdisk_id", "access_ip_v4",
    "access_ip_v6", "auto_disk_config", "progress"})
_TAGGED: Final = dict.fromkeys(("tags", "tags-any", "not-tags", "not-tags-any"), since(26))
KNOWN: Final[dict[str, Span]] = {
    **dict.fromkeys(server_filters.FILTERS, ALWAYS), **dict.fromkeys(_ALIASES, ALWAYS),
    **dict.fromkeys(("limit", "marker", "sort_key", "sort_dir", "all_tenants", "deleted", "soft_deleted"), ALWAYS),
    **_TAGGED, "changes-before": since(66), "locked": since(73)}
# Published sort keys of columns that are nobody's business; ignored until 2.74.
_IGNORED_KEYS: Final = frozenset({
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
    "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on",
    "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode"})
_IGNORING: Final = until(74)
_LOCKED_SORTS: Final = since(73)
_DEFAULT_ORDER: Final = (("created_at", True),)


def parse(services: Services, request: falcon.Request, context: RequestContext, *, detail: bool,
          user_data: bool) -> server_list.ServerQuery:
    """Return what a request asks for; raises Invalid and Forbidden."""
    found = params.read(request, KNOWN)
    action = "os_compute_api:servers:" + ("detail" if detail else "index")
    services.policy.check(context, action)
    everywhere = _all_projects(services.policy, context, action, found)
    privileged = services.policy.allows(context, "os_compute_api:servers:allow_all_filters")
    filters = {_ALIASES.get(name, name): values for name, values in found.items()
               if (privileged or name in _EVERYBODYS) and _ALIASES.get(name, name) in server_filters.FILTERS}
    for name in ("changes-since", "changes-before"):
        if name in filters and not filters[name][-1]:
            raise errors.InvalidField(field=name, value="", reason="It must be a time as ISO 8601 writes it.")
    return server_list.ServerQuery(
        page=_page(services, request), filters=filters, project_id=None if everywhere else context.project_id,
        deleted=_deleted(context, found, filters), user_data=user_data)


def _all_projects(policy: Policy, context: RequestContext, action: str, found: dict[str, list[str]]) -> bool:
    text = params.one(found, "all_tenants")
    if text is not None and server_filters.truth("all_tenants", text or "true"):
        policy.check(context, action + ":get_all_tenants")
        return True
    return False


def _deleted(context: RequestContext, found: dict[str, list[str]], filters: dict[str, list[str]]) -> bool | None:
    statuses = [value.upper() for value in filters.get("status", ())]
    if states.STATUS[states.DELETED] in statuses:
        if not context.is_admin:
            raise errors.Forbidden("Only administrators may list deleted instances", action="servers:deleted")
        return None if len(set(statuses)) > 1 else True
    text = params.one(found, "deleted")
    if text is not None and context.is_admin:
        return server_filters.truth("deleted", text)
    # Who asks what changed must learn what went, too.
    return None if "changes-since" in filters else False


def _page(services: Services, request: falcon.Request) -> paging.Page:
    version = request.context.version
    sortable = dict(server_list.SORT_COLUMNS)
    ignored = set(server_list.SORT_CONSTANT)
    if version in _IGNORING:
        ignored |= _IGNORED_KEYS
    if version not in _LOCKED_SORTS:
        sortable.pop("locked")
        ignored.add("locked")
    return params.page_of(request, services.conf, sortable=sortable, default=_DEFAULT_ORDER, tie="uuid",
                          ignored=ignored)
