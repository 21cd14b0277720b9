"""Events of other services that concern servers (`os-server-external-events`).

Networks and volumes of this cloud tell their hosts by themselves; from outside comes news of what was changed beside
it. A changed network makes the server's host look again; everything else is noted by its answer alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Port, Server
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network as kinds
from hostler.resources import revisions

NETWORK_CHANGED = "network-changed"


@dataclasses.dataclass(frozen=True)
class Event:
    """One event; `code` says what became of it: 200 taken, 404 no such server, 422 it is on no host."""

    name: str
    server_id: str
    status: str
    tag: str | None = None
    code: int = 0


def take(services: Services, context: RequestContext, events: Sequence[Event]) -> list[Event]:
    """Take events and return them with their codes; raises NotFound when none is about a server there is."""
    services.policy.check(context, "os_compute_api:os-server-external-events:create")

    def work(session: orm.Session) -> tuple[list[Event], list[str]]:
        wanted = {ids.canonical(event.server_id) or "" for event in events}
        placed = dict(session.execute(sa.select(Server.id, Server.host_id).where(
            Server.id.in_(wanted), Server.deleted_at.is_(None))).tuples().all())
        coded = [dataclasses.replace(event, code=_code(placed, ids.canonical(event.server_id) or ""))
                 for event in events]
        changed = {ids.canonical(event.server_id) or "" for event in coded
                   if event.name == NETWORK_CHANGED and event.code == 200}
        return coded, [_look_again(session, context, server_id) for server_id in sorted(changed)]

    coded, operation_ids = services.db.write(work)
    if all(event.code != 200 for event in coded):
        raise errors.NotFound("No instances found for any event", resource="server", id="")
    services.waker.wake(context, *operation_ids)
    return coded


def _code(placed: dict[str, str | None], server_id: str) -> int:
    if server_id not in placed:
        return 404
    return 200 if placed[server_id] is not None else 422


def _look_again(session: orm.Session, context: RequestContext, server_id: str) -> str:
    port_ids = tuple(session.scalars(sa.select(Port.id).where(Port.server_id == server_id)))
    revisions.ports_changed(session, port_ids)
    return accept(session, context, kinds.APPLY_RULES, Target("server", server_id),
                  kinds.ApplyRules(port_ids=port_ids), lock=False).id
