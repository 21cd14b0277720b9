"""Image verbs: create, show, change, delete, deactivate, tag. Data is in `data`, lists are in `list`.

Each change is one transaction and needs no operation, since it affects nothing but the database and the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.image.access import TaggedImage, find_for, policy_project, tags_of
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, ImageTag
from hostler.images import claims, statuses
from hostler.images.moves import IMAGE
from hostler.images.uploads import is_referenced
from hostler.resources import quota

MAX_TAGS = 128
MAX_PROPERTIES = 128
MAX_PROPERTIES_LENGTH = 131072  # names and values; each server made from the image keeps a copy
VISIBILITIES = ("public", "private", "shared", "community")
# Published attribute → column, for what callers may change.
WRITABLE: Mapping[str, str] = {
    "name": "name", "visibility": "visibility", "protected": "protected", "os_hidden": "os_hidden",
    "disk_format": "disk_format", "container_format": "container_format", "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib", "owner": "project_id",
}
READ_ONLY = frozenset({
    "id", "status", "created_at", "updated_at", "checksum", "size", "virtual_size", "os_hash_algo", "os_hash_value",
    "direct_url", "self", "file", "schema", "stores",
})
RESERVED = frozenset({"location", "locations", "deleted", "deleted_at"})
ATTRIBUTES = frozenset({*WRITABLE, *READ_ONLY, *RESERVED, "tags"})
RESERVED_PREFIX = "os_glance"  # names with which the reference's service writes notes of its own
SIGNATURE_PREFIX = "img_signature"  # of what says by which certificate an image's data is to be verified
_FORMATS = ("disk_format", "container_format")


@dataclasses.dataclass(frozen=True)
class Change:
    """One step of a PATCH: `name` is an attribute, `tags` or a property; the value's form was checked."""

    verb: Literal["add", "replace", "remove"]
    name: str
    value: Any = None


def create_image(services: Services, context: RequestContext, attributes: Mapping[str, Any]) -> TaggedImage:
    """Write a queued image from published attributes; any other name becomes a property.

    Raises NotUnique when the given id is taken, QuotaExceeded, Forbidden for read-only attributes and for what the
    policy reserves, NotImplementedHere for signatures.
    """
    for name in attributes:
        _refuse_read_only(name, allowed=("id",))
        _refuse_signature(name)
    owner = ids.canonical(attributes["owner"]) if attributes.get("owner") else context.project_id
    services.policy.check(context, "add_image", {"project_id": policy_project(owner)})
    if owner != context.project_id:
        services.policy.check(context, "set_image_owner", {"project_id": policy_project(owner)})
    values = {column: attributes[name] for name, column in WRITABLE.items() if name in attributes}
    values.update(id=ids.canonical(attributes["id"]) if attributes.get("id") else ids.new_id(), project_id=owner,
                  name=attributes.get("name") or "", visibility=attributes.get("visibility", "shared"))
    _check_visibility(services, context, values["visibility"], owner)
    known = {*WRITABLE, *READ_ONLY, "tags"}
    properties = {name: value for name, value in attributes.items() if name not in known}
    tags = sorted(set(attributes.get("tags", ())))
    check_counts(properties, tags)

    def work(session: orm.Session) -> Image:
        if owner is not None:
            quota.claim(services.db, session, services.conf, owner, {"images": 1})
        image = Image(**values, properties=properties)
        session.add(image)
        session.flush()
        session.add_all([ImageTag(image_id=image.id, tag=tag) for tag in tags])
        return image

    try:
        return TaggedImage(services.db.write(work), tuple(tags))
    except exc.IntegrityError as error:
        raise _explained(services, values["id"], error) from error


def show_image(services: Services, context: RequestContext, image_id: str) -> TaggedImage:
    """Return one image; raises NotFound."""
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "get_image")
        return TaggedImage(image, tuple(tags_of(session, [image.id])[image.id]))


def update_image(services: Services, context: RequestContext, image_id: str,
                 changes: Sequence[Change]) -> TaggedImage:
    """Apply all of `changes`, in order, or none."""

    def work(session: orm.Session) -> TaggedImage:
        image = lock(services, session, context, image_id, "modify_image")
        tags = set(tags_of(session, [image.id])[image.id])
        wanted = set(tags)
        image.properties = dict(image.properties)  # SQLAlchemy does not notice a change inside the map
        for change in changes:
            if change.name == "tags":
                wanted = set() if change.verb == "remove" else set(change.value)
            elif change.name in WRITABLE:
                _set_attribute(services, session, context, image, change)
            else:
                _set_property(image, change)
        check_counts(image.properties, wanted)
        session.execute(sa.delete(ImageTag).where(ImageTag.image_id == image.id, ImageTag.tag.in_(tags - wanted)))
        session.add_all([ImageTag(image_id=image.id, tag=tag) for tag in sorted(wanted - tags)])
        image.updated_at = clock.utcnow()
        return TaggedImage(image, tuple(sorted(wanted)))

    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise _explained(services, image_id, error) from error


def delete_image(services: Services, context: RequestContext, image_id: str) -> None:
    """Delete an image and, when nothing else refers to it, its data. Servers made from it keep running."""

    def work(session: orm.Session) -> Image:
        image = lock(services, session, context, image_id, "delete_image")
        if image.protected:
            raise errors.Forbidden(f"Image {image.id} is protected and cannot be deleted.")
        IMAGE.move(session, image.id, statuses.DELETED, {"deleted_at": clock.utcnow()})
        return image

    image = services.db.write(work)
    services.images.unstage(image.id)
    if image.sha256 is not None:
        services.images.remove(image.sha256, is_referenced(services.db))


def set_active(services: Services, context: RequestContext, image_id: str, *, active: bool) -> None:
    """Reactivate or deactivate an image; raises Forbidden unless it is active or deactivated. May be repeated."""
    action = "reactivate" if active else "deactivate"

    def work(session: orm.Session) -> None:
        image = lock(services, session, context, image_id, action)
        if image.status not in (statuses.ACTIVE, statuses.DEACTIVATED):
            raise errors.Forbidden(f"Not allowed to {action} image in status '{image.status}'.")
        IMAGE.move(session, image.id, statuses.ACTIVE if active else statuses.DEACTIVATED)

    services.db.write(work)


def set_tag(services: Services, context: RequestContext, image_id: str, tag: str, *, present: bool) -> None:
    """Add or remove one tag; adding one that is there is fine, removing one that is not raises NotFound."""

    def work(session: orm.Session) -> None:
        image = lock(services, session, context, image_id, "modify_image")
        tags = tags_of(session, [image.id])[image.id]
        if present and tag not in tags:
            check_counts({}, [*tags, tag])
            session.add(ImageTag(image_id=image.id, tag=tag))
        elif not present:
            if tag not in tags:
                raise errors.NotFound(resource="Tag", id=tag)
            session.execute(sa.delete(ImageTag).where(ImageTag.image_id == image.id, ImageTag.tag == tag))
        image.updated_at = clock.utcnow()

    services.db.write(work)


def lock(services: Services, session: orm.Session, context: RequestContext, image_id: str, action: str) -> Image:
    """Return the image, held until the transaction ends, so that two changes do not overwrite each other."""
    # Lock, then read: MariaDB answers reads from the moment of the transaction's first one.
    services.db.lock_row(session, Image, Image.id == ids.canonical(image_id))
    return find_for(session, services.policy, context, image_id, action)


def _set_attribute(services: Services, session: orm.Session, context: RequestContext, image: Image,
                   change: Change) -> None:
    if change.verb == "remove":
        raise errors.Forbidden(f"Property {change.name} may not be removed.")
    value = change.value
    if change.name in _FORMATS and image.status != "queued" and value != getattr(image, change.name):
        raise errors.Forbidden(f"Attribute {change.name} can be only replaced for a queued image.")
    if change.name == "visibility" and value != image.visibility:
        _check_visibility(services, context, value, image.project_id)
    if change.name == "owner":
        value = ids.canonical(value) if value else None
        if value == image.project_id:
            return
        services.policy.check(context, "set_image_owner", {"project_id": policy_project(value)})
        if value is not None:
            quota.claim(services.db, session, services.conf, value, {
                "images": 1, claims.SIZE: claims.mib(image.size_bytes or image.claimed_bytes or 0)})
    if change.name == "name":
        value = value or ""
    setattr(image, WRITABLE[change.name], value)


def _set_property(image: Image, change: Change) -> None:
    _refuse_read_only(change.name)
    if change.verb != "add" and change.name not in image.properties:
        raise errors.Conflict(reason=f"Property {change.name} does not exist.")
    if change.verb == "remove":
        del image.properties[change.name]
    else:
        _refuse_signature(change.name)
        image.properties[change.name] = change.value


def _check_visibility(services: Services, context: RequestContext, visibility: str, owner: str | None) -> None:
    if visibility == "public":
        services.policy.check(context, "publicize_image", {"project_id": policy_project(owner)})
    elif visibility == "community":
        services.policy.check(context, "communitize_image", {"project_id": policy_project(owner)})


def _refuse_read_only(name: str, allowed: Collection[str] = ()) -> None:
    if name in READ_ONLY and name not in allowed:
        raise errors.Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise errors.Forbidden(f"Attribute '{name}' is reserved.")


def _refuse_signature(name: str) -> None:
    # Who signs an image relies on a refusal of what does not match: to keep a signature unread would deceive.
    if name.startswith(SIGNATURE_PREFIX):
        raise errors.NotImplementedHere(feature="Verification of image signatures")


def check_names(names: Collection[str]) -> None:
    """Raise InvalidField for names of attributes, Forbidden for those that are read-only or reserved,
    NotImplementedHere for signatures."""
    for name in names:
        _refuse_read_only(name)
        _refuse_signature(name)
        if name in ATTRIBUTES:
            raise errors.InvalidField(field="metadata", value=name, reason="It is an attribute of every image.")


def check_counts(properties: Mapping[str, Any], tags: Collection[str]) -> None:
    """Raise TooLarge for more properties or tags than an image may have."""
    if len(properties) > MAX_PROPERTIES:
        raise errors.TooLarge(reason=f"an image has at most {MAX_PROPERTIES} properties")
    if sum(len(name) + len(str(value)) for name, value in properties.items()) > MAX_PROPERTIES_LENGTH:
        raise errors.TooLarge(reason=f"an image's properties have at most {MAX_PROPERTIES_LENGTH} characters together")
    if len(tags) > MAX_TAGS:
        raise errors.TooLarge(reason=f"an image has at most {MAX_TAGS} tags")


def _explained(services: Services, image_id: str, error: exc.IntegrityError) -> Exception:
    """Return what a failed insert means: the id is taken, or the owner is not a project."""
    with services.db.reading() as session:
        taken = session.scalar(sa.select(Image.id).where(Image.id == image_id)) is not None
    if taken:
        return errors.NotUnique(resource="Image", id=image_id)
    return errors.Invalid(reason="The owner is not a project of this cloud.") if "FOREIGN" in str(
        error.orig).upper() else error
