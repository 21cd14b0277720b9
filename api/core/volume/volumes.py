"""One volume: show, rename or describe, delete."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.rows import Attached, target_of, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Backend, Snapshot, Volume, VolumeNode
from hostler.operations.accept import Target, accept, accept_behind, check_unlocked, under_way
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import states

DELETABLE: Final = kinds.DELETE.starts_in
_SNAPSHOT_DELETABLE: Final = kinds.DELETE_SNAPSHOT.starts_in


def show(services: Services, context: RequestContext, volume_id: str) -> tuple[Any, Sequence[Attached]]:
    """Return one volume's row and its attachments; raises NotFound."""
    with services.db.reading() as session:
        row = volume_rows.find(session, context, volume_id)
        services.policy.check(context, "volume:get", target_of(row))
        return row, volume_rows.attachments_of(session, [row.id]).get(row.id, ())


def authorised(services: Services, context: RequestContext, volume_id: str, action: str) -> Any:
    """Return one volume's row when the caller may do `action` to it; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        row = volume_rows.find(session, context, volume_id)
    services.policy.check(context, action, target_of(row))
    return row


def update(services: Services, context: RequestContext, volume_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a volume (name, description, metadata under its column's attribute `extra`)."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, "volume:update")
        if volume.state == states.MAINTENANCE:
            raise volume_rows.wrong_status(volume.id, volume.state, ("other than maintenance",))
        for key, value in values.items():
            setattr(volume, key, value)

    services.db.write(work)


def delete(services: Services, context: RequestContext, volume_id: str, *, cascade: bool = False,
           force: str | None = None) -> None:
    """Accept a volume's deletion, with its snapshots when `cascade`; deleting it once more changes nothing.

    `force` is the policy under which the volume may have any status but attached; an operation that holds it is
    asked to stop. Raises WrongStatus, InUse for one with snapshots or heirs to be, ResourceLocked.
    """

    def work(session: orm.Session) -> list[str]:
        volume = to_change(services, session, context, volume_id, "volume:delete")
        if force is not None:
            services.policy.check(context, force, target_of(volume))
        found = under_way(session, kinds.DELETE, volume.id)
        if found.unfinished is not None:
            return []
        if found.holder is not None and force is None:
            check_unlocked(session, [Target("volume", volume.id)])
        _check_deletable(session, volume, forced=force is not None)
        snapshots = _snapshots(session, context, volume, cascade=cascade)
        volume_rows.check_no_source(session, volume.id, snapshots=cascade)
        take = accept_behind if force is not None else functools.partial(accept, is_free=True)
        return [take(session, context, kinds.DELETE, Target("volume", volume.id), kinds.DeleteVolume(cascade=cascade),
                     project_id=volume.project_id, agent=agent_of(session, volume),
                     also_lock=[Target("snapshot", snapshot_id) for snapshot_id in snapshots]).id]

    services.waker.wake(context, *in_turn(services, work))


def agent_of(session: orm.Session, volume: Volume) -> str | None:
    """Return the name of the agent that has a volume, as operations name it; None when it is on no back end."""
    node = session.scalar(sa.select(VolumeNode.name).join(Backend, Backend.node_id == VolumeNode.id)
                          .where(Backend.id == volume.backend_id))
    return volume_agent(node) if node is not None else None


def _check_deletable(session: orm.Session, volume: Volume, *, forced: bool) -> None:
    uses = volume_rows.uses_of(session, volume.id)
    status = volume_rows.status_of(session, volume, uses)
    if not forced and status not in DELETABLE:
        raise volume_rows.wrong_status(volume.id, status, DELETABLE)
    # A stored error hides the attachments in the status; and resetting the status does not end them.
    attachment = next(iter(uses.attachments), None)
    if attachment is not None and status not in ("in-use", "reserved"):
        raise errors.InUse(resource="Volume", id=volume.id, reason="it is attached to, or promised to, "
                           f"server {attachment.server_id} (attachment {attachment.id}).")
    if attachment is not None or status == "awaiting-transfer":
        raise volume_rows.wrong_status(volume.id, status, (*DELETABLE, states.CREATING, states.MAINTENANCE))


def _snapshots(session: orm.Session, context: RequestContext, volume: Volume, *, cascade: bool) -> list[str]:
    """Return the ids of the snapshots that go with the volume; raises InUse when it has some that must not.

    A transfer without snapshots leaves them with the former owner: the new one can neither see nor delete them.
    """
    rows = session.execute(sa.select(Snapshot.id, Snapshot.state, Snapshot.project_id).where(
        Snapshot.volume_id == volume.id, Snapshot.deleted_at.is_(None)).order_by(Snapshot.id)).tuples().all()
    found = [(snapshot_id, state) for snapshot_id, state, project_id in rows
             if context.is_admin or project_id == volume.project_id]
    if len(found) < len(rows):
        raise errors.InUse(resource="Volume", id=volume.id, reason="another project has snapshots of it.")
    if found and not cascade:
        raise errors.InUse(resource="Volume", id=volume.id,
                           reason=f"it has {len(found)} snapshots, among them {found[0][0]}. Delete them first, or "
                                  "delete the volume with cascade.")
    for snapshot_id, state in found:
        if state not in _SNAPSHOT_DELETABLE:
            raise errors.WrongStatus(resource="snapshot", id=snapshot_id, status=state,
                                     allowed=" or ".join(_SNAPSHOT_DELETABLE))
    return [snapshot_id for snapshot_id, _ in found]
