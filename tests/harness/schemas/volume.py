"""The Block Storage API's answers, from the reference's views and extensions (`cinder/api`) and its samples.

A member has the microversion it came with; those that only administrators see are optional, since a check does not
know who asked.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

from tests.harness.schemas.validation import Schema

Version = tuple[int, int]

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NULL = {"type": "null"}
_NUMBER = {"type": "integer"}
_FLAG = {"type": "boolean"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"}
_TIME_OR_NULL = {"anyOf": [_TIME, _NULL]}
_TIME_OR_EMPTY = {"anyOf": [_TIME, {"const": ""}]}
_UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_UUID_OR_NULL = {"anyOf": [_UUID, _NULL]}
_OWNER = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_LINKS = {"type": "array", "minItems": 2, "maxItems": 2, "items": {
    "type": "object", "required": ["rel", "href"],
    "properties": {"rel": {"enum": ["self", "bookmark"]}, "href": {"type": "string", "format": "uri"}}}}
_NEXT = {"type": "array", "items": {
    "type": "object", "properties": {"rel": {"const": "next"}, "href": {"type": "string", "format": "uri"}},
    "required": ["rel", "href"]}}


@dataclasses.dataclass(frozen=True)
class Member:
    """One member: its schema, the minor version it came with, and whether it may be missing."""

    schema: Any
    since: int = 0
    optional: bool = False


def _admin(schema: Any, since: int = 0) -> Member:
    return Member(schema, since, optional=True)


Members = dict[str, Any]  # name → Member, or the schema of one that is always there

_VOLUME_BRIEF: Members = {"id": _UUID, "name": _TEXT_OR_NULL, "links": _LINKS}
_VOLUME_ATTACHMENT = {
    "type": "object", "additionalProperties": False, "properties": {
        "id": _UUID, "attachment_id": _UUID, "volume_id": _UUID, "server_id": _UUID_OR_NULL,
        "host_name": _TEXT_OR_NULL, "device": _TEXT_OR_NULL, "attached_at": _TIME_OR_NULL},
    "required": ["id", "attachment_id", "volume_id", "server_id", "host_name", "device", "attached_at"]}
_VOLUME_CHANGED: Members = {
    **_VOLUME_BRIEF, "size": _NUMBER, "availability_zone": _TEXT, "created_at": _TIME, "updated_at": _TIME_OR_NULL,
    "status": {"enum": [
        "creating", "available", "reserved", "attaching", "detaching", "in-use", "maintenance", "deleting",
        "awaiting-transfer", "error", "error_deleting", "backing-up", "restoring-backup", "error_backing-up",
        "error_restoring", "error_extending", "downloading", "uploading", "retyping", "extending", "reverting"]},
    "description": _TEXT_OR_NULL, "volume_type": _TEXT_OR_NULL, "snapshot_id": _UUID_OR_NULL,
    "source_volid": _UUID_OR_NULL, "metadata": _TEXTS, "user_id": _OWNER, "bootable": {"enum": ["true", "false"]},
    "encrypted": _FLAG, "replication_status": _TEXT_OR_NULL, "consistencygroup_id": _UUID_OR_NULL,
    "multiattach": _FLAG, "attachments": {"type": "array", "items": _VOLUME_ATTACHMENT},
    "migration_status": _admin({"enum": [None, "migrating", "success", "error"]}),
    "group_id": Member(_UUID_OR_NULL, 13), "provider_id": _admin(_TEXT_OR_NULL, 21),
    "shared_targets": Member(_FLAG, 48), "service_uuid": Member(_UUID_OR_NULL, 48),
    "cluster_name": _admin(_TEXT_OR_NULL, 61), "volume_type_id": Member(_UUID_OR_NULL, 63),
    "consumes_quota": Member(_FLAG, 65)}
_VOLUME: Members = {
    **_VOLUME_CHANGED, "volume_image_metadata": _admin(_TEXTS), "os-vol-host-attr:host": _admin(_TEXT_OR_NULL),
    "os-vol-tenant-attr:tenant_id": _admin(_OWNER),
    "os-vol-mig-status-attr:migstat": _admin({"enum": [None, "migrating", "success", "error"]}),
    "os-vol-mig-status-attr:name_id": _admin(_UUID_OR_NULL)}
_SNAPSHOT_BRIEF: Members = {
    "id": _UUID, "created_at": _TIME, "updated_at": _TIME_OR_NULL, "name": _TEXT_OR_NULL,
    "description": _TEXT_OR_NULL, "volume_id": _UUID, "size": _NUMBER, "metadata": _TEXTS,
    "status": {"enum": ["creating", "available", "backing-up", "deleting", "error", "deleted", "unmanaging",
                        "restoring", "error_deleting"]}}
_SNAPSHOT_CHANGED: Members = {**_SNAPSHOT_BRIEF, "group_snapshot_id": Member(_UUID_OR_NULL, 14),
                              "user_id": Member(_OWNER, 41), "consumes_quota": Member(_FLAG, 65)}
_SNAPSHOT: Members = {
    **_SNAPSHOT_CHANGED, "os-extended-snapshot-attributes:project_id": _admin(_OWNER),
    "os-extended-snapshot-attributes:progress": _admin({"type": "string", "pattern": r"^\d+%$"})}
_TYPE_CHANGED: Members = {"id": _UUID, "name": _TEXT, "is_public": _FLAG, "description": _TEXT_OR_NULL,
                          "extra_specs": _TEXTS}
_TYPE_CREATED: Members = {**_TYPE_CHANGED, "os-volume-type-access:is_public": _admin(_FLAG)}
_TYPE: Members = {**_TYPE_CREATED, "extra_specs": _admin(_TEXTS), "qos_specs_id": _admin(_UUID_OR_NULL)}
_BACKUP_BRIEF: Members = {"id": _UUID, "name": _TEXT_OR_NULL, "links": _LINKS}
_BACKUP: Members = {
    **_BACKUP_BRIEF, "size": _NUMBER, "object_count": _NUMBER, "availability_zone": _TEXT_OR_NULL,
    "status": {"enum": ["creating", "available", "deleting", "error", "restoring", "error_restoring",
                        "error_deleting"]},
    "container": _TEXT_OR_NULL, "created_at": _TIME, "updated_at": _TIME_OR_NULL, "description": _TEXT_OR_NULL,
    "fail_reason": _TEXT_OR_NULL, "volume_id": _UUID_OR_NULL, "is_incremental": _FLAG, "has_dependent_backups": _FLAG,
    "snapshot_id": _UUID_OR_NULL, "data_timestamp": _TIME, "os-backup-project-attr:project_id": _admin(_OWNER, 18),
    "metadata": Member(_TEXTS, 43), "user_id": _admin(_OWNER, 56)}
_TRANSFER_BRIEF: Members = {"id": _UUID, "name": _TEXT_OR_NULL, "volume_id": _UUID, "links": _LINKS}
_TRANSFER: Members = {
    **_TRANSFER_BRIEF, "created_at": _TIME, "no_snapshots": Member(_FLAG, 55),
    "source_project_id": Member(_TEXT_OR_NULL, 57), "destination_project_id": Member(_TEXT_OR_NULL, 57),
    "accepted": Member(_FLAG, 57)}
_ATTACHMENT_BRIEF: Members = {"id": _UUID, "instance": _UUID_OR_NULL, "volume_id": _UUID, "status": {"enum": [
    "attached", "attaching", "detached", "reserved", "error_attaching", "error_detaching", "deleted"]}}
_ATTACHMENT: Members = {
    **_ATTACHMENT_BRIEF, "attached_at": _TIME_OR_EMPTY, "detached_at": _TIME_OR_EMPTY,
    "attach_mode": {"enum": ["rw", "ro", "null"]}, "connection_info": {"type": ["object", "null"]}}
_MESSAGE: Members = {
    "id": _UUID, "event_id": _TEXT, "user_message": _TEXT, "message_level": {"const": "ERROR"}, "created_at": _TIME,
    "guaranteed_until": _TIME, "request_id": _TEXT, "links": _LINKS, "resource_type": _admin(_TEXT),
    "resource_uuid": _admin(_UUID)}
_SERVICE: Members = {
    "binary": _TEXT, "host": _TEXT, "zone": _TEXT, "status": {"enum": ["enabled", "disabled"]},
    "state": {"enum": ["up", "down"]}, "updated_at": _TIME_OR_NULL, "disabled_reason": _TEXT_OR_NULL,
    "replication_status": _admin(_TEXT_OR_NULL), "active_backend_id": _admin(_TEXT_OR_NULL), "frozen": _admin(_FLAG),
    "cluster": Member(_TEXT_OR_NULL, 7), "backend_state": _admin({"enum": ["up", "down"]}, 49)}
_CHANGED_SERVICE: Members = {
    "host": _TEXT, "service": _TEXT, "binary": _TEXT, "disabled": _FLAG, "status": {"enum": ["enabled", "disabled"]},
    "disabled_reason": _admin(_TEXT_OR_NULL)}
_HOST: Members = {
    "host_name": _TEXT, "service": _TEXT, "zone": _TEXT, "service-status": {"enum": ["available", "unavailable"]},
    "service-state": {"enum": ["enabled", "disabled"]}, "last-update": _TIME_OR_NULL}
_CAPABILITIES: Members = {
    "namespace": _TEXT, "vendor_name": _TEXT, "volume_backend_name": _TEXT, "pool_name": _TEXT_OR_NULL,
    "driver_version": _TEXT, "storage_protocol": _TEXT_OR_NULL, "display_name": _TEXT_OR_NULL,
    "description": _TEXT_OR_NULL, "visibility": _TEXT_OR_NULL, "replication_targets": {"type": "array"},
    "properties": {"type": "object"}}
_POOL = {"type": "object", "additionalProperties": False, "required": ["name"], "properties": {
    "name": _TEXT, "capabilities": {"type": "object", "required": [
        "volume_backend_name", "vendor_name", "driver_version", "total_capacity_gb", "free_capacity_gb",
        "reserved_percentage"], "additionalProperties": {},
        "properties": {"vendor_name": _TEXT, "driver_version": _TEXT}}}}
_LIMIT_OR_USE = {"anyOf": [_NUMBER, {
    "type": "object", "additionalProperties": False, "required": ["limit", "in_use", "reserved"],
    "properties": dict.fromkeys(("limit", "in_use", "reserved", "allocated"), _NUMBER)}]}
_QUOTAS = ("volumes", "snapshots", "backups", "gigabytes", "backup_gigabytes", "per_volume_gigabytes", "groups")
_QOS: Members = {"id": _TEXT, "name": _TEXT, "consumer": {"enum": ["front-end", "back-end", "both"]}, "specs": _TEXTS}
_QOS_BODY = {"type": "object", "required": list(_QOS), "additionalProperties": False, "properties": _QOS}
_QUOTA = {"type": "object", "required": list(_QUOTAS), "properties": {"id": _TEXT},
          "patternProperties": {f"^({'|'.join(_QUOTAS)})$": _LIMIT_OR_USE,
                                "^(volumes|gigabytes|snapshots)_": _LIMIT_OR_USE}, "additionalProperties": False}
_UPLOAD: Members = {
    "id": _UUID, "updated_at": _TIME_OR_NULL, "status": _TEXT, "display_description": _TEXT_OR_NULL, "size": _NUMBER,
    "volume_type": {"type": ["object", "null"], "additionalProperties": {}}, "image_id": _UUID,
    "container_format": _TEXT, "disk_format": _TEXT, "image_name": _TEXT, "visibility": Member(_TEXT, 1),
    "protected": Member(_FLAG, 1)}
_ABSOLUTE = [f"{word}{end}" for word, end in (
    *(("maxTotal", noun) for noun in ("Volumes", "VolumeGigabytes", "Snapshots", "Backups", "BackupGigabytes")),
    *(("total", f"{noun}Used") for noun in ("Volumes", "Gigabytes", "Snapshots", "Backups", "BackupGigabytes")))]


@dataclasses.dataclass(frozen=True)
class One:
    """A body with one member around the members of a resource; no `name` for none."""

    name: str | None
    members: Members


@dataclasses.dataclass(frozen=True)
class Many:
    """A list, with the link to its next page and perhaps a count."""

    name: str
    members: Members
    links: str | None = None


_EMPTY = {"type": ["null", "string"], "maxLength": 0}
_HELD = dict.fromkeys(("host", "project", "volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb"),
                      {"type": "string"})
_METADATA = {"type": "object", "required": ["metadata"], "additionalProperties": False,
             "properties": {"metadata": _TEXTS}}
_META = {"type": "object", "required": ["meta"], "additionalProperties": False, "properties": {"meta": _TEXTS}}
_SPECS = {"type": "object", "required": ["extra_specs"], "additionalProperties": False,
          "properties": {"extra_specs": _TEXTS}}
_ID = "[^/]+"
# (method, path below /v3, status, body); {} stands for one segment, {+} for some.
_ANSWERS: tuple[tuple[str, str, int, Any], ...] = (
    ("GET", "/volumes", 200, Many("volumes", _VOLUME_BRIEF)),
    ("GET", "/volumes/detail", 200, Many("volumes", _VOLUME)),
    ("POST", "/volumes", 202, One("volume", _VOLUME_CHANGED)),
    ("GET", "/volumes/summary", 200, One("volume-summary", {
        "total_count": _NUMBER, "total_size": _NUMBER,
        "metadata": Member({"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}}, 36)})),
    ("GET", "/volumes/{}", 200, One("volume", _VOLUME)),
    ("PUT", "/volumes/{}", 200, One("volume", _VOLUME_CHANGED)),
    ("DELETE", "/volumes/{}", 202, _EMPTY),
    ("GET", "/volumes/{}/encryption", 200, {"type": "object"}),
    ("GET", "/(volumes|snapshots)/{}/metadata", 200, _METADATA),
    ("POST", "/(volumes|snapshots)/{}/metadata", 200, _METADATA),
    ("PUT", "/(volumes|snapshots)/{}/metadata", 200, _METADATA),
    ("GET", "/(volumes|snapshots)/{}/metadata/{+}", 200, _META),
    ("PUT", "/(volumes|snapshots)/{}/metadata/{+}", 200, _META),
    ("DELETE", "/(volumes|snapshots)/{}/metadata/{+}", 200, _EMPTY),
    ("GET", "/snapshots", 200, Many("snapshots", _SNAPSHOT_BRIEF)),
    ("GET", "/snapshots/detail", 200, Many("snapshots", _SNAPSHOT)),
    ("POST", "/snapshots", 202, One("snapshot", _SNAPSHOT_CHANGED)),
    ("GET", "/snapshots/{}", 200, One("snapshot", _SNAPSHOT)),
    ("PUT", "/snapshots/{}", 200, One("snapshot", _SNAPSHOT_CHANGED)),
    ("DELETE", "/snapshots/{}", 202, _EMPTY),
    ("POST", "/snapshots/{}/action", 202, _EMPTY),
    ("GET", "/types", 200, Many("volume_types", _TYPE, "volume_type_links")),
    ("POST", "/types", 200, One("volume_type", _TYPE_CREATED)),
    ("GET", "/types/{}", 200, One("volume_type", _TYPE)),
    ("PUT", "/types/{}", 200, One("volume_type", _TYPE_CHANGED)),
    ("DELETE", "/types/{}", 202, _EMPTY),
    ("POST", "/types/{}/action", 202, _EMPTY),
    ("GET", "/types/{}/extra_specs", 200, _SPECS),
    ("POST", "/types/{}/extra_specs", 200, _SPECS),
    ("GET", "/types/{}/extra_specs/{}", 200, _TEXTS),
    ("PUT", "/types/{}/extra_specs/{}", 200, _TEXTS),
    ("DELETE", "/types/{}/extra_specs/{}", 202, _EMPTY),
    ("GET", "/types/{}/encryption", 200, {"type": "object"}),
    ("GET", "/types/{}/os-volume-type-access", 200, Many("volume_type_access", {
        "volume_type_id": _UUID, "project_id": _OWNER})),
    ("GET", "/backups", 200, Many("backups", _BACKUP_BRIEF)),
    ("GET", "/backups/detail", 200, Many("backups", _BACKUP)),
    ("POST", "/backups", 202, One("backup", _BACKUP_BRIEF)),
    ("GET", "/backups/{}", 200, One("backup", _BACKUP)),
    ("PUT", "/backups/{}", 200, One("backup", _BACKUP_BRIEF)),
    ("DELETE", "/backups/{}", 202, _EMPTY),
    ("POST", "/backups/{}/action", 202, _EMPTY),
    ("POST", "/backups/{}/restore", 202, One("restore", {
        "backup_id": _UUID, "volume_id": _UUID, "volume_name": _TEXT_OR_NULL})),
    ("GET", "/(os-volume-transfer|volume-transfers)", 200, Many("transfers", _TRANSFER_BRIEF)),
    ("GET", "/(os-volume-transfer|volume-transfers)/detail", 200, Many("transfers", _TRANSFER)),
    ("POST", "/(os-volume-transfer|volume-transfers)", 202, One("transfer", {**_TRANSFER, "auth_key": _TEXT})),
    ("GET", "/(os-volume-transfer|volume-transfers)/{}", 200, One("transfer", _TRANSFER)),
    ("DELETE", "/(os-volume-transfer|volume-transfers)/{}", 202, _EMPTY),
    ("POST", "/(os-volume-transfer|volume-transfers)/{}/accept", 202, One("transfer", _TRANSFER_BRIEF)),
    ("GET", "/attachments", 200, Many("attachments", _ATTACHMENT_BRIEF)),
    ("GET", "/attachments/detail", 200, Many("attachments", _ATTACHMENT)),
    ("POST", "/attachments", 200, One("attachment", _ATTACHMENT)),
    ("GET", "/attachments/{}", 200, One("attachment", _ATTACHMENT)),
    ("PUT", "/attachments/{}", 200, One("attachment", _ATTACHMENT)),
    ("DELETE", "/attachments/{}", 200, Many("attachments", _ATTACHMENT_BRIEF)),
    ("POST", "/attachments/{}/action", 204, _EMPTY),
    ("GET", "/messages", 200, Many("messages", _MESSAGE)),
    ("GET", "/messages/{}", 200, One("message", _MESSAGE)),
    ("DELETE", "/messages/{}", 204, _EMPTY),
    ("GET", "/resource_filters", 200, Many("resource_filters", {
        "resource": _TEXT, "filters": {"type": "array", "items": _TEXT}})),
    ("GET", "/os-quota-sets/{}", 200, One("quota_set", {"": _QUOTA})),
    ("PUT", "/os-quota-sets/{}", 200, One("quota_set", {"": _QUOTA})),
    ("DELETE", "/os-quota-sets/{}", 200, _EMPTY),
    ("GET", "/os-quota-sets/{}/defaults", 200, One("quota_set", {"": _QUOTA})),
    ("GET", "/os-quota-class-sets/{}", 200, One("quota_class_set", {"": _QUOTA})),
    ("PUT", "/os-quota-class-sets/{}", 200, One("quota_class_set", {"": _QUOTA})),
    ("GET", "/qos-specs", 200, Many("qos_specs", _QOS)),
    *((method, path, 200, {"type": "object", "required": ["qos_specs", "links"], "additionalProperties": False,
                           "properties": {"qos_specs": _QOS_BODY, "links": {"type": "array"}}})
      for method, path in (("POST", "/qos-specs"), ("GET", "/qos-specs/{}"))),
    ("PUT", "/qos-specs/{}", 200, {"type": "object", "required": ["qos_specs"], "additionalProperties": False,
                                   "properties": {"qos_specs": _TEXTS}}),
    ("DELETE", "/qos-specs/{}", 202, _EMPTY), ("PUT", "/qos-specs/{}/delete_keys", 202, _EMPTY),
    ("GET", "/qos-specs/{}/associations", 200, {
        "type": "object", "required": ["qos_associations"], "additionalProperties": False, "properties": {
            "qos_associations": {"type": "array", "items": {
                "type": "object", "additionalProperties": False, "required": ["association_type", "name", "id"],
                "properties": {"association_type": {"const": "volume_type"}, "name": _TEXT, "id": _TEXT}}}}}),
    ("GET", "/qos-specs/{}/(associate|disassociate|disassociate_all)", 202, _EMPTY),
    ("GET", "/limits", 200, One("limits", {"rate": {"type": "array"}, "absolute": {
        "type": "object", "additionalProperties": False, "properties": dict.fromkeys(_ABSOLUTE, _NUMBER),
        "required": _ABSOLUTE}})),
    ("GET", "/os-services", 200, Many("services", _SERVICE)),
    ("PUT", "/os-services/(freeze|thaw)", 202, _EMPTY),
    ("PUT", "/os-services/(enable|disable|disable-log-reason)", 200, One(None, _CHANGED_SERVICE)),
    ("GET", "/os-hosts", 200, Many("hosts", _HOST)),
    ("GET", "/os-hosts/{}", 200, Many("host", {"resource": {
        "type": "object", "additionalProperties": False, "required": list(_HELD), "properties": _HELD}})),
    ("GET", "/os-availability-zone", 200, Many("availabilityZoneInfo", {"zoneName": _TEXT, "zoneState": {
        "type": "object", "properties": {"available": _FLAG}, "required": ["available"]}})),
    ("GET", "/scheduler-stats/get_pools", 200, {"type": "object", "required": ["pools"], "additionalProperties": False,
                                                "properties": {"pools": {"type": "array", "items": _POOL}}}),
    ("GET", "/capabilities/{}", 200, One(None, _CAPABILITIES)),
    ("POST", "/workers/cleanup", 202, One(None, {"cleaning": {"type": "array"}, "unavailable": {"type": "array"}})),
    # The reference has POST alone; openstacksdk sends PUT.
    ("PUT", "/workers/cleanup", 202, One(None, {"cleaning": {"type": "array"}, "unavailable": {"type": "array"}})),
    ("GET", "/extensions", 200, Many("extensions", _EXTENSION := {
        "name": _TEXT, "alias": _TEXT, "description": _TEXT, "updated": _TEXT, "links": {"type": "array"}})),
    ("GET", "/extensions/{}", 200, One("extension", _EXTENSION)),
    # What this cloud never has: lists without items.
    ("GET", "/(groups|group_types|group_snapshots|consistencygroups|cgsnapshots|clusters|default-types|"
     "manageable_volumes|os-volume-manage|manageable_snapshots|os-snapshot-manage)(/detail)?", 200, {
         "type": "object", "minProperties": 1, "maxProperties": 1,
         "additionalProperties": {"type": "array", "maxItems": 0}}),
)
# Action on a volume → (status, body).
_ACTIONS: dict[str, tuple[int, Any]] = {
    **dict.fromkeys((
        "os-extend", "os-retype", "os-migrate_volume", "revert", "os-update_readonly_flag", "os-reset_status",
        "os-force_delete", "os-force_detach", "os-attach", "os-detach", "os-reserve", "os-unreserve", "os-reimage",
        "os-begin_detaching", "os-roll_detaching"),
        (202, _EMPTY)),
    "os-set_bootable": (200, _EMPTY), "os-unset_image_metadata": (200, _EMPTY),
    "os-set_image_metadata": (200, _METADATA), "os-show_image_metadata": (200, _METADATA),
    "os-volume_upload_image": (202, One("os-volume_upload_image", _UPLOAD))}
# Our own, beside the published API (docs/api-support.md).
_OURS = re.compile(rf"/volumes/{_ID}/hostler")
_PROJECT = re.compile("^/[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?=/)")
_PATTERNS = [(method, re.compile(path.replace("{+}", ".+").replace("{}", _ID)), status, body)
             for method, path, status, body in _ANSWERS]


def _object(members: Members, minor: int) -> dict[str, Any]:
    if "" in members:
        return dict(members[""])
    rows = {name: row if isinstance(row, Member) else Member(row) for name, row in members.items()}
    present = {name: row for name, row in rows.items() if row.since <= minor}
    return {"type": "object", "properties": {name: row.schema for name, row in present.items()},
            "required": [name for name, row in present.items() if not row.optional], "additionalProperties": False}


def _schema(body: Any, minor: int) -> dict[str, Any]:
    if isinstance(body, One):
        inner = _object(body.members, minor)
        return inner if body.name is None else {
            "type": "object", "properties": {body.name: inner}, "required": [body.name],
            "additionalProperties": False}
    if isinstance(body, Many):
        return {"type": "object", "required": [body.name], "additionalProperties": False, "properties": {
            body.name: {"type": "array", "items": _object(body.members, minor)},
            body.links or f"{body.name}_links": _NEXT, **({"count": _NUMBER} if minor >= 45 else {})}}
    return dict(body)


@functools.lru_cache(maxsize=4096)
def _compiled(place: int | str, minor: int) -> Schema:
    return Schema(_schema(_PATTERNS[place][3] if isinstance(place, int) else _ACTIONS[place][1], minor))


def check(method: str, path: str, microversion: Version | None, status: int, body: Any,
          action: str | None = None) -> str | None:
    """Return what is wrong with an answer, or None (see the package's docstring)."""
    if status >= 400:
        return _problem_of_error(status, body)
    below = _PROJECT.sub("", path.removeprefix("/v3"))
    if path in ("", "/", "/v3") or method == "HEAD" or _OURS.fullmatch(below):
        return None
    minor = (microversion or (3, 0))[1]
    if re.fullmatch(f"/volumes/{_ID}/action", below):
        if action not in _ACTIONS:
            return f"the reference has no action {action}"
        return _answer_problem(status, _ACTIONS[action][0], action, minor, body)
    rows = [index for index, row in enumerate(_PATTERNS) if row[0] == method and row[1].fullmatch(below)]
    if not rows:
        return "the reference has no such operation"
    return _answer_problem(status, _PATTERNS[rows[0]][2], rows[0], minor, body)


def _answer_problem(status: int, published: int, place: int | str, minor: int, body: Any) -> str | None:
    if status != published:
        return f"status {status}, published is {published}"
    return _compiled(place, minor).problem(body)


def _problem_of_error(status: int, body: Any) -> str | None:
    """An error has one member, named after its kind, with the code and a message."""
    if body is None:
        return None
    inner = next(iter(body.values()), None) if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(inner, dict) or not {"code", "message"} <= set(inner):
        return f"an error is {{name: {{code, message}}}}, not {str(body)[:200]}"
    return None if inner["code"] == status else f"the code of an error {status} is {inner['code']}"
