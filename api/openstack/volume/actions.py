"""POST /volumes/{id}/action: one row for each published action, saying what its argument looks like and what it does.

Actions that this cloud does not have are known by name and answered with 501; unknown ones with 400.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import (
    actions as volume_actions,
)
from api.core.volume import (
    flags as volume_flags,
)
from api.core.volume import (
    legacy_attach as volume_old_attach,
)
from api.core.volume import (
    metadata as volume_metadata,
)
from api.core.volume import (
    reimage as volume_reimage,
)
from api.core.volume import (
    upload as volume_upload,
)
from api.core.volume import (
    volumes,
)
from api.core.volume.upload import Upload
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from api.openstack.volume.microversion import ALWAYS, Span, Version, since, until
from api.services import Services
from hostler import clock, errors
from hostler.context import RequestContext
from hostler.resources.volume import states as volume_states

_ADMIN: Final = "volume_extension:volume_admin_actions:"
_OLD: Final = "volume_extension:volume_actions:"


@dataclasses.dataclass(frozen=True)
class Call:
    """One action asked for."""

    services: Services
    context: RequestContext
    volume_id: str
    argument: Any
    version: Version

    @property
    def target(self) -> tuple[Services, RequestContext, str]:
        """What every verb of the core begins with."""
        return self.services, self.context, self.volume_id


Act = Callable[[Call], Any]


@dataclasses.dataclass(frozen=True)
class Action:
    """What one action takes and does; an answer that is not None is the response's body. `status` is its success."""

    act: Act
    argument: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    span: Span = ALWAYS
    status: int = 202


def _members(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_ONLINE: Final = since(42)


def _extend(call: Call) -> None:
    volume_actions.extend(*call.target, schema.number_in(call.argument, "new_size", 0, 1),
                          attached=call.version in _ONLINE)


def _retype(call: Call) -> None:
    volume_actions.retype(*call.target, call.argument["new_type"],
                          call.argument.get("migration_policy") or volume_actions.NEVER)


def _migrate(call: Call) -> None:
    if call.argument.get("cluster"):
        raise errors.Invalid(reason="There are no clusters in this cloud: name a host.")
    volume_actions.migrate(*call.target, call.argument.get("host") or None)


def _revert(call: Call) -> None:
    volume_actions.revert(*call.target, call.argument.get("snapshot_id"))


def _reimage(call: Call) -> None:
    volume_reimage.reimage(*call.target, call.argument["image_id"],
                           reserved=schema.truth(call.argument.get("reimage_reserved", False)))


def _set_readonly(call: Call) -> None:
    volume_flags.set_readonly(*call.target, schema.truth(call.argument["readonly"]))


def _set_bootable(call: Call) -> None:
    volume_flags.set_bootable(*call.target, schema.truth(call.argument["bootable"]))


def _reset_status(call: Call) -> None:
    if not any(call.argument.values()):
        raise errors.Invalid(reason="Must specify 'status', 'attach_status' or 'migration_status' in the request.")
    status = call.argument.get("status")
    volume_flags.reset_status(*call.target, status.lower() if status else None, call.argument.get("attach_status"),
                              call.argument.get("migration_status"))


def _begin_detaching(call: Call) -> None:
    volume_flags.begin_detaching(*call.target)


def _roll_detaching(call: Call) -> None:
    volume_flags.roll_detaching(*call.target)


def _force_delete(call: Call) -> None:
    volumes.delete(*call.target, force=_ADMIN + "force_delete")


def _upload(call: Call) -> dict[str, Any]:
    wanted = Upload(
        name=call.argument["image_name"], disk_format=call.argument.get("disk_format", "raw"),
        container_format=call.argument.get("container_format") or "bare",
        visibility=call.argument.get("visibility", "private" if call.version in since(1) else "shared"),
        protected=schema.truth(call.argument.get("protected", False)))
    row, image_id = volume_upload.upload(*call.target, wanted)
    shown = {
        "id": row.id, "updated_at": clock.iso_micro(row.updated_at), "status": row.status,
        "display_description": row.description, "size": row.size_gib,
        "volume_type": None if row.type_name is None else {"id": row.volume_type_id, "name": row.type_name},
        "image_id": image_id, "container_format": wanted.container_format, "disk_format": wanted.disk_format,
        "image_name": wanted.name}
    if call.version in since(1):
        shown.update(visibility=wanted.visibility, protected=wanted.protected)
    return {"os-volume_upload_image": shown}


def _set_image_metadata(call: Call) -> dict[str, Any]:
    return {"metadata": volume_metadata.set_image_metadata(*call.target, call.argument["metadata"])}


def _unset_image_metadata(call: Call) -> None:
    volume_metadata.unset_image_metadata(*call.target, call.argument["key"])


def _show_image_metadata(call: Call) -> dict[str, Any]:
    return {"metadata": volume_metadata.image_metadata(*call.target)}


def _reserve(call: Call) -> None:
    volume_old_attach.reserve(*call.target)


def _unreserve(call: Call) -> None:
    volume_old_attach.unreserve(*call.target)


def _attach(call: Call) -> None:
    said = call.argument
    volume_old_attach.attach(*call.target, volume_old_attach.Attachment(
        instance_id=said.get("instance_uuid"), host=said.get("host_name"), device=said["mountpoint"],
        mode=said.get("mode", "rw")))


def _detach(policy: str, *, forced: bool = False) -> Act:
    def act(call: Call) -> None:
        volume_old_attach.detach(*call.target, (call.argument or {}).get("attachment_id"), action=policy, forced=forced)
    return act


def _missing(policy: str, what: str) -> Act:
    def act(call: Call) -> None:
        volumes.authorised(*call.target, policy)
        raise errors.NotImplementedHere(feature=what)
    return act


def _own_affair(policy: str, what: str) -> Act:
    """Only this cloud's own services do this."""
    def act(call: Call) -> None:
        volumes.authorised(*call.target, policy)
        raise errors.Invalid(reason=f"{what} is completed by this cloud itself; nothing can be reported for volume "
                                    f"{call.volume_id}.")
    return act


_TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"], "maxLength": 255}
_CONNECTOR: Final = _members(("connector",), connector={"type": ["object", "string", "null"]})
_STATUS: Final[dict[str, Any]] = {"anyOf": [{"type": "null"}, {"enum": [
    spelt for status in volume_states.SETTABLE for spelt in (status, status.upper())]}]}
_IMAGE_METADATA: Final[dict[str, Any]] = {**schema.METADATA, "additionalProperties": {
    "type": "string", "maxLength": 65535, "pattern": r"^[^\x00]*$"}}
_UPLOAD: Final[dict[str, Any]] = {
    "image_name": schema.TEXT, "force": schema.BOOLEAN, "disk_format": {"type": "string", "maxLength": 32},
    "container_format": _TEXT_OR_NULL}
_UPLOAD_SINCE_1: Final[dict[str, Any]] = {
    **_UPLOAD, "protected": schema.BOOLEAN, "visibility": {"enum": ["community", "public", "private", "shared"]}}
_OLD_WAY: Final = "{} (use attachments, microversion 3.27)"

# A name may stand for several forms of an action, in different versions.
ACTIONS: Final[Mapping[str, tuple[Action, ...]]] = {
    "os-extend": (Action(_extend, _members(("new_size",), new_size=schema.whole_number(1))),),
    "os-retype": (Action(_retype, _members(("new_type",), new_type=schema.TEXT, migration_policy={
        "enum": ["on-demand", "never", None]})),),
    "os-migrate_volume": (
        Action(_migrate, _members(("host",), host=schema.TEXT, force_host_copy=schema.BOOLEAN,
                                  lock_volume=schema.BOOLEAN), until(15)),
        Action(_migrate, _members(host=_TEXT_OR_NULL, force_host_copy=schema.BOOLEAN, lock_volume=schema.BOOLEAN,
                                  cluster=_TEXT_OR_NULL), since(16))),
    "os-migrate_volume_completion": (Action(
        _own_affair(_ADMIN + "migrate_volume_completion", "A migration"),
        _members(("new_volume",), new_volume=schema.UUID, error={"type": ["string", "null", "boolean"]})),),
    "os-extend_volume_completion": (Action(
        _own_affair("volume:extend_volume_completion", "An extension"),
        _members(error={"type": ["string", "null", "boolean"]}), since(71)),),
    "revert": (Action(_revert, {"type": "object", "properties": {"snapshot_id": _TEXT_OR_NULL}}, since(40)),),
    "os-update_readonly_flag": (Action(_set_readonly, _members(("readonly",), readonly=schema.BOOLEAN)),),
    "os-set_bootable": (Action(_set_bootable, _members(("bootable",), bootable=schema.BOOLEAN), status=200),),
    "os-reset_status": (Action(_reset_status, _members(
        status=_STATUS, attach_status={"enum": ["attached", "detached", None]}, migration_status=_TEXT_OR_NULL)),),
    "os-force_delete": (Action(_force_delete),),
    "os-volume_upload_image": (Action(_upload, _members(("image_name",), **_UPLOAD), until(0)),
                               Action(_upload, _members(("image_name",), **_UPLOAD_SINCE_1), since(1))),
    "os-set_image_metadata": (Action(_set_image_metadata, _members(("metadata",), metadata=_IMAGE_METADATA),
                                     status=200),),
    "os-unset_image_metadata": (Action(_unset_image_metadata, _members(("key",), key=schema.TEXT), status=200),),
    "os-show_image_metadata": (Action(_show_image_metadata, status=200),),
    "os-force_detach": (Action(_detach(_ADMIN + "force_detach", forced=True), _members(
        connector={"type": ["object", "string", "null"]}, attachment_id=schema.ID_OR_NULL)),),
    "os-detach": (Action(_detach(_OLD + "detach"), {**_members(attachment_id=schema.ID_OR_NULL),
                                                    "type": ["object", "null"]}),),
    "os-reserve": (Action(_reserve),), "os-unreserve": (Action(_unreserve),),
    "os-attach": (Action(_attach, {
        **_members(("mountpoint",), instance_uuid=schema.UUID, host_name=schema.TEXT, mode={"enum": ["rw", "ro"]},
                   mountpoint={**schema.TEXT, "minLength": 1, "maxLength": 64}),
        "anyOf": [{"required": ["instance_uuid"]}, {"required": ["host_name"]}]}),),
    "os-begin_detaching": (Action(_begin_detaching),), "os-roll_detaching": (Action(_roll_detaching),),
    "os-initialize_connection": (Action(_missing(
        _OLD + "initialize_connection", _OLD_WAY.format("os-initialize_connection")), _CONNECTOR),),
    "os-terminate_connection": (Action(_missing(
        _OLD + "terminate_connection", _OLD_WAY.format("os-terminate_connection")), _CONNECTOR),),
    "os-unmanage": (Action(_missing(
        "volume_extension:volume_unmanage", "Forgetting a volume and leaving it on its back end")),),
    "os-reimage": (Action(_reimage, _members(("image_id",), image_id=schema.UUID, reimage_reserved=schema.BOOLEAN),
                          since(68)),),
}


@functools.cache
def _validator(name: str, index: int) -> bodies.Validator:
    argument = ACTIONS[name][index].argument
    return bodies.compile_schema({"type": "object", "properties": {name: argument}, "additionalProperties": False})


class VolumeAction(Resource):
    """POST /volumes/{id}/action."""

    def on_post(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Do it, or accept it."""
        body = bodies.read_json(request)
        if not isinstance(body, dict) or len(body) != 1:
            raise errors.Invalid(reason="Malformed request body: exactly one action is expected.")
        ((name, argument),) = body.items()
        version = request.context.version
        forms = ACTIONS.get(name, ())
        index = next((index for index, form in enumerate(forms) if version in form.span), None)
        if index is None:
            raise errors.Invalid(reason=f"There is no such action: {name[:80]}")
        _validator(name, index)(body)
        action = forms[index]
        answer = action.act(Call(self.services, params.caller(request), volume_id, argument, version))
        response.status = action.status
        if answer is not None:
            response.media = answer


ROUTES = (("/volumes/{volume_id}/action", VolumeAction),)
