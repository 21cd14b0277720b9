"""The published face of what projects used: os-simple-tenant-usage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import falcon

from api.core.server import usage as tenant_usage
from api.core.server.usage import ServerUsage, UsageQuery
from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, since
from api.openstack.resource import Resource
from hostler import clock, ids
from hostler.query.fields import moment
from hostler.resources.server import states

_PAGED = since(40)
_PERIOD = {"start": ALWAYS, "end": ALWAYS, "limit": _PAGED, "marker": _PAGED}
_LIST = {**_PERIOD, "detailed": ALWAYS}
_PATH = "/os-simple-tenant-usage"


def server_view(usage: ServerUsage, stop: dt.datetime) -> dict[str, Any]:
    """Return one server's use."""
    row = usage.row
    gone = row.vm_state in (states.DELETED, states.SOFT_DELETED)
    end = min(row.deleted_at or stop, stop)
    return {"instance_id": row.id, "name": row.name, "tenant_id": ids.bare(row.project_id), "hours": usage.hours,
            "flavor": row.flavor.get("name", ""), "vcpus": row.vcpus, "memory_mb": row.ram_mib,
            "local_gb": row.root_gib + row.ephemeral_gib, "state": "terminated" if gone else row.vm_state,
            "started_at": clock.iso_micro(row.launched_at), "ended_at": clock.iso_micro(row.deleted_at),
            "uptime": max(int((end - row.launched_at).total_seconds()), 0)}


def project_view(project_id: str, servers: Sequence[ServerUsage], query: UsageQuery, *,
                 detailed: bool) -> dict[str, Any]:
    """Return one project's use."""
    def total(amount: Any) -> float:
        return float(sum(usage.hours * amount(usage.row) for usage in servers))

    view: dict[str, Any] = {
        "tenant_id": ids.bare(project_id), "start": clock.iso_micro(query.start), "stop": clock.iso_micro(query.stop),
        "total_hours": total(lambda _row: 1), "total_vcpus_usage": total(lambda row: row.vcpus),
        "total_memory_mb_usage": total(lambda row: row.ram_mib),
        "total_local_gb_usage": total(lambda row: row.root_gib + row.ephemeral_gib)}
    return {**view, "server_usages": [server_view(usage, query.stop) for usage in servers]} if detailed else view


class _Usage(Resource):
    def _query(self, request: falcon.Request, found: dict[str, list[str]]) -> UsageQuery:
        now, period = clock.utcnow(), {}
        for name in ("start", "end"):
            asked = params.one(found, name)
            period[name] = moment(name, asked) if asked else now
        return UsageQuery(start=period["start"], stop=period["end"],
                          page=params.page_of(request, self.conf, paged=request.context.version in _PAGED))

    def _links(self, request: falcon.Request, path: str, usage: tenant_usage.Usage, name: str) -> dict[str, Any]:
        if request.context.version not in _PAGED or not usage.full:
            return {}
        return {name: params.page_links(request, self.conf, path, usage.servers[-1].row.id)}


class Usages(_Usage):
    """GET /os-simple-tenant-usage."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List every project's use."""
        found = params.read(request, _LIST)
        query = self._query(request, found)
        usage = tenant_usage.usage(self.services, params.caller(request), query, None)
        projects: dict[str, list[ServerUsage]] = {}
        for server in usage.servers:
            projects.setdefault(server.row.project_id, []).append(server)
        detailed = params.one(found, "detailed") == "1"
        response.media = {"tenant_usages": [project_view(project_id, servers, query, detailed=detailed)
                                            for project_id, servers in projects.items()],
                          **self._links(request, _PATH, usage, "tenant_usages_links")}


class UsageItem(_Usage):
    """GET /os-simple-tenant-usage/{project}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, project_id: str) -> None:
        """Show one project's use."""
        query = self._query(request, params.read(request, _PERIOD))
        usage = tenant_usage.usage(self.services, params.caller(request), query, project_id)
        view = project_view(project_id, usage.servers, query, detailed=True) if usage.servers else {}
        response.media = {"tenant_usage": view,
                          **self._links(request, f"{_PATH}/{project_id}", usage, "tenant_usage_links")}
