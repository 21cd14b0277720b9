"""The services behind volumes as administrators see them, and taking storage nodes out of service.

A storage node shows as one cinder-volume for each of its back ends (`node@backend`), and as one cinder-backup when it
reaches a backup store; a scheduler as a cinder-scheduler. A back end takes new volumes while both it and its node are
enabled.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.fleet.hosts import silent_before
from api.core.fleet.services import INTERNAL_ZONE
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Service, Snapshot, Volume, VolumeNode, Zone

VOLUME: Final = "cinder-volume"
SCHEDULER: Final = "cinder-scheduler"
BACKUP: Final = "cinder-backup"
# Our control services under the names that clients of this API know.
_CONTROL: Final = {"nova-scheduler": SCHEDULER}
_POLICY: Final = "volume_extension:services:"
FROZEN: Final = "frozen"  # the reason of what is frozen: it is disabled, as in the reference


@dataclasses.dataclass(frozen=True)
class VolumeServiceShown:
    """A service; `backend_up` is None for those that are no back end."""

    id: str
    binary: str
    host: str
    zone: str
    enabled: bool
    disabled_reason: str | None
    up: bool
    seen_at: dt.datetime | None
    backend_up: bool | None = None

    @property
    def frozen(self) -> bool:
        """Whether an administrator froze it."""
        return not self.enabled and self.disabled_reason == FROZEN


def list_services(services: Services, context: RequestContext, *, host: str | None = None,
                  binary: str | None = None) -> list[VolumeServiceShown]:
    """Return the services on a host (`node` or `node@backend`), of a kind, or all."""
    services.policy.check(context, _POLICY + "index")
    with services.db.reading() as session:
        found = [*volume_services(services, session), *_backup_services(services, session),
                 *_schedulers(services, session)]
    return [one for one in found
            if (host is None or host in (one.host, one.host.partition("@")[0])) and binary in (None, one.binary)]


def volume_services(services: Services, session: orm.Session) -> list[VolumeServiceShown]:
    """Return every back end as a service, in one statement."""
    silent = silent_before(services)
    rows = session.execute(
        sa.select(Backend, VolumeNode, Zone.name).join(VolumeNode, VolumeNode.id == Backend.node_id)
        .join(Zone, Zone.id == VolumeNode.zone_id).order_by(VolumeNode.name, Backend.name)).tuples()
    return [VolumeServiceShown(backend.id, VOLUME, f"{node.name}@{backend.name}", zone,
                               node.enabled and backend.enabled, node.disabled_reason or backend.disabled_reason,
                               is_up(node, silent), node.last_seen_at, backend.healthy and is_up(node, silent))
            for backend, node, zone in rows]


def is_up(node: VolumeNode, silent: dt.datetime) -> bool:
    """Return whether a storage node's agent lives."""
    return node.last_seen_at is not None and node.last_seen_at >= silent


def _backup_services(services: Services, session: orm.Session) -> list[VolumeServiceShown]:
    silent = silent_before(services)
    rows = session.execute(sa.select(VolumeNode, Zone.name).join(Zone, Zone.id == VolumeNode.zone_id)
                           .where(VolumeNode.backup_store.is_not(None)).order_by(VolumeNode.name)).tuples()
    return [VolumeServiceShown(node.id, BACKUP, node.name, zone, node.enabled, node.disabled_reason,
                               is_up(node, silent), node.last_seen_at) for node, zone in rows]


def _schedulers(services: Services, session: orm.Session) -> list[VolumeServiceShown]:
    silent = silent_before(services)
    rows = session.scalars(sa.select(Service).where(Service.binary.in_(_CONTROL)).order_by(Service.number))
    return [VolumeServiceShown(row.id, _CONTROL[row.binary], row.host, INTERNAL_ZONE, row.enabled,
                               row.disabled_reason, row.last_seen_at >= silent, row.last_seen_at) for row in rows]


def change(services: Services, context: RequestContext, host: str, binary: str, *, enabled: bool,
           reason: str | None = None) -> None:
    """Let a back end (`node@backend`) or a whole storage node take new volumes, or not.

    Raises NotFound for an unknown host or kind of service, Invalid for a service that is always enabled and for a back
    end of a node that is disabled.
    """
    services.policy.check(context, _POLICY + "update")
    if binary in (SCHEDULER, BACKUP):
        raise errors.Invalid(reason=f"A {binary} service cannot be disabled; only {VOLUME} services can be.")
    def work(session: orm.Session) -> None:
        node, changed = _found(session, host)
        if node is None or changed is None or binary != VOLUME:
            raise _unknown(binary, host)
        if enabled and changed is not node and not node.enabled:
            raise errors.Invalid(reason=f"Storage node {node.name} is disabled as a whole; enable {node.name}.")
        changed.enabled, changed.disabled_reason = enabled, None if enabled else reason

    services.db.write(work)


def freeze(services: Services, context: RequestContext, host: str, *, frozen: bool) -> None:
    """Freeze a back end or a whole storage node: nothing new goes there; or thaw it.

    Raises Invalid for an unknown host, and for what is frozen or thawed already.
    """
    services.policy.check(context, "volume:freeze_host" if frozen else "volume:thaw_host")

    def work(session: orm.Session) -> None:
        _, changed = _found(session, host)
        if changed is None:
            raise errors.Invalid(reason=f"Host {host[:80]} could not be found.")
        is_frozen = not changed.enabled and changed.disabled_reason == FROZEN
        if is_frozen == frozen:
            raise errors.Invalid(reason=f"{host} is {'' if frozen else 'not '}frozen.")
        changed.enabled, changed.disabled_reason = not frozen, FROZEN if frozen else None

    services.db.write(work)


def _found(session: orm.Session, host: str) -> tuple[VolumeNode | None, VolumeNode | Backend | None]:
    """Return the node of `node` or `node@backend`, and which of the two is meant."""
    name, _, backend = host.partition("#")[0].partition("@")
    node = session.scalars(sa.select(VolumeNode).where(VolumeNode.name == name)).one_or_none()
    if node is None or not backend:
        return node, node
    return node, session.scalars(sa.select(Backend).where(Backend.node_id == node.id,
                                                          Backend.name == backend)).one_or_none()


def check_known(services: Services, context: RequestContext, host: str) -> None:
    """Raise Invalid for a host (`node` or `node@backend`) that does not exist, as a change of it would."""
    services.policy.check(context, _POLICY + "update")
    with services.db.reading() as session:
        known = {name for one in volume_services(services, session) for name in (one.host, one.host.partition("@")[0])}
    if host not in known:
        raise errors.Invalid(reason=f"Host {host[:80]} could not be found.")


@dataclasses.dataclass
class Held:
    """What a back end holds of one project; `(total)` of all."""

    project_id: str
    volumes: int = 0
    volume_gib: int = 0
    snapshots: int = 0
    snapshot_gib: int = 0


def show_host(services: Services, context: RequestContext, host: str) -> list[Held]:
    """Return what the enabled back end `node@backend` holds, in all and by project; raises NotFound."""
    services.policy.check(context, "volume_extension:hosts")
    with services.db.reading() as session:
        found = [one for one in volume_services(services, session) if one.host == host and one.enabled]
        if not found:
            raise _unknown(VOLUME, host)
        total, by_project = Held("(total)"), dict[str, Held]()
        for project_id, count, gib in session.execute(_totals(Volume).where(Volume.backend_id == found[0].id)):
            for held in (total, by_project.setdefault(project_id, Held(ids.bare(project_id)))):
                held.volumes, held.volume_gib = held.volumes + count, held.volume_gib + int(gib)
        for project_id, count, gib in session.execute(_totals(Snapshot).join(
                Volume, Volume.id == Snapshot.volume_id).where(Volume.backend_id == found[0].id)):
            for held in (total, by_project.setdefault(project_id, Held(ids.bare(project_id)))):
                held.snapshots, held.snapshot_gib = held.snapshots + count, held.snapshot_gib + int(gib)
    return [total, *(by_project[project_id] for project_id in sorted(by_project))]


def _totals(model: type[Volume] | type[Snapshot]) -> sa.Select[tuple[str, int, int]]:
    return sa.select(model.project_id, sa.func.count(), sa.func.sum(model.size_gib)).where(
        model.deleted_at.is_(None)).group_by(model.project_id)


def _unknown(binary: str, host: str) -> errors.NotFound:
    return errors.NotFound(f"Service {binary} could not be found on host {host}.", resource="service", id=host)
