"""Listing images: what the caller sees, filtered, sorted and cut into pages, in at most three statements.

Filters come as published names and texts; a name that is no attribute filters on the property of that name.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.image.access import TaggedImage, is_admin, owned_by, shared_with, tags_of, visible_to
from api.core.image.images import VISIBILITIES
from api.paging import Page, after_marker, order_by
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, ImageTag

SORTABLE: Mapping[str, Any] = {
    "name": Image.name, "status": Image.status, "container_format": Image.container_format,
    "disk_format": Image.disk_format, "size": Image.size_bytes, "id": Image.id, "created_at": Image.created_at,
    "updated_at": Image.updated_at,
}
_DEFAULT_SORT = (("created_at", True), ("id", True))
_EXACT: Mapping[str, Any] = {
    "name": Image.name, "status": Image.status, "disk_format": Image.disk_format, "checksum": Image.md5,
    "container_format": Image.container_format, "os_hash_value": Image.sha512,
}
_NUMBERS: Mapping[str, Any] = {
    "min_disk": Image.min_disk_gib, "min_ram": Image.min_ram_mib, "size": Image.size_bytes,
    "virtual_size": Image.virtual_size_bytes,
}
_MOMENTS: Mapping[str, Any] = {"created_at": Image.created_at, "updated_at": Image.updated_at}
_MEMBER_STATUSES = ("accepted", "pending", "rejected", "all")
_MAX_BIGINT = (1 << 63) - 1


@dataclasses.dataclass(frozen=True)
class ImageQuery:
    """What to list: `filters` are (published name, text) pairs, `visibility` and `member_status` as published."""

    filters: Sequence[tuple[str, str]] = ()
    visibility: str | None = None
    member_status: str = "accepted"
    hidden: bool = False


def list_images(services: Services, context: RequestContext, query: ImageQuery, page: Page) -> list[TaggedImage]:
    """Return one page; raises InvalidField for filters, sort keys and markers that cannot be understood."""
    services.policy.check(context, "get_images")
    sort = [(SORTABLE[key], descending) for key, descending in _full_sort(page.sort)]
    criteria = [Image.deleted_at.is_(None), Image.os_hidden.is_(query.hidden), *_scope(services, context, query)]
    criteria += [_criterion(name, value) for name, value in query.filters]
    with services.db.reading() as session:
        if page.marker is not None:
            criteria.append(after_marker(sort, _marker_values(services, session, context, page.marker, sort)))
        images = session.scalars(
            sa.select(Image).where(*criteria).order_by(*order_by(sort)).limit(page.limit)).all()
        tags = tags_of(session, [image.id for image in images])
    return [TaggedImage(image, tuple(tags[image.id])) for image in images]


def _full_sort(asked: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Return the sort asked for, made total by creation time and id."""
    for key, _ in asked:
        if key not in SORTABLE:
            raise errors.InvalidField(field="sort_key", value=key, reason=f"Known keys: {', '.join(SORTABLE)}.")
    keys = {key for key, _ in asked}
    return [*asked, *((key, descending) for key, descending in _DEFAULT_SORT if key not in keys)]


def _marker_values(services: Services, session: orm.Session, context: RequestContext, marker: str,
                   sort: Sequence[tuple[Any, bool]]) -> Sequence[Any]:
    row = session.execute(sa.select(*(column for column, _ in sort)).where(
        Image.id == ids.canonical(marker), Image.deleted_at.is_(None),
        visible_to(services.policy, context))).one_or_none()
    if row is None:
        raise errors.InvalidField(field="marker", value=marker, reason="There is no such image.")
    return tuple(row)


def _scope(services: Services, context: RequestContext, query: ImageQuery) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of visibility: all one sees, but other projects' community images only when asked for."""
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


def _criterion(name: str, text: str) -> sa.ColumnElement[bool]:
    if name == "id":
        return Image.id.in_([ids.canonical(item) or item for item in _alternatives(name, text)])
    if name == "owner":
        wanted = [ids.canonical(item) for item in _alternatives(name, text)]
        return Image.project_id.in_([item for item in wanted if item is not None])
    if name in _EXACT:
        column: sa.ColumnElement[bool] = _EXACT[name].in_(_alternatives(name, text))
        return column
    if name in ("size_min", "size_max"):
        bound = _number(name, text)
        return Image.size_bytes >= bound if name == "size_min" else Image.size_bytes <= bound
    if name in _NUMBERS:
        number: sa.ColumnElement[bool] = _NUMBERS[name] == _number(name, text)
        return number
    if name in _MOMENTS:
        return _moment_criterion(name, text)
    if name == "protected":
        return Image.protected.is_(boolean(name, text))
    if name == "tag":
        return sa.exists().where(ImageTag.image_id == Image.id, ImageTag.tag == text).correlate(Image)
    return _property_criterion(name, text)


def _property_criterion(name: str, text: str) -> sa.ColumnElement[bool]:
    if '"' in name or "\\" in name:  # JSON paths cannot spell it, so no property has such a name
        return sa.false()
    criterion: sa.ColumnElement[bool] = Image.properties[name].as_string() == text
    return criterion


def _alternatives(name: str, text: str) -> list[str]:
    """Return the values of `in:a,"b,c"`, or the one value that `text` is."""
    if not text.startswith("in:"):
        return [text]
    try:
        row = next(csv.reader([text[3:]], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise errors.InvalidField(field=name, value=text, reason="The list's quotes do not match.") from None
    return row


def boolean(name: str, text: str) -> bool:
    """Return `true` or `false`, in any case, as a truth value; raises InvalidField for anything else."""
    if text.lower() not in ("true", "false"):
        raise errors.InvalidField(field=name, value=text, reason="It must be true or false.")
    return text.lower() == "true"


def _number(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise errors.InvalidField(field=name, value=text, reason="It must be an integer.") from None
    if not 0 <= number <= _MAX_BIGINT:
        raise errors.InvalidField(field=name, value=text, reason="It is out of range.")
    return number


def _moment_criterion(name: str, text: str) -> sa.ColumnElement[bool]:
    operator, separator, rest = text.partition(":")
    if not separator or operator not in ("gt", "gte", "eq", "neq", "lt", "lte"):
        operator, rest = "eq", text
    try:
        moment = clock.parse(rest)
        # What clients know of a time is its whole second, so that second is what they mean.
        end = moment + (dt.timedelta(microseconds=1) if moment.microsecond else dt.timedelta(seconds=1))
    except (ValueError, OverflowError):
        raise errors.InvalidField(field=name, value=text, reason="It must be an ISO 8601 time.") from None
    column = _MOMENTS[name]
    during: sa.ColumnElement[bool] = sa.and_(column >= moment, column < end)
    criteria: dict[str, sa.ColumnElement[bool]] = {
        "gt": column >= end, "gte": column >= moment, "eq": during, "neq": sa.not_(during), "lt": column < moment,
        "lte": column < end}
    return criteria[operator]
