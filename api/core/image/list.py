"""Listing images: what the caller sees, filtered, sorted and cut into pages, in at most three statements."""

from __future__ import annotations

import dataclasses
from typing import Final

import sqlalchemy as sa

from api.core.image.access import TaggedImage, is_admin, owned_by, shared_with, tags_of, visible_to
from api.core.image.images import VISIBILITIES
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Image
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

IMAGE: Final = declare(Image)
_MEMBER_STATUSES: Final = ("accepted", "pending", "rejected", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageQuery:
    """What to list: a page, and whose images by `visibility` and `member_status`, as published."""

    page: Query
    visibility: str | None = None
    member_status: str = "accepted"
    hidden: bool = False


def list_images(services: Services, context: RequestContext, query: ImageQuery) -> Page:
    """Return a page of TaggedImages; raises InvalidField for filters, sort keys and markers that make no sense."""
    services.policy.check(context, "get_images")
    scope = [Image.deleted_at.is_(None), Image.os_hidden.is_(query.hidden), *_scope(services, context, query)]
    seen = [Image.deleted_at.is_(None), visible_to(services.policy, context)]
    with services.db.reading() as session:
        page = read_page(session, IMAGE, query.page, scope, seen=seen)
        tags = tags_of(session, [image.id for image in page.rows])
    return dataclasses.replace(page, rows=[TaggedImage(image, tuple(tags[image.id])) for image in page.rows])


def _scope(services: Services, context: RequestContext, query: ImageQuery) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of visibility; other projects' community images are left out unless asked for."""
    if query.member_status not in _MEMBER_STATUSES:
        raise errors.InvalidField(field="member_status", value=query.member_status,
                                  reason=f"One of {', '.join(_MEMBER_STATUSES)}.")
    if query.visibility is not None and query.visibility not in (*VISIBILITIES, "all"):
        raise errors.InvalidField(field="visibility", value=query.visibility,
                                  reason=f"One of {', '.join((*VISIBILITIES, 'all'))}.")
    own = owned_by(context.project_id)
    member_status = None if query.member_status == "all" else query.member_status
    shared = shared_with(context.project_id, member_status)
    criteria: list[sa.ColumnElement[bool]] = []
    if not is_admin(services.policy, context):
        criteria.append(sa.or_(Image.visibility.in_(("public", "community")), own, shared))
    elif query.member_status != "accepted":
        criteria.append(sa.or_(own, shared))
    if query.visibility is None:
        criteria.append(sa.or_(Image.visibility != "community", own))
    elif query.visibility != "all":
        criteria.append(Image.visibility == query.visibility)
    return criteria
