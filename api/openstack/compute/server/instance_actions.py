"""The published face of what was done to a server."""

from __future__ import annotations

import re
from typing import Any, Final

import falcon
from taskflow import states as flow_states

from api.core.server import instance_actions
from api.openstack.compute import params
from api.openstack.compute.microversion import Version, since
from api.openstack.compute.server.views import host_hash
from api.openstack.resource import Resource
from hostler import clock, ids
from hostler.db.models import Operation, OperationStep
from hostler.operations import states as operation_states
from hostler.operations.kinds.registry import action_name
from hostler.query import text

_POLICY = "os_compute_api:os-instance-actions:events"
_PAGED: Final = since(58)
_OF_DELETED: Final = since(21)
_EVENTS_FOR_ALL: Final = since(51)
_HOSTS: Final = since(62)
_DETAILS: Final = since(84)
_LIST = {"limit": _PAGED, "marker": _PAGED, "changes-since": _PAGED, "changes-before": since(66)}
_FILTERS = {"changes-since": text.since("updated_at"), "changes-before": text.before("updated_at")}
_RESULTS = {flow_states.SUCCESS: "Success", flow_states.FAILURE: "Error", flow_states.REVERTED: "Error",
            flow_states.REVERT_FAILURE: "Error"}


def action_view(operation: Operation, version: Version) -> dict[str, Any]:
    """Return an operation as an action."""
    failed = operation.state == operation_states.FAILED
    view: dict[str, Any] = {
        "action": action_name(operation.kind), "instance_uuid": operation.resource_id,
        "request_id": operation.request_id, "start_time": clock.iso_micro(operation.created_at),
        "user_id": operation.user_id and ids.bare(operation.user_id),
        "project_id": operation.project_id and ids.bare(operation.project_id), "message": "Error" if failed else None}
    return {**view, "updated_at": clock.iso_micro(operation.updated_at)} if version in _PAGED else view


class InstanceActions(Resource):
    """GET /servers/{id}/os-instance-actions."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List, newest first."""
        version = request.context.version
        found = params.read(request, _LIST, strict=_PAGED.since)
        wanted = {name: values for name, values in found.items() if name in _FILTERS}
        query = params.page_of(request, self.conf, default=[("created_at", True), ("id", True)],
                               where=text.where(_FILTERS, wanted), paged=version in _PAGED)
        page = instance_actions.list_actions(self.services, params.caller(request), server_id, query,
                                             of_deleted=version in _OF_DELETED)
        body: dict[str, Any] = {"instanceActions": [action_view(row, version) for row in page.rows]}
        if page.full and version in _PAGED:
            body["links"] = params.page_links(request, self.conf, f"/servers/{server_id}/os-instance-actions",
                                              page.rows[-1].request_id)
        response.media = body


class InstanceActionItem(Resource):
    """GET /servers/{id}/os-instance-actions/{request id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, action_id: str) -> None:
        """Show with its events."""
        context, version = params.caller(request), request.context.version
        found = instance_actions.show(self.services, context, server_id, action_id, of_deleted=version in _OF_DELETED)
        view = action_view(found.operation, version)
        privileged = self.services.policy.allows(context, _POLICY)
        if privileged or version in _EVENTS_FOR_ALL:
            details = version in _DETAILS and self.services.policy.allows(context, _POLICY + ":details")
            view["events"] = [event_view(step, found.project_id, version, privileged=privileged, details=details)
                              for step in found.steps if step.detail.get("kind") != "retry"]
        response.media = {"instanceAction": view}


def event_view(step: OperationStep, project_id: str, version: Version, *, privileged: bool,
               details: bool) -> dict[str, Any]:
    """Return a step as an event; tracebacks and hosts are for the privileged."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", step.name).lower()
    failure = (step.detail.get("atom") or {}).get("failure") or {}
    view: dict[str, Any] = {
        "event": f"{'compute' if step.host else 'conductor'}_{words}",
        "start_time": clock.iso_micro(step.started_at), "finish_time": clock.iso_micro(step.finished_at),
        "result": _RESULTS.get(step.state)}
    if privileged:
        view["traceback"] = failure.get("traceback_str")
    if version in _HOSTS:
        view["hostId"] = host_hash(project_id, step.host) if step.host else ""
        if privileged and step.host:
            view["host"] = step.host
    if details:
        view["details"] = failure.get("exception_str")
    return view
