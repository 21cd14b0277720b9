"""Snapshots: create, update, metadata, status, and what they share with backups.

Creating a snapshot locks its volume, deleting it only the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume import sources as volume_sources
from api.core.volume.copies import Copies
from api.core.volume.snapshot_rows import ROWS, SNAPSHOT
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Snapshot, Volume, VolumeNode, VolumeType
from hostler.operations.accept import Target, accept
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources import quota
from hostler.resources.volume import backend_claims, moves, states
from hostler.resources.volume.volume_record import VolumeRecord

_METADATA: Final = "volume:{}_snapshot_metadata"


def _agent_of(session: orm.Session, row: Snapshot) -> str | None:
    node = session.scalar(sa.select(VolumeNode.name).join(Backend, Backend.node_id == VolumeNode.id).join(
        Volume, Volume.backend_id == Backend.id).where(Volume.id == row.volume_id))
    return None if node is None else volume_agent(node)


SNAPSHOTS: Final = Copies[Snapshot](
    resource=SNAPSHOT, rows=ROWS, moves=moves.SNAPSHOT, deletion=kinds.DELETE_SNAPSHOT, get="volume:get_snapshot",
    get_all="volume:get_all_snapshots", delete_action="volume:delete_snapshot",
    admin="volume_extension:snapshot_admin_actions:", check_heirs=volume_sources.check_heirs_of_snapshot,
    agent_of=_agent_of)


def create(services: Services, context: RequestContext, volume_id: str, *, name: str, description: str | None,
           metadata: Mapping[str, str], force: bool) -> str:
    """Accept a snapshot; returns its id. `force` lets the volume be in use, where its back end can.

    Raises NotFound, WrongStatus, Invalid, ResourceLocked, QuotaExceeded, NoCapacity.
    """
    def work(session: orm.Session) -> tuple[str, str]:
        volume = volume_rows.to_change(services, session, context, volume_id, "volume:create_snapshot")
        status = volume_rows.check_status(session, volume, states.READY, "in-use")
        if status != states.READY and not force:
            raise volume_rows.wrong_status(volume.id, status, (states.READY,))
        snapshot = write(services, session, context, volume, name=name, description=description, metadata=metadata,
                         at_rest=status == states.READY)
        return snapshot.id, accept(
            session, context, kinds.CREATE_SNAPSHOT, Target("snapshot", snapshot.id), Arguments(),
            also_lock=[Target("volume", volume.id)], project_id=volume.project_id,
            agent=_agent_of(session, snapshot)).id

    snapshot_id, operation_id = in_turn(services, work)
    services.waker.wake(context, operation_id)
    return snapshot_id


def write(services: Services, session: orm.Session, context: RequestContext, volume: Volume, *, name: str,
          description: str | None, metadata: Mapping[str, str], at_rest: bool) -> Snapshot:
    """Claim quota and room for a snapshot of a volume that the caller holds, and write it in state creating.

    `at_rest` says that nobody writes to the volume. Raises Invalid, QuotaExceeded, NoCapacity.
    """
    if volume.backend_id is None:
        raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is on no back end.")
    quota.check_items(session, services.conf, volume.project_id, "metadata_items", len(metadata))
    backend = session.get_one(Backend, volume.backend_id)
    if not at_rest and not backend.capabilities.get("online_snapshot"):
        raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is in use, and its back end "
                                    f"({backend.driver}) can make snapshots of detached volumes only.")
    wanted = quota.of_type(_type_name(session, volume), {"snapshots": 1, "gigabytes": volume.size_gib})
    quota.claim(services.db, session, services.conf, volume.project_id, wanted)
    if not backend_claims.claim(session, backend.id, gib=volume.size_gib):
        raise errors.NoCapacity(reason=f"The back end of volume {volume.id} has no room for a snapshot of "
                                       f"{volume.size_gib} GiB.")
    snapshot = Snapshot(id=ids.new_id(), project_id=volume.project_id, user_id=context.user_id, name=name,
                        description=description, volume_id=volume.id, state=states.CREATING,
                        size_gib=volume.size_gib, extra=dict(metadata), volume_record=VolumeRecord.of(volume).to_row())
    session.add(snapshot)
    session.flush()
    return snapshot


def _type_name(session: orm.Session, volume: Volume) -> str | None:
    return session.scalar(sa.select(VolumeType.name).where(VolumeType.id == volume.volume_type_id))


def update(services: Services, context: RequestContext, snapshot_id: str, values: Mapping[str, Any]) -> None:
    """Set a snapshot's name or description."""

    def work(session: orm.Session) -> None:
        row = SNAPSHOTS.to_change(services, session, context, snapshot_id, "volume:update_snapshot")
        for key, value in values.items():
            setattr(row, key, value)

    services.db.write(work)


def metadata(services: Services, context: RequestContext, snapshot_id: str) -> dict[str, str]:
    """Return a snapshot's metadata."""
    return dict(SNAPSHOTS.show(services, context, snapshot_id, action=_METADATA.format("get")).extra)


def metadata_missing(snapshot_id: str, key: str) -> errors.NotFound:
    """Return the error for a metadata key that is not there."""
    return errors.NotFound(f"Metadata item with key {key[:80]} of snapshot {snapshot_id[:80]} could not be found.",
                           resource="metadata", id=key)


def edit_metadata(services: Services, context: RequestContext, snapshot_id: str, verb: str,
                  edit: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    """Replace a snapshot's metadata with what `edit` makes of it, and return that; `verb` is update or delete."""

    def work(session: orm.Session) -> dict[str, str]:
        row = SNAPSHOTS.to_change(services, session, context, snapshot_id, _METADATA.format(verb))
        wanted = edit(dict(row.extra))
        quota.check_items(session, services.conf, row.project_id, "metadata_items", len(wanted), len(row.extra))
        row.extra = wanted
        return wanted

    return services.db.write(work)


def reset_status(services: Services, context: RequestContext, snapshot_id: str, status: str) -> None:
    """Set the stored state that an administrator says; raises Invalid for a word that snapshots do not have."""

    def check(_row: Snapshot) -> None:
        if status not in states.SNAPSHOT_SETTABLE:
            raise errors.Invalid(reason=f"Snapshot status: {status[:80]} is invalid, valid statuses are: "
                                        f"{', '.join(states.SNAPSHOT_SETTABLE)}.")

    SNAPSHOTS.reset_status(services, context, snapshot_id, states.SNAPSHOT_SETTABLE.get(status, status), check)
