"""Lists and sums of volumes; a page costs the same number of statements whatever its size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from api import paging
from api.core.row_pages import RowPage, RowQuery, RowSource, read_page
from api.core.volume import rows as volume_rows
from api.core.volume.filters import conditions_of
from api.core.volume.rows import JOINED, NODES, STATUS, TYPES, VOLUMES, Attached
from api.services import Services
from hostler.context import RequestContext

SORT_COLUMNS: Final[Mapping[str, Any]] = {
    "id": VOLUMES.c.id, "name": VOLUMES.c.name, "display_name": VOLUMES.c.name, "size": VOLUMES.c.size_gib,
    "created_at": VOLUMES.c.created_at, "updated_at": VOLUMES.c.updated_at, "status": STATUS,
    "availability_zone": VOLUMES.c.zone, "bootable": paging.flag(VOLUMES.c.bootable),
    "multiattach": paging.flag(VOLUMES.c.multiattach), "project_id": VOLUMES.c.project_id,
    "user_id": VOLUMES.c.user_id, "launched_at": VOLUMES.c.launched_at, "volume_type_id": VOLUMES.c.volume_type_id,
    "description": VOLUMES.c.description, "volume_type": sa.func.coalesce(TYPES.c.name, ""),
    "host": sa.func.coalesce(NODES.c.name, ""), "snapshot_id": VOLUMES.c.snapshot_id,
}
_NAMES = sa.select(VOLUMES.c.id, VOLUMES.c.name).select_from(JOINED)


@dataclasses.dataclass(frozen=True)
class Summary:
    """How many volumes, how many GiB, and every value of every metadata key."""

    number: int
    size_gib: int
    metadata: Mapping[str, Sequence[str]]


def list_volumes(services: Services, context: RequestContext, query: RowQuery
                 ) -> tuple[RowPage, Mapping[str, Sequence[Attached]]]:
    """Return a page of `volume_rows.find`'s rows and their attachments; raises NotFound for an unknown marker."""
    services.policy.check(context, "volume:get_all")
    with services.db.reading() as session:
        page = read_page(session, _source(query, volume_rows.selection()), query, conditions_of(query.filters))
        return page, volume_rows.attachments_of(session, [row.id for row in page.rows])


def list_names(services: Services, context: RequestContext, query: RowQuery) -> RowPage:
    """Return a page of ids and names only."""
    services.policy.check(context, "volume:get_all")
    with services.db.reading() as session:
        return read_page(session, _source(query, _NAMES), query, conditions_of(query.filters))


def summarize(services: Services, context: RequestContext, project_id: str | None,
              filters: Mapping[str, str]) -> Summary:
    """Return the sums over a project's volumes (None: everybody's) that pass `filters`."""
    services.policy.check(context, "volume:get_all")
    wanted = [*_scope(project_id), *conditions_of(filters)]
    figures = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(VOLUMES.c.size_gib), 0)).select_from(JOINED)
    values: dict[str, set[str]] = {}
    with services.db.reading() as session:
        number, size_gib = session.execute(figures.where(*wanted)).one()
        for metadata in session.scalars(sa.select(VOLUMES.c.metadata).select_from(JOINED).where(*wanted)):
            for key, value in (metadata or {}).items():
                values.setdefault(key, set()).add(value)
    return Summary(number, int(size_gib), {key: sorted(found) for key, found in sorted(values.items())})


def _source(query: RowQuery, selection: sa.Select[Any]) -> RowSource:
    return RowSource(selection, VOLUMES.c.id, _scope(query.project_id), SORT_COLUMNS)


def _scope(project_id: str | None) -> list[Any]:
    living = [VOLUMES.c.deleted_at.is_(None)]
    return living if project_id is None else [VOLUMES.c.project_id == project_id, *living]
