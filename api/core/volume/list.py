"""Lists and sums of volumes; a page costs the same number of statements whatever its size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from api.core.volume import rows as volume_rows
from api.core.volume.rows import (
    BACKENDS,
    JOINED,
    LOCKS,
    NODES,
    STATUS,
    TYPES,
    VOLUMES,
    Attached,
    has_attachment,
)
from api.services import Services
from hostler.context import RequestContext
from hostler.db.models import Volume
from hostler.query.compiler import condition_of
from hostler.query.fields import Condition, Field
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.volume import states


def _attach_status(values: Sequence[str]) -> Condition:
    attached = has_attachment(states.ATTACHED)
    return sa.or_(sa.false(), *(attached if value == "attached" else sa.not_(attached)
                                for value in values if value in ("attached", "detached")))


def _migration_status(values: Sequence[str]) -> Condition:
    migrating = sa.func.coalesce(LOCKS.c.kind, "") == "volume.migrate"
    ended = VOLUMES.c.migration_status
    return sa.or_(sa.false(), *(migrating if value == "migrating" else sa.and_(
        sa.not_(migrating), ended.is_(None) if value.lower() in ("none", "") else ended == value) for value in values))


VOLUME: Final = declare(Volume, {
    "status": Field(STATUS), "node_name": Field(sa.func.coalesce(NODES.c.name, "")), "backend_name": Field(
        BACKENDS.c.name), "type_name": Field(sa.func.coalesce(TYPES.c.name, "")),
    "attach_status": Field(match=_attach_status), "migration_status": Field(match=_migration_status)}, source=JOINED)
_NAMES = sa.select(VOLUMES.c.id, VOLUMES.c.name).select_from(JOINED)


@dataclasses.dataclass(frozen=True)
class Summary:
    """How many volumes, how many GiB, and every value of every metadata key."""

    number: int
    size_gib: int
    metadata: Mapping[str, Sequence[str]]


def list_volumes(services: Services, context: RequestContext, query: Query
                 ) -> tuple[Page, Mapping[str, Sequence[Attached]]]:
    """Return a page of `rows.find`'s rows and their attachments; raises NotFound for an unknown marker."""
    services.policy.check(context, "volume:get_all")
    with services.db.reading() as session:
        page = read_page(session, VOLUME, query, _scope(query), selection=volume_rows.selection())
        return page, volume_rows.attachments_of(session, [row.id for row in page.rows])


def list_names(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of ids and names only."""
    services.policy.check(context, "volume:get_all")
    with services.db.reading() as session:
        return read_page(session, VOLUME, query, _scope(query), selection=_NAMES)


def summarize(services: Services, context: RequestContext, query: Query) -> Summary:
    """Return the sums over all volumes that match, whatever the page."""
    services.policy.check(context, "volume:get_all")
    wanted = [*_scope(query), condition_of(VOLUME, query.where)]
    sums = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(VOLUMES.c.size_gib), 0)).select_from(JOINED)
    values: dict[str, set[str]] = {}
    with services.db.reading() as session:
        number, size_gib = session.execute(sums.where(*wanted)).one()
        for metadata in session.scalars(sa.select(VOLUMES.c.metadata).select_from(JOINED).where(*wanted)):
            for key, value in (metadata or {}).items():
                values.setdefault(key, set()).add(value)
    return Summary(number, int(size_gib), {key: sorted(found) for key, found in sorted(values.items())})


def _scope(query: Query) -> list[Any]:
    living = [VOLUMES.c.deleted_at.is_(None)]
    return living if query.project_id is None else [VOLUMES.c.project_id == query.project_id, *living]
