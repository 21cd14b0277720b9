"""Sharing: the projects an image is shared with, and their answers."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.image.access import find, find_for, target_of
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, ImageMember

MAX_MEMBERS = 128
STATUSES = ("pending", "accepted", "rejected")


def list_members(services: Services, context: RequestContext, image_id: str) -> Sequence[ImageMember]:
    """Return the members the caller sees: all for the image's owner, itself for a member."""
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "get_members")
        _must_be_shared(image)
        query = sa.select(ImageMember).where(ImageMember.image_id == image.id)
        if not _owns(services, context, image):
            query = query.where(ImageMember.project_id == context.project_id)
        return session.scalars(query.order_by(ImageMember.created_at, ImageMember.project_id)).all()


def show_member(services: Services, context: RequestContext, image_id: str, member_id: str) -> ImageMember:
    """Return one member; raises NotFound, also for members the caller does not see."""
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "get_members")
        return _member(services, session, context, image, member_id)


def add_member(services: Services, context: RequestContext, image_id: str, member_id: str) -> ImageMember:
    """Share a shared image with a project; raises Forbidden for other visibilities, NotUnique, TooLarge."""
    project_id = ids.canonical(member_id)
    if project_id is None:
        raise errors.InvalidField(field="member", value=member_id, reason="It must be a project id.")

    def work(session: orm.Session) -> ImageMember:
        services.db.lock_row(session, Image, Image.id == ids.canonical(image_id))
        image = find_for(session, services.policy, context, image_id, "add_member")
        _must_be_shared(image)
        count = session.scalar(sa.select(sa.func.count()).select_from(ImageMember)
                               .where(ImageMember.image_id == image.id)) or 0
        if count >= MAX_MEMBERS:
            raise errors.TooLarge(reason=f"an image has at most {MAX_MEMBERS} members")
        member = ImageMember(image_id=image.id, project_id=project_id, status="pending")
        session.add(member)
        session.flush()
        return member

    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise errors.NotUnique(resource=f"Image {image_id} member", id=member_id) from error


def answer_member(services: Services, context: RequestContext, image_id: str, member_id: str,
                  status: str) -> ImageMember:
    """Write a project's answer to an image shared with it; only that project may."""

    def work(session: orm.Session) -> ImageMember:
        image = find(session, services.policy, context, image_id)
        member = _member(services, session, context, image, member_id)
        services.policy.check(context, "modify_member", target_of(image, member_id=member.project_id))
        member.status = status
        return member

    return services.db.write(work)


def remove_member(services: Services, context: RequestContext, image_id: str, member_id: str) -> None:
    """Stop sharing an image with a project; raises NotFound."""

    def work(session: orm.Session) -> None:
        image = find_for(session, services.policy, context, image_id, "delete_member")
        _must_be_shared(image)
        session.delete(_member(services, session, context, image, member_id))

    services.db.write(work)


def _member(services: Services, session: orm.Session, context: RequestContext, image: Image,
            member_id: str) -> ImageMember:
    project_id = ids.canonical(member_id)
    seen = _owns(services, context, image) or project_id == context.project_id
    member = session.get(ImageMember, (image.id, project_id)) if project_id is not None and seen else None
    if member is None:
        raise errors.NotFound(resource=f"Image {image.id} member", id=member_id)
    return member


def _owns(services: Services, context: RequestContext, image: Image) -> bool:
    owns = image.project_id is not None and image.project_id == context.project_id
    return owns or services.policy.is_admin(context)


def _must_be_shared(image: Image) -> None:
    if image.visibility != "shared":
        raise errors.Forbidden("Only shared images have members.")
