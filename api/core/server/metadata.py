"""A server's metadata and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.server.servers import authorised, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Server, ServerTag
from hostler.resources import quota
from hostler.resources.network import host_updates

_METADATA = "os_compute_api:server-metadata:"
_TAGS = "os_compute_api:os-server-tags:"
MAX_TAGS = 50


def metadata(services: Services, context: RequestContext, server_id: str, *, item: bool = False) -> dict[str, str]:
    """Return a server's metadata; `item` selects the policy of reading a single one."""
    found: dict[str, str] = authorised(services, context, server_id, _METADATA + ("show" if item else "index")).metadata
    return found


def missing(key: str) -> errors.NotFound:
    """Return the error for a metadata item that is not there."""
    return errors.NotFound("Metadata item was not found", resource="metadata", id=key)


def put_metadata(services: Services, context: RequestContext, server_id: str, items: Mapping[str, str], *,
                 action: str, replace: bool = False) -> dict[str, str]:
    """Merge `items` into the metadata, or `replace` all of it; returns the result."""

    def work(session: orm.Session) -> tuple[dict[str, str], list[str]]:
        server = to_change(services, session, context, server_id, _METADATA + action)
        kept = dict(items) if replace else {**server.extra, **items}
        quota.check_items(session, services.conf, server.project_id, "metadata_items", len(kept), len(server.extra))
        server.extra = kept
        return kept, host_updates.notify_of_server(session, context, server)

    kept, operation_ids = services.db.write(work)
    services.waker.wake(context, *operation_ids)
    return kept


def delete_metadata(services: Services, context: RequestContext, server_id: str, key: str) -> None:
    """Remove one item; raises NotFound."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, _METADATA + "delete")
        if key not in server.extra:
            raise missing(key)
        server.extra = {name: value for name, value in server.extra.items() if name != key}
        return host_updates.notify_of_server(session, context, server)

    services.waker.wake(context, *services.db.write(work))


def tags(services: Services, context: RequestContext, server_id: str, *, item: bool = False) -> Sequence[str]:
    """Return a server's tags."""
    server = authorised(services, context, server_id, _TAGS + ("show" if item else "index"))
    with services.db.reading() as session:
        return _tags(session, server.id)


def _tags(session: orm.Session, server_id: str) -> Sequence[str]:
    return session.scalars(sa.select(ServerTag.tag).where(ServerTag.server_id == server_id)
                           .order_by(ServerTag.tag)).all()


def _changeable(services: Services, session: orm.Session, context: RequestContext, server_id: str,
                action: str) -> Server:
    return to_change(services, session, context, server_id, _TAGS + action)


def add_tag(services: Services, context: RequestContext, server_id: str, tag: str) -> bool:
    """Add a tag; returns whether it is new. Raises Invalid past 50 tags."""

    def work(session: orm.Session) -> bool:
        server = _changeable(services, session, context, server_id, "update")
        present = _tags(session, server.id)
        if tag in present:
            return False
        if len(present) >= MAX_TAGS:
            raise errors.Invalid(reason=f"The number of tags exceeded the per-server limit {MAX_TAGS}")
        session.add(ServerTag(server_id=server.id, tag=tag))
        return True

    return services.db.write(work)


def replace_tags(services: Services, context: RequestContext, server_id: str, wanted: Sequence[str]) -> Sequence[str]:
    """Replace all of a server's tags; returns them."""

    def work(session: orm.Session) -> Sequence[str]:
        server = _changeable(services, session, context, server_id, "update_all" if wanted else "delete_all")
        session.execute(sa.delete(ServerTag).where(ServerTag.server_id == server.id))
        session.add_all([ServerTag(server_id=server.id, tag=tag) for tag in dict.fromkeys(wanted)])
        session.flush()
        return _tags(session, server.id)

    return services.db.write(work)


def delete_tag(services: Services, context: RequestContext, server_id: str, tag: str) -> None:
    """Remove a tag; raises NotFound."""

    def work(session: orm.Session) -> None:
        server = _changeable(services, session, context, server_id, "delete")
        row = session.get(ServerTag, (server.id, tag))
        if row is None:
            raise tag_missing(server_id, tag)
        session.delete(row)

    services.db.write(work)


def tag_missing(server_id: str, tag: str) -> errors.NotFound:
    """Return the error for a tag that is not there."""
    return errors.NotFound(f"Server {server_id} has no tag '{tag}'", resource="tag", id=tag)
