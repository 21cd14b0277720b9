"""The query of GET /servers, in every microversion, and its translation for the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from api.core.server import list as server_list
from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, Span, since, until
from api.policy import Policy
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.query import text
from hostler.query.expressions import EVERYTHING, NOTHING, And, Compare, Expression, Operator, Some
from hostler.query.paging import Query
from hostler.resources.server import states
from hostler.resources.server.status import STATUS_FILTER

_UPDATED: Final = "updated_at"


def _matches(path: str) -> text.Filter:
    return text.any_of(path, Operator.MATCHES)


def _address(mark: str) -> text.Filter:
    """Match addresses of the family whose notation contains `mark` by a regular expression."""
    def make(name: str, values: Sequence[str]) -> Expression:
        path = "ip_address"
        return Some("ports.fixed_ips", And((Compare(path, Operator.CONTAINS, mark), _matches(path)(name, values))))
    return make


def _flag(field: str) -> text.Filter:
    return lambda name, values: Compare(field, Operator.EQ, params.truth(name, values[-1]))


def _locked_by(_name: str, values: Sequence[str]) -> Expression:
    return Compare("locked", Operator.EQ, True) if set(values) & {"owner", "admin"} else NOTHING


def _constant(present: str) -> text.Filter:
    """Filter on something that is the same for every server here: it keeps all or none."""
    return lambda _name, values: EVERYTHING if present in values else NOTHING


FILTERS: Final[dict[str, text.Filter]] = {
    "name": _matches("name"), "display_name": _matches("name"), "description": _matches("description"),
    "display_description": _matches("description"), "hostname": _matches("hostname"), "key_name": _matches("key_name"),
    "access_ip_v4": _matches("access_ip_v4"), "access_ip_v6": _matches("access_ip_v6"),
    "reservation_id": text.equal("reservation_id"), "uuid": text.equal("id"), "project_id": text.equal("project_id"),
    "tenant_id": text.equal("project_id"), "user_id": text.equal("user_id"), "image": text.equal("image_id"),
    "image_ref": text.equal("image_id"), "flavor": text.equal("flavorid"), "status": text.equal("status"),
    "vm_state": text.equal("vm_state"), "task_state": text.equal("task_state"),
    "power_state": text.equal("power_state"), "host": text.equal("host.name"),
    "node": text.equal("host.hypervisor_hostname"), "availability_zone": text.equal("zone"), "ip": _address("."),
    "ip6": _address(":"), "launch_index": text.equal("launch_index"),
    "launched_at": text.within_second("launched_at"), "terminated_at": text.within_second("deleted_at"),
    "created_at": text.within_second("created_at"), "changes-since": text.since(_UPDATED),
    # The published filter counts the named second in.
    "changes-before": text.before(_UPDATED), "config_drive": _flag("config_drive"),
    "locked": _flag("locked"), "locked_by": _locked_by, **text.tags(text.tag_row("server_tags")),
    "kernel_id": _constant(""), "ramdisk_id": _constant(""), "root_device_name": _constant("/dev/vda"),
    "auto_disk_config": _flag("auto_disk_config"), "progress": _constant("0")}
SORTABLE: Final = {
    "display_name": "name", "display_description": "description", "uuid": "id", "availability_zone": "zone",
    "image_ref": "image_id", "instance_type_id": "flavor_id", "locked_by": "locked", "terminated_at": "deleted_at",
    "host": "host_name", **{name: name for name in (
        "created_at", "updated_at", "hostname", "config_drive", "key_name", "launch_index", "launched_at", "locked",
        "power_state", "project_id", "user_id", "vm_state", "access_ip_v4", "access_ip_v6", "task_state")}}
# Published keys that are the same for all servers here, so that they order nothing.
_SORT_CONSTANT: Final = frozenset({"auto_disk_config", "kernel_id", "node", "progress", "ramdisk_id",
                                   "root_device_name"})
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
    **dict.fromkeys(FILTERS, ALWAYS),
    **dict.fromkeys(("limit", "marker", "sort_key", "sort_dir", "all_tenants", "deleted", "soft_deleted"), ALWAYS),
    **_TAGGED, "changes-before": since(66), "locked": since(73)}
# Published sort keys of internal columns; ignored until 2.74.
_IGNORED_KEYS: Final = frozenset({
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
    "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on",
    "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode"})
_IGNORING: Final = until(74)
_LOCKED_SORTS: Final = since(73)
_STATUS_CHECKED: Final = since(38)
_DEFAULT_ORDER: Final = (("created_at", True),)


def parse(services: Services, request: falcon.Request, context: RequestContext, *, detail: bool,
          user_data: bool) -> server_list.ServerQuery:
    """Return what a request asks for; raises Invalid and Forbidden."""
    found = params.read(request, KNOWN)
    action = "os_compute_api:servers:" + ("detail" if detail else "index")
    services.policy.check(context, action)
    everywhere = _all_projects(services.policy, context, action, found)
    privileged = services.policy.allows(context, "os_compute_api:servers:allow_all_filters")
    filters = {name: values for name, values in found.items()
               if (privileged or name in _EVERYBODYS) and name in FILTERS}
    if request.context.version in _STATUS_CHECKED:
        _check_status(filters.get("status"))
    page = _page(services, request, where=text.where(FILTERS, filters),
                 project_id=None if everywhere else context.project_id)
    trash = params.one(found, "soft_deleted") if context.is_admin else None
    return server_list.ServerQuery(
        page=page, deleted=_deleted(context, found, filters), user_data=user_data,
        soft_deleted=params.truth("soft_deleted", trash) if trash is not None else None)


def _all_projects(policy: Policy, context: RequestContext, action: str, found: dict[str, list[str]]) -> bool:
    asked = params.one(found, "all_tenants")
    if asked is not None and params.truth("all_tenants", asked or "true"):
        policy.check(context, action + ":get_all_tenants")
        return True
    return False


def _deleted(context: RequestContext, found: dict[str, list[str]], filters: dict[str, list[str]]) -> bool | None:
    statuses = [value.upper() for value in filters.get("status", ())]
    if states.STATUS[states.DELETED] in statuses:
        if not context.is_admin:
            raise errors.Forbidden("Only administrators may list deleted instances", action="servers:deleted")
        return None if len(set(statuses)) > 1 else True
    asked = params.one(found, "deleted")
    if asked is not None and context.is_admin:
        return params.truth("deleted", asked)
    # A list of changes includes deletions.
    return None if filters.keys() & {"changes-since", "changes-before"} else False


def _check_status(asked: list[str] | None) -> None:
    """Raise Invalid when no server can have any of the statuses."""
    if asked and not any(value.upper() in STATUS_FILTER for value in asked):
        raise errors.InvalidField(field="status", value=asked[0], reason="It is no status.")


def _page(services: Services, request: falcon.Request, **more: Any) -> Query:
    version = request.context.version
    ignored = {*_SORT_CONSTANT, *(_IGNORED_KEYS if version in _IGNORING else ()),
               *(() if version in _LOCKED_SORTS else ("locked",))}
    return params.page_of(request, services.conf, sortable=SORTABLE, default=_DEFAULT_ORDER, ignored=ignored, **more)
