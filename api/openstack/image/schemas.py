"""The JSON schemas of the Image API: those that request bodies must match, and those under /v2/schemas."""

from __future__ import annotations

from typing import Any

import falcon

from api import names
from api.bodies import compile_schema
from api.core.image.images import MAX_TAGS, READ_ONLY, VISIBILITIES
from api.core.image.members import STATUSES
from hostler import errors
from hostler.images.inspect import CONTAINER_FORMATS, DISK_FORMATS

_UUID = "^([0-9a-fA-F]){8}-?([0-9a-fA-F]){4}-?([0-9a-fA-F]){4}-?([0-9a-fA-F]){4}-?([0-9a-fA-F]){12}$"
# PostgreSQL keeps no NUL.
_PRINTABLE = r"^[^\x00]*$"
_MAX_INTEGER = 2147483647
_STATUSES = ("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete",
             "deactivated")


def _text(description: str, maximum: int = 255, *, null: bool = False) -> dict[str, Any]:
    return {"type": ["null", "string"] if null else "string", "maxLength": maximum, "pattern": _PRINTABLE,
            "description": description}


def _amount(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": _MAX_INTEGER, "description": description}


def _size(description: str) -> dict[str, Any]:
    return {"type": ["null", "integer"], "description": description}


_TAGS: dict[str, Any] = {
    "type": "array", "maxItems": MAX_TAGS, "description": "Texts that group images.",
    "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": rf"^{names.SAFE}[^\x00]*$"}}

IMAGE_PROPERTIES: dict[str, Any] = {
    "id": {"type": "string", "pattern": _UUID, "description": "The image's identifier."},
    "name": _text("A name for people.", null=True),
    "status": {"type": "string", "enum": list(_STATUSES), "description": "Where the image is in its life."},
    "visibility": {"type": "string", "enum": list(VISIBILITIES), "description": "Which projects see the image."},
    "protected": {"type": "boolean", "description": "Whether the image is safe from being deleted."},
    "os_hidden": {"type": "boolean", "description": "Whether lists leave the image out unless asked."},
    "owner": _text("The project the image belongs to.", null=True) | {"pattern": _UUID},
    "disk_format": {"type": ["null", "string"], "enum": [None, *DISK_FORMATS],
                    "description": "The format of the disk."},
    "container_format": {"type": ["null", "string"], "enum": [None, *CONTAINER_FORMATS],
                         "description": "The format of what the disk is wrapped in."},
    "min_disk": _amount("The smallest disk to boot from it, GiB."),
    "min_ram": _amount("The least memory to boot it, MiB."),
    "size": _size("The size of the data, bytes."),
    "virtual_size": _size("The size of the disk in the data, bytes."),
    "checksum": _text("The data's MD5.", 32, null=True),
    "os_hash_algo": _text("The algorithm of os_hash_value.", 64, null=True),
    "os_hash_value": _text("The data's digest.", 128, null=True),
    "created_at": _text("When the record was written."),
    "updated_at": _text("When the record was last changed."),
    "tags": _TAGS,
    "self": _text("The image's path."),
    "file": _text("The path of its data."),
    "schema": _text("The path of this schema."),
    "stores": _text("The stores that hold the data, separated by commas."),
}
for _name in READ_ONLY - {"id"}:
    if _name in IMAGE_PROPERTIES:
        IMAGE_PROPERTIES[_name]["readOnly"] = True

_IMAGE: dict[str, Any] = {
    "name": "image", "properties": IMAGE_PROPERTIES, "additionalProperties": {"type": "string"},
    "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"},
              {"rel": "describedby", "href": "{schema}"}],
}
_MEMBER: dict[str, Any] = {
    "name": "member",
    "properties": {
        "member_id": _text("The project the image is shared with."),
        "image_id": {"type": "string", "pattern": _UUID, "description": "The image."},
        "status": {"type": "string", "enum": list(STATUSES), "description": "The project's answer."},
        "created_at": _text("When it was shared."), "updated_at": _text("When that was last changed."),
        "schema": _text("The path of this schema."),
    },
}


def _list_of(item: dict[str, Any], name: str) -> dict[str, Any]:
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
             {"rel": "describedby", "href": "{schema}"}]
    return {"name": name, "links": links, "properties": {
        name: {"type": "array", "items": item}, "schema": {"type": "string"}, "first": {"type": "string"},
        "next": {"type": "string"}}}


DOCUMENTS = {"image": _IMAGE, "images": _list_of(_IMAGE, "images"), "member": _MEMBER,
             "members": _list_of(_MEMBER, "members")}

# Read-only names are let through here: the verb refuses them with 403, as the reference says.
_WRITABLE = {name: rule for name, rule in IMAGE_PROPERTIES.items() if name not in READ_ONLY or name == "id"}
_OPEN = {name: True for name in READ_ONLY | {"locations", "location", "deleted", "deleted_at"} if name != "id"}
validate_image = compile_schema({
    "type": "object", "properties": {**_WRITABLE, **_OPEN},
    "additionalProperties": {"type": "string", "maxLength": 65535, "pattern": _PRINTABLE},
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r'^[^"\\\x00]*$'},
})
validate_member = compile_schema({
    "type": "object", "required": ["member"], "properties": {"member": {"type": "string", "minLength": 1}}})
validate_answer = compile_schema({
    "type": "object", "required": ["status"], "properties": {"status": {"enum": list(STATUSES)}}})
validate_import = compile_schema({
    "type": "object", "required": ["method"], "properties": {
        "method": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "stores": {"type": "array", "items": {"type": "string"}},
        "all_stores": {"type": "boolean"}, "all_stores_must_succeed": {"type": "boolean"}}})


class Schema:
    """One published schema."""

    def on_get(self, _request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Show the schema; raises NotFound."""
        if name not in DOCUMENTS:
            raise errors.NotFound(resource="Schema", id=name)
        response.media = DOCUMENTS[name]
