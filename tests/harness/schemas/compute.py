"""The Compute API's answers: `compute.json` holds the published facts (see tools/compute-schemas)."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from tests.harness.schemas.validation import Schema

Version = tuple[int, int]
_ROOT = "/v2.1"
_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
          409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit", 501: "notImplemented",
          503: "serviceUnavailable"}
# Statuses that the reference sets in its handlers instead of declaring them.
_STATUSES = {("PUT", "/servers/{server_id}/tags/{id}"): (201, 204),
             ("POST", "/servers/{id}/action", "createBackup"): (202,),
             **{("POST", "/servers/{id}/action", action): (202,) for action in ("addFloatingIp", "removeFloatingIp")},
             ("POST", "/os-server-external-events"): (200, 207)}
# Where the reference's schemas contradict what it does: names of key pairs may have @ and . since 2.92, and the path
# of a console is any text.
_CORRECTED = ((json.dumps(r"^[_\- a-zA-Z0-9]+$"), json.dumps(r"^[@._\- a-zA-Z0-9]+$")),
              ('"internal_access_path":{"format":"uuid",', '"internal_access_path":{'))


_COUNT = {"type": "integer"}
_AUDIT = {"type": "object", "additionalProperties": False, "properties": {
    "hosts_not_run": {"type": "array", "items": {"type": "string"}}, "log": {"type": "object"},
    **dict.fromkeys(("num_hosts", "num_hosts_done", "num_hosts_not_run", "num_hosts_running", "total_errors",
                     "total_instances"), _COUNT),
    **dict.fromkeys(("overall_status", "period_beginning", "period_ending"), {"type": "string"})}}
_AUDIT["required"] = sorted(_AUDIT["properties"])
_NOTHING = {"type": "null"}
# What `compute.json` leaves out: usage audits, by the API reference, and an action that ended with nova 21.
_ADDED: tuple[tuple[str, str, str | None, int, dict[str, Any]], ...] = (
    ("GET", "/os-instance_usage_audit_log", None, 200, {
        "type": "object", "additionalProperties": False, "properties": {"instance_usage_audit_logs": _AUDIT}}),
    ("GET", "/os-instance_usage_audit_log/{id}", None, 200, {
        "type": "object", "additionalProperties": False, "properties": {"instance_usage_audit_log": _AUDIT}}),
    ("POST", "/servers/{id}/action", "resetNetwork", 202, _NOTHING))


class Operation:
    """One operation: its statuses and bodies, by microversion."""

    def __init__(self, row: list[Any], schemas: list[Any]) -> None:
        self.method, self.path, self.action, self._statuses, bodies = row
        self.key = (self.method, self.path) if self.action is None else (self.method, self.path, self.action)
        self.pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", self.path))
        self.bodies = [(schemas[number], since, until) for number, since, until in bodies]

    def statuses(self, version: Version) -> tuple[int, ...]:
        """Return the statuses of success."""
        declared = tuple(status for status, since, until in self._statuses if _within(version, since, until))
        return _STATUSES.get(self.key, declared)

    def schema(self, version: Version) -> Schema | None:
        """Return the schema of the body; None when there is no such operation in this version."""
        for schema, since, until in self.bodies:
            if _within(version, since, until):
                return _compiled(json.dumps(schema))
        return None


def check(method: str, path: str, microversion: Version | None, status: int, body: Any,
          action: str | None = None) -> str | None:
    """Return what is wrong with an answer, or None (see the package's docstring)."""
    if status >= 400:
        return _problem_of_error(status, body)
    if method == "HEAD" or not path.startswith(_ROOT + "/"):
        return None  # the documents of versions have no microversion
    version = microversion or (2, 1)
    for operation in operations():
        if operation.method == method and operation.action == action and operation.pattern.fullmatch(path[len(_ROOT):]):
            schema = operation.schema(version)
            if schema is None:
                return "the reference has no such operation in this microversion"
            if status not in operation.statuses(version):
                return f"status {status}, published is {operation.statuses(version)}"
            return schema.problem(body)
    return "the reference has no such operation"


def _problem_of_error(status: int, body: Any) -> str | None:
    name = _NAMES.get(status, "computeFault")
    if not isinstance(body, dict) or set(body) != {name}:
        return f"the body of an error {status} is {{{name!r}: …}}, not {str(body)[:200]}"
    fault = body[name]
    if set(fault) != {"code", "message"} or fault["code"] != status or not isinstance(fault["message"], str):
        return f"a fault has its code and its message, not {str(fault)[:200]}"
    return None


def _within(version: Version, since: list[int] | None, until: list[int] | None) -> bool:
    return (since is None or tuple(since) <= version) and (until is None or version <= tuple(until))


@functools.cache
def operations() -> list[Operation]:
    """Return all operations, those with more literal paths first."""
    text = Path(__file__).with_name("compute.json").read_text()
    for published, meant in _CORRECTED:
        text = text.replace(published, meant)
    data = json.loads(text)
    schemas = [_unfolded(schema, data["parts"]) for schema in data["schemas"]]
    rows = [Operation(row, schemas) for row in data["operations"]]
    rows += [Operation([method, path, action, [[status, None, None]], [[0, None, None]]], [schema])
             for method, path, action, status, schema in _ADDED]
    return sorted(rows, key=lambda row: row.path.count("{"))


def _unfolded(node: Any, parts: list[Any]) -> Any:
    """Return a schema with the parts that it shares with others put in their places."""
    if isinstance(node, list):
        return [_unfolded(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"part"}:
        return _unfolded(parts[node["part"]], parts)
    return {key: _unfolded(value, parts) for key, value in node.items()}


@functools.cache
def _compiled(text: str) -> Schema:
    return Schema(json.loads(text))
