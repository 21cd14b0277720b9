"""Hosts by name: what each has, and what its servers take of it, project by project."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from api.core.fleet import hosts
from api.core.fleet.hosts import HostShown
from api.core.fleet.services import ServiceShown, all_services
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Server

_POLICY: Final = "os_compute_api:os-hosts:"


@dataclasses.dataclass(frozen=True)
class ProjectUse:
    """What a project's servers on a host may use at most."""

    project_id: str
    vcpus: int
    ram_mib: int
    disk_gib: int


def list_services(services: Services, context: RequestContext, zone: str | None) -> list[ServiceShown]:
    """Return the enabled services of a zone, or of all."""
    services.policy.check(context, _POLICY + "list")
    with services.db.reading() as session:
        return [one for one in all_services(services, session) if one.enabled and zone in (None, one.zone)]


def show(services: Services, context: RequestContext, name: str, *,
         action: str = "show") -> tuple[HostShown, Sequence[ProjectUse]]:
    """Return a host under policy `action`, with the use of each project that has servers there; raises NotFound."""
    services.policy.check(context, _POLICY + action)
    with services.db.reading() as session:
        row = session.scalars(sa.select(Host).where(Host.name == name)).one_or_none()
        if row is None:
            raise errors.NotFound(f"Compute host {name[:80]} could not be found.", resource="host", id=name)
        uses = session.execute(sa.select(
            Server.project_id, sa.func.sum(Server.vcpus), sa.func.sum(Server.ram_mib),
            sa.func.sum(Server.root_gib + Server.ephemeral_gib)).where(
            Server.host_id == row.id, Server.deleted_at.is_(None)).group_by(Server.project_id)
            .order_by(Server.project_id)).all()
        return hosts.shown(services, session, [row])[0], [
            ProjectUse(project_id, *map(int, sums)) for project_id, *sums in uses]
