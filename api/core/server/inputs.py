"""Looks up the parts of a new server and checks that they fit together, before anything is written."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.catalog import flavors
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import (
    Aggregate,
    Flavor,
    Host,
    Image,
    ImageMember,
    KeyPair,
    Server,
    ServerGroup,
    ServerGroupMember,
    Zone,
)
from hostler.images.inspect import WRAPPED
from hostler.resources import quota

# Built once, for every create.
_ANY_IMAGE = sa.select(Image).where(Image.id == sa.bindparam("image"), Image.deleted_at.is_(None))
_VISIBLE_IMAGE = _ANY_IMAGE.where(sa.or_(
    Image.visibility.in_(("public", "community")), Image.project_id == sa.bindparam("project"),
    sa.and_(Image.visibility == "shared", sa.exists().where(
        ImageMember.image_id == Image.id, ImageMember.project_id == sa.bindparam("project")))))

_GIB = 1024 ** 3
_NAME_LENGTH = 255
_LABEL_LENGTH = 63
_MAX_HINTS_LENGTH = 16384


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where a server must run: in a zone, on a named host, or anywhere."""

    zone: str | None = None
    host: str | None = None


def usable_image(session: orm.Session, context: RequestContext, image_id: str, *, empty: bool = False) -> Image:
    """Return an image the caller may boot from, with `empty` also one without content; raises Invalid."""
    identifier = ids.canonical(image_id)
    found = _ANY_IMAGE if context.is_admin else _VISIBLE_IMAGE
    asked = {"image": identifier, "project": context.project_id}
    image = session.scalars(found, asked).one_or_none() if identifier is not None else None
    if image is None:
        raise errors.Invalid(reason="Can not find requested image")
    if image.status != "active":
        raise errors.Invalid(reason=f"Image {image.id} is not active.")
    if not empty:
        check_content(image)
    if image.container_format in WRAPPED:
        raise errors.Invalid(reason=f"Image {image.id} is unacceptable: no server boots from a disk in a container of "
                                    f"format {image.container_format}.")
    return image


def check_content(image: Image) -> None:
    """Raise Invalid for an image that names snapshots of volumes in place of content."""
    if image.sha256 is None:
        raise errors.Invalid(reason=f"Image {image.id} is unacceptable: it has no content, it names snapshots of a "
                                    "server's volumes.")


def check_fit(image: Image, flavor: Flavor | Server) -> None:
    """Raise Invalid when the flavor is too small for the image; a root disk of 0 GiB takes the image's size."""
    check_memory(image, flavor)
    if not flavor.root_gib:
        return
    room = flavor.root_gib * _GIB
    needed = max(image.virtual_size_bytes or 0, image.size_bytes or 0)
    if needed > room:
        raise errors.Invalid(reason=f"Flavor's disk is too small for requested image. Flavor disk is {room} bytes, "
                                    f"image is {needed} bytes.")
    if image.min_disk_gib > flavor.root_gib:
        raise errors.Invalid(reason=f"Flavor's disk is smaller than the minimum size specified in image metadata. "
                                    f"Flavor disk is {room} bytes, minimum size is {image.min_disk_gib * _GIB} bytes.")


def check_memory(image: Image, flavor: Flavor | Server) -> None:
    """Raise Invalid when the flavor has less memory than the image needs."""
    if flavor.ram_mib < image.min_ram_mib:
        raise errors.Invalid(reason="Flavor's memory is too small for requested image.")


def usable_flavor(session: orm.Session, context: RequestContext, flavor_id: str) -> Flavor:
    """Return a flavor the caller may use; raises Invalid."""
    try:
        flavor = flavors.find(session, context, flavor_id)
    except errors.NotFound as error:
        raise errors.Invalid(reason=str(error)) from None
    if flavor.disabled:
        raise errors.Invalid(reason=f"Flavor {flavor_id} could not be found.")
    return flavor


def public_key(session: orm.Session, context: RequestContext, name: str) -> str:
    """Return the text of one of the caller's keys; raises Invalid."""
    key: str | None = session.scalar(sa.select(KeyPair.public_key).where(
        KeyPair.user_id == context.user_id, KeyPair.name == name))
    if key is None:
        raise errors.Invalid(reason="Invalid key_name provided.")
    return key


def placement(services: Services, session: orm.Session, context: RequestContext, *, zone: str | None,
              host: str | None, hypervisor_hostname: str | None) -> Placement:
    """Return where the server must run, from `zone[:host[:node]]` and the named host; raises Invalid, Forbidden."""
    zone, _, rest = (zone or "").partition(":")
    named, _, node = rest.partition(":")
    if named or node:
        services.policy.check(context, "os_compute_api:servers:create:forced_host")
    if host or hypervisor_hostname:
        services.policy.check(context, "compute:servers:create:requested_destination")
        if named or node:
            raise errors.Invalid(reason="A host may be named in the availability zone or by itself, not in both ways.")
        named, node = host or "", hypervisor_hostname or ""
    if zone and not _zone_exists(session, zone):
        raise errors.Invalid(reason="The requested availability zone is not available")
    if not (named or node):
        return Placement(zone or None)
    query = sa.select(Host.name)
    if named:
        query = query.where(Host.name == named)
    if node:
        query = query.where(Host.hypervisor_hostname == node)
    found = session.scalars(query).first()
    if found is None:
        raise errors.Invalid(reason=f"Compute host {named or node} could not be found.")
    return Placement(zone or None, found)


def _zone_exists(session: orm.Session, name: str) -> bool:
    # Storage has zones, too; a zone without hosts cannot hold servers.
    stands = sa.exists().where(Zone.name == name, Host.zone_id == Zone.id)
    known = sa.select(sa.literal(1)).where(sa.or_(stands,
                                                  sa.exists().where(Aggregate.availability_zone == name)))
    return session.scalar(known) is not None


def group_for(services: Services, session: orm.Session, context: RequestContext, group_id: str,
              count: int) -> ServerGroup:
    """Return a server group with room for `count` more, held till the transaction ends; raises Invalid, Forbidden."""
    identifier = ids.canonical(group_id)
    query = sa.select(ServerGroup).where(ServerGroup.id == identifier)
    if not context.is_admin:
        query = query.where(ServerGroup.project_id == context.project_id)
    group = session.scalars(query).one_or_none() if identifier is not None else None
    if group is None:
        raise errors.Invalid(reason=f"Instance group {group_id} could not be found.")
    services.db.lock_row(session, ServerGroup, ServerGroup.id == group.id)
    limit = quota.limits(session, services.conf, group.project_id)["server_group_members"]
    members = session.scalar(sa.select(sa.func.count()).select_from(ServerGroupMember)
                             .where(ServerGroupMember.group_id == group.id)) or 0
    if limit != quota.UNLIMITED and members + count > limit:
        raise errors.Forbidden("Quota exceeded, too many servers in group", action="os_compute_api:servers:create")
    return group


def hostname_of(name: str, server_id: str) -> str:
    """Return a host name made of a server's name: letters, digits, hyphens and dots.

    >>> hostname_of("My Web_1!", "42")
    'my-web-1'
    """
    cleaned = re.sub(r"[^a-z0-9.-]", "", re.sub(r"[ _]", "-", name.lower())).strip(".-")[:63].strip(".-")
    return cleaned or f"server-{server_id}"


def numbered(text: str, suffix: str, maximum: int = _NAME_LENGTH) -> str:
    """Return `text` with a suffix, cut so that both have at most `maximum` characters.

    >>> numbered("abcdef", "-1", 5)
    'abc-1'
    """
    return text[:maximum - len(suffix)] + suffix if suffix else text


def numbered_host(hostname: str, suffix: str) -> str:
    """Return a host name with a suffix to its last label, cut so that label and name are no longer than DNS allows."""
    before, dot, label = hostname.rpartition(".")
    room = min(_LABEL_LENGTH, _NAME_LENGTH - len(before + dot)) - len(suffix)
    if room < 1:
        raise errors.InvalidField(field="hostname", value=hostname, reason="It is too long for several servers.")
    return before + dot + label[:room].rstrip("-") + suffix if suffix else hostname


def flavor_copy(flavor: Flavor) -> dict[str, Any]:
    """Return what a server keeps of its flavor besides the sizes."""
    return {"flavorid": flavor.flavorid, "name": flavor.name, "extra_specs": dict(flavor.extra_specs),
            "disabled": flavor.disabled, "is_public": flavor.is_public, "rxtx_factor": flavor.rxtx_factor}


def hint_list(hints: dict[str, Any], name: str) -> list[str]:
    """Return a hint that may be one value or several."""
    value = hints.get(name)
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def check_hints(session: orm.Session, context: RequestContext, hints: dict[str, Any]) -> dict[str, Any]:
    """Return the hints with server ids in our spelling.

    Raises Invalid for a server that is not the caller's, and for more than every server should keep a copy of.
    """
    if len(str(hints)) > _MAX_HINTS_LENGTH:
        raise errors.InvalidField(field="os:scheduler_hints", value=str(hints)[:80],
                                  reason=f"Hints have at most {_MAX_HINTS_LENGTH} characters.")
    checked = dict(hints)
    for name in ("same_host", "different_host"):
        wanted = hint_list(hints, name)
        if not wanted:
            continue
        identifiers = [ids.canonical(item) for item in wanted]
        query = sa.select(sa.func.count()).select_from(Server).where(
            Server.id.in_([item for item in identifiers if item]), Server.deleted_at.is_(None))
        if not context.is_admin:
            query = query.where(Server.project_id == context.project_id)
        if None in identifiers or session.scalar(query) != len(set(identifiers)):
            raise errors.Invalid(reason=f"The scheduler hint {name} names a server that could not be found.")
        checked[name] = identifiers
    return checked
