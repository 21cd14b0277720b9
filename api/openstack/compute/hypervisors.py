"""The published face of hypervisors: list, detail, show; in old versions also uptime, search and statistics."""

from __future__ import annotations

from typing import Any, Final

import falcon
import orjson

from api.core.fleet import hosts
from api.core.fleet.hosts import HostShown
from api.core.fleet.services import compute_number
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import Span, Version, available, since, until
from api.openstack.resource import Resource
from hostler import errors, ids
from hostler.query.expressions import EVERYTHING, Compare, Operator
from hostler.query.paging import Query, unknown_marker

_CPU_INFO_AS_OBJECT = since(28)
_PAGED = since(33)
_UUIDS = since(53)
_EMPTY_SERVERS = since(75)
_UPTIME_INSIDE = since(88)
_SIZES = until(87)
_NUMBERED = until(52)
_LIST: dict[str, Span] = {"limit": _PAGED, "marker": _PAGED, "hypervisor_hostname_pattern": _UUIDS,
                          "with_servers": _UUIDS}
_BY_NUMBER: Final = (("number", False),)
_SHOW: dict[str, Span] = {"with_servers": _UUIDS}


def brief_view(host: HostShown, version: Version) -> dict[str, Any]:
    """Return a hypervisor as lists show it."""
    view: dict[str, Any] = {
        "id": host.row.id if version in _UUIDS else host.row.number, "hypervisor_hostname": host.hostname,
        "state": "up" if host.up else "down", "status": "enabled" if hosts.is_enabled(host.row) else "disabled"}
    if host.servers or (host.servers is not None and version in _EMPTY_SERVERS):
        view["servers"] = [{"name": name, "uuid": server_id} for server_id, name in host.servers]
    return view


def full_view(host: HostShown, version: Version) -> dict[str, Any]:
    """Return a hypervisor with everything."""
    row = host.row
    view = brief_view(host, version)
    view.update({
        "hypervisor_type": row.hypervisor_type, "hypervisor_version": row.hypervisor_version,
        "host_ip": row.host_ip or None,
        "service": {"id": row.id if version in _UUIDS else compute_number(row), "host": row.name,
                    "disabled_reason": hosts.disabled_reason(row)}})
    if version in _SIZES:
        view.update(sizes(host), disk_available_least=None)
        view["cpu_info"] = (row.cpu_info if version in _CPU_INFO_AS_OBJECT
                            else orjson.dumps(row.cpu_info).decode())
    if version in _UPTIME_INSIDE:
        view["uptime"] = uptime_text(host)
    return view


def sizes(host: HostShown) -> dict[str, int]:
    """Return what the host has and what is used, its own reserve included."""
    row = host.row
    ram_used, disk_used = host.used.ram_mib + row.reserved_ram_mib, host.used.disk_gib + row.reserved_disk_gib
    return {
        "vcpus": row.vcpus, "vcpus_used": host.used.vcpus, "memory_mb": row.ram_mib, "memory_mb_used": ram_used,
        "free_ram_mb": row.ram_mib - ram_used, "local_gb": row.disk_gib, "local_gb_used": disk_used,
        "free_disk_gb": row.disk_gib - disk_used, "running_vms": host.server_count,
        "current_workload": host.operations}


def uptime_text(host: HostShown) -> str | None:
    """Return how long the host has been up, worded like uptime(1); None when it is down."""
    if not host.up:
        return None
    minutes = host.row.uptime_s // 60
    days, hours = minutes // 1440, minutes % 1440 // 60
    return f"up {days} {'day' if days == 1 else 'days'}, {hours}:{minutes % 60:02}"


class HostResource(Resource):
    """A resource that shows hypervisors."""

    def list_hosts(self, request: falcon.Request, action: str, pattern: str | None = None, *,
                   with_servers: bool = False) -> list[HostShown]:
        """Return all hosts, or those whose name contains `pattern`; raises NotFound when none does."""
        rows = hosts.list_hosts(self.services, params.caller(request), action, _everything(pattern),
                                with_servers=with_servers)
        if pattern is not None and not rows:
            raise errors.NotFound(f"No hypervisor matching '{pattern[:80]}' could be found.", resource="hypervisor",
                                  id=pattern)
        return rows


class HypervisorsDetail(HostResource):
    """GET /os-hypervisors/detail."""

    path = "/os-hypervisors/detail"
    action = "list-detail"
    view = staticmethod(full_view)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        version = request.context.version
        found = params.read(request, _LIST, strict=_UUIDS.since)
        with_servers = _truth(params.one(found, "with_servers"))
        pattern = params.one(found, "hypervisor_hostname_pattern")
        if pattern is not None or version not in _PAGED:
            _check_pattern(pattern, found)
            rows = self.list_hosts(request, self.action, pattern, with_servers=with_servers)
            response.media = {"hypervisors": [self.view(host, version) for host in rows]}
            return
        query = params.page_of(request, self.conf, default=_BY_NUMBER)
        _check_marker(query.marker, version)
        rows = hosts.list_hosts(self.services, params.caller(request), self.action, query, with_servers=with_servers)
        body: dict[str, Any] = {"hypervisors": [self.view(host, version) for host in rows]}
        if rows and len(rows) == query.limit:
            marker = rows[-1].row.id if version in _UUIDS else str(rows[-1].row.number)
            body["hypervisors_links"] = params.page_links(request, self.conf, self.path, marker)
        response.media = body


class Hypervisors(HypervisorsDetail):
    """GET /os-hypervisors."""

    path = "/os-hypervisors"
    action = "list"
    view = staticmethod(brief_view)


class HypervisorItem(HostResource):
    """GET /os-hypervisors/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, hypervisor_id: str) -> None:
        """Show."""
        version = request.context.version
        found = params.read(request, _SHOW, strict=_UUIDS.since)
        host = hosts.show_host(self.services, params.caller(request), "show", _identity(hypervisor_id, version),
                               with_servers=_truth(params.one(found, "with_servers")))
        response.media = {"hypervisor": full_view(host, version)}


class HypervisorUptime(HostResource):
    """GET /os-hypervisors/{id}/uptime, up to 2.87."""

    @available(_SIZES)
    def on_get(self, request: falcon.Request, response: falcon.Response, hypervisor_id: str) -> None:
        """Show how long the host is up."""
        version = request.context.version
        host = hosts.show_host(self.services, params.caller(request), "uptime", _identity(hypervisor_id, version))
        if not host.up:
            raise errors.Invalid(reason=f"Compute service of {host.row.name} is unavailable at this time.")
        response.media = {"hypervisor": {**brief_view(host, version), "uptime": uptime_text(host)}}


class HypervisorSearch(HostResource):
    """GET /os-hypervisors/{pattern}/search, up to 2.52."""

    @available(_NUMBERED)
    def on_get(self, request: falcon.Request, response: falcon.Response, hypervisor_id: str) -> None:
        """List those whose name holds the text."""
        rows = self.list_hosts(request, "search", hypervisor_id)
        response.media = {"hypervisors": [brief_view(host, request.context.version) for host in rows]}


class HypervisorServers(HostResource):
    """GET /os-hypervisors/{pattern}/servers, up to 2.52."""

    @available(_NUMBERED)
    def on_get(self, request: falcon.Request, response: falcon.Response, hypervisor_id: str) -> None:
        """List those whose name holds the text, with their servers."""
        rows = self.list_hosts(request, "servers", hypervisor_id, with_servers=True)
        response.media = {"hypervisors": [brief_view(host, request.context.version) for host in rows]}


class HypervisorStatistics(HostResource):
    """GET /os-hypervisors/statistics, up to 2.87."""

    @available(_SIZES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Sum over the enabled hosts."""
        rows = [host for host in self.list_hosts(request, "statistics") if hosts.is_enabled(host.row)]
        total = dict.fromkeys(("vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "free_ram_mb", "local_gb",
                               "local_gb_used", "free_disk_gb", "running_vms", "current_workload"), 0)
        for host in rows:
            for key, value in sizes(host).items():
                total[key] += value
        response.media = {"hypervisor_statistics": {**total, "count": len(rows), "disk_available_least": None}}


def _everything(pattern: str | None) -> Query:
    wanted = EVERYTHING if pattern is None else Compare("hostname", Operator.ICONTAINS, pattern)
    return Query(where=wanted, sort=_BY_NUMBER)


def _check_pattern(pattern: str | None, found: dict[str, list[str]]) -> None:
    """Refuse paging, and a host name pattern that no host name can hold."""
    if pattern is None:
        return
    if "limit" in found or "marker" in found:
        raise errors.Invalid(reason="Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
                                    "is not supported.")
    if not pattern or len(pattern) > 255 or not all(letter.isalnum() or letter in "-._" for letter in pattern):
        raise errors.InvalidField(field="hypervisor_hostname_pattern", value=pattern[:80],
                                  reason="It must consist of letters, digits, '.', '-' and '_'.")


def _check_marker(marker: str | None, version: Version) -> None:
    """Refuse the other versions' kind of marker."""
    if marker is not None and (ids.canonical(marker) is not None) != (version in _UUIDS):
        raise unknown_marker(marker)


def _identity(text: str, version: Version) -> str | int:
    if version in _UUIDS:
        known = ids.canonical(text)
        if known is None:
            raise errors.Invalid(reason=f"Invalid uuid {text[:80]}")
        return known
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise errors.NotFound(f"Hypervisor with ID '{text[:80]}' could not be found.", resource="hypervisor", id=text)
    return int(text)


def _truth(text: str | None) -> bool:
    if text is None:
        return False
    if text not in schema.BOOLEAN["enum"]:
        raise errors.InvalidField(field="with_servers", value=text[:80], reason="It must be a boolean.")
    return schema.truth(text)


ROUTES = (
    ("/os-hypervisors", Hypervisors), ("/os-hypervisors/detail", HypervisorsDetail),
    ("/os-hypervisors/statistics", HypervisorStatistics), ("/os-hypervisors/{hypervisor_id}", HypervisorItem),
    ("/os-hypervisors/{hypervisor_id}/uptime", HypervisorUptime),
    ("/os-hypervisors/{hypervisor_id}/search", HypervisorSearch),
    ("/os-hypervisors/{hypervisor_id}/servers", HypervisorServers),
)
