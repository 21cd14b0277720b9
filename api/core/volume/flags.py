"""Changes of a volume's record that need no back end: read-only, bootable, the status an administrator sets."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.rows import check_idle, check_status, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Volume, VolumeAttachment
from hostler.resources.volume import moves, states

_MIGRATION_ENDS: Final = {"none": None, "success": "success", "error": "error"}
_RESET: Final = "volume_extension:volume_admin_actions:reset_status"
_ACTION: Final = "volume_extension:volume_actions:"


def set_readonly(services: Services, context: RequestContext, volume_id: str, readonly: bool) -> None:
    """Say that servers may only read a volume, or that they may write; raises WrongStatus for one in use."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, "volume:update_readonly_flag")
        check_status(session, volume, states.READY)
        volume.readonly, volume.readonly_set = readonly, True

    in_turn(services, work)


def set_bootable(services: Services, context: RequestContext, volume_id: str, bootable: bool) -> None:
    """Say whether servers may boot from a volume."""

    def work(session: orm.Session) -> None:
        to_change(services, session, context, volume_id, "volume:update").bootable = bootable

    services.db.write(work)


def reset_status(services: Services, context: RequestContext, volume_id: str, status: str | None,
                 attach_status: str | None, migration_status: str | None) -> None:
    """Set the stored state an administrator says; refused while an operation holds the volume.

    Attachments and migrations cannot be declared: they exist or they do not. Setting what is already true is accepted.
    """

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _RESET)
        check_idle(session, volume.id)
        attached = session.scalar(sa.select(VolumeAttachment.id).where(
            VolumeAttachment.volume_id == volume.id).limit(1)) is not None
        if attach_status is not None and (attach_status == "attached") != attached:
            raise errors.Invalid(reason=f"Volume {volume.id} is {'attached' if attached else 'not attached'}; a reset "
                                        "cannot change that. Use attachments, or os-force_detach.")
        if migration_status is not None:
            if migration_status.lower() not in _MIGRATION_ENDS:
                raise errors.Invalid(reason=f"Volume {volume.id} is not being migrated; a reset cannot change that.")
            volume.migration_status = _MIGRATION_ENDS[migration_status.lower()]
        if status is None:
            return
        if states.SETTABLE[status] in (states.READY, *states.SAID) and volume.backend_id is None:
            raise errors.Invalid(reason=f"Volume {volume.id} is on no back end and cannot become {status}.")
        if status == "in-use" and not attached:
            raise volume_rows.wrong_status(volume.id, volume.state, ("that of an attached volume",))
        state = states.SETTABLE[status]
        moves.VOLUME.move(session, volume.id, state, {"fault": None} if state == states.READY else {})

    in_turn(services, work)


def begin_detaching(services: Services, context: RequestContext, volume_id: str) -> None:
    """Say that a volume in use is about to be detached; raises WrongStatus for another."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _ACTION + "begin_detaching")
        check_status(session, volume, "in-use")
        moves.VOLUME.move(session, volume.id, states.DETACHING)

    in_turn(services, work)


def roll_detaching(services: Services, context: RequestContext, volume_id: str) -> None:
    """Take back what `begin_detaching` said; fine when it said nothing."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _ACTION + "roll_detaching")
        check_idle(session, volume.id)
        moves.VOLUME.move_all(session, states.READY, only_from=(states.DETACHING,),
                              where=(Volume.id == volume.id, Volume.backend_id.is_not(None)))

    in_turn(services, work)
