"""Who sees which image.

Everybody sees public and community images; a project sees its own, and those shared with it; administrators see all.
An image that the caller cannot see is not found (404); a forbidden action on a visible one answers 403.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.policy import Policy
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, ImageMember, ImageTag


@dataclasses.dataclass(frozen=True)
class TaggedImage:
    """An image with its tags, as faces print it."""

    image: Image
    tags: tuple[str, ...]


def is_admin(policy: Policy, context: RequestContext) -> bool:
    """Return whether the caller administers the cloud."""
    return policy.is_admin(context)


def shared_with(project_id: str | None, member_status: str | None = None) -> sa.ColumnElement[bool]:
    """Return the condition of images shared with a project, with this `member_status` (None: any)."""
    if project_id is None:
        return sa.false()
    criteria = [ImageMember.image_id == Image.id, ImageMember.project_id == project_id]
    if member_status is not None:
        criteria.append(ImageMember.status == member_status)
    return sa.and_(Image.visibility == "shared", sa.exists().where(*criteria).correlate(Image))


def owned_by(project_id: str | None) -> sa.ColumnElement[bool]:
    """Return the condition of a project's own images; a token without a project owns none, not those without owner."""
    return Image.project_id == project_id if project_id is not None else sa.false()


def visible_to(policy: Policy, context: RequestContext) -> sa.ColumnElement[bool]:
    """Return the condition of images the caller may know of."""
    if is_admin(policy, context):
        return sa.true()
    return sa.or_(Image.visibility.in_(("public", "community")), owned_by(context.project_id),
                  shared_with(context.project_id))


def find(session: orm.Session, policy: Policy, context: RequestContext, image_id: str) -> Image:
    """Return the visible image with an id, in either spelling; raises NotFound."""
    canonical = ids.canonical(image_id)
    image = None
    if canonical is not None:
        image = session.scalar(sa.select(Image).where(
            Image.id == canonical, Image.deleted_at.is_(None), visible_to(policy, context)))
    if image is None:
        raise errors.NotFound(resource="Image", id=image_id)
    return image


def find_for(session: orm.Session, policy: Policy, context: RequestContext, image_id: str, action: str) -> Image:
    """Return the image as `find` does; raises Forbidden unless the policy lets the caller do `action` to it."""
    image = find(session, policy, context, image_id)
    policy.check(context, action, target_of(image))
    return image


def target_of(image: Image, **more: Any) -> dict[str, Any]:
    """Return what policy rules may look at."""
    owner = policy_project(image.project_id)
    return {"project_id": owner, "owner": owner, "image_id": image.id, "visibility": image.visibility, **more}


def policy_project(project_id: str | None) -> str:
    """Return a project id for policy rules; to oslo.policy, None would equal the None of an unscoped token."""
    return project_id or "none"


def tags_of(session: orm.Session, image_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the sorted tags of each image, in one statement."""
    found: dict[str, list[str]] = {image_id: [] for image_id in image_ids}
    if image_ids:
        rows = session.execute(sa.select(ImageTag.image_id, ImageTag.tag).where(ImageTag.image_id.in_(image_ids))
                               .order_by(ImageTag.tag)).tuples()
        for image_id, tag in rows:
            found[image_id].append(tag)
    return found
