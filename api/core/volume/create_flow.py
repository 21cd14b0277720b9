"""The create-volume flow of the api: a TaskFlow linear flow of five tasks, run in one database transaction.

    volume_create_api
      1. ExtractVolumeRequestTask   checks the request, holds what the volume is made from
      2. QuotaReserveTask           holds the project, finds quota free for it
      3. EntryCreateTask            writes the volume's row
      4. QuotaCommitTask            the row counts now as what was reserved
      5. VolumeCastTask             writes the operation that makes the volume, with its lock

What follows the commit is a wake-up for the conductors, whose loss only delays: they schedule the volume and have it
made. Each task takes back what it did when a later one fails, so the flow leaves its transaction as it found it; when
the database itself failed there is nothing left to take back, and the transaction is run again.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm
from taskflow.patterns import linear_flow

from api.core.outcomes import in_turn
from api.core.volume import create as volume_create
from api.core.volume import rows as volume_rows
from api.core.volume.create import NewVolume, Reservation, VolumeRequest
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Lock, Operation, Project, Volume
from hostler.flows import Compiled, Engine, Task
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds

LOG = logging.getLogger(__name__)
FLOW_NAME: Final = "volume_create_api"
_KEY_LENGTH: Final = 200


class ExtractVolumeRequestTask(Task):
    """Turns the request into checked values. Revert: nothing to undo, holds end with the transaction."""

    default_provides = "request"

    def execute(self, services: Services, session: orm.Session, context: RequestContext,
                new: NewVolume) -> VolumeRequest:
        """Check; see `volume_create.prepare`."""
        return volume_create.prepare(services, session, context, new)


class QuotaReserveTask(Task):
    """Finds quota free under the project's lock. Revert: the reservation is returned."""

    default_provides = "reservation"

    def execute(self, services: Services, session: orm.Session, context: RequestContext,
                request: VolumeRequest) -> Reservation:
        """Reserve; raises QuotaExceeded."""
        return volume_create.reserve(services, session, context, [request])

    def revert(self, result: Any, **_arguments: Any) -> None:
        """Return what was reserved; nothing may be written on it any more."""
        if isinstance(result, Reservation):
            result.returned = True


class EntryCreateTask(Task):
    """Writes the volume's row. Revert: the row is removed, and counts no longer."""

    default_provides = "volume"

    def execute(self, session: orm.Session, context: RequestContext, request: VolumeRequest,
                reservation: Reservation) -> Volume:
        """Write it, in state creating."""
        return volume_create.enter(session, context, request)

    def revert(self, result: Any, session: orm.Session, **_arguments: Any) -> None:
        """Remove the row."""
        if isinstance(result, Volume):
            _take_back(session, sa.delete(Volume).where(Volume.id == result.id))


class QuotaCommitTask(Task):
    """Settles the reservation on the row. Revert: it is unsettled; the row's removal gives the quota back."""

    def execute(self, reservation: Reservation, request: VolumeRequest, volume: Volume) -> None:
        """Settle; raises Internal when the row is not what was reserved."""
        volume_create.settle(reservation, [request], [volume])

    def revert(self, reservation: Reservation, **_arguments: Any) -> None:
        """Unsettle it."""
        reservation.settled = False


class VolumeCastTask(Task):
    """Writes the operation that has the volume made. Revert: operation and lock are removed, nobody is woken."""

    default_provides = "operation_id"

    def execute(self, session: orm.Session, context: RequestContext, request: VolumeRequest, volume: Volume) -> str:
        """Accept `volume.create` in the same transaction."""
        source = request.source.kind if request.source is not None else None
        key = request.new.idempotency_key
        return accept(session, context, kinds.CREATE, Target("volume", volume.id), kinds.CreateVolume(source=source),
                      idempotency_key=_full_key(context, key) if key is not None else None).id

    def revert(self, result: Any, session: orm.Session, **_arguments: Any) -> None:
        """Remove it."""
        if isinstance(result, str):
            _take_back(session, sa.delete(Lock).where(Lock.operation_id == result),
                       sa.delete(Operation).where(Operation.id == result))


def make_flow() -> linear_flow.Flow:
    """Compose the flow; see the module."""
    return linear_flow.Flow(FLOW_NAME).add(
        ExtractVolumeRequestTask(), QuotaReserveTask(), EntryCreateTask(), QuotaCommitTask(), VolumeCastTask())


_FLOW: Final = Compiled(make_flow())


def run_flow(services: Services, session: orm.Session, context: RequestContext, new: NewVolume) -> tuple[str, str]:
    """Run the flow in `session`'s transaction; return the ids of volume and operation.

    Raises what the failing task raised.
    """
    store = {"services": services, "session": session, "context": context, "new": new}
    engine = Engine(_FLOW, store=store)
    try:
        engine.run()
    except Exception:
        # A revert that failed, too, must not hide the cause; the caller's transaction ends with all of it.
        for cause in engine.storage.get_execute_failures().values():
            cause.reraise()
        raise
    volume: Volume = engine.storage.fetch("volume")
    return volume.id, engine.storage.fetch("operation_id")


def create_volume(services: Services, context: RequestContext, new: NewVolume) -> Any:
    """Accept a new volume; return its row as `volume_rows.find` gives it.

    A request with an idempotency key may be sent again: it returns what the first one made. Raises what
    `volume_create.prepare` and `reserve` raise.
    """
    key = new.idempotency_key
    if key is not None and len(key) > _KEY_LENGTH:
        raise errors.InvalidField(field="Idempotency-Key", value=key[:40], reason=f"At most {_KEY_LENGTH} characters.")

    def work(session: orm.Session) -> tuple[str, str | None]:
        earlier = _earlier(services, session, context, key) if key is not None else None
        return (earlier, None) if earlier is not None else run_flow(services, session, context, new)

    volume_id, operation_id = in_turn(services, work)
    if operation_id is not None:
        services.waker.wake(context, operation_id)
    with services.db.reading() as session:
        return volume_rows.find(session, context, volume_id)


def _full_key(context: RequestContext, key: str) -> str:
    return f"{context.project_id}:volume:{key}"


def _earlier(services: Services, session: orm.Session, context: RequestContext, key: str) -> str | None:
    """Return the volume that an earlier request with this key made; the project is held, so that two cannot both be
    first."""
    services.db.lock_row(session, Project, Project.id == context.project_id)
    return session.scalar(sa.select(Operation.resource_id).where(
        Operation.idempotency_key == _full_key(context, key)))


def _take_back(session: orm.Session, *statements: sa.Delete) -> None:
    """Remove what was written, unless the database has ended the transaction already."""
    if not session.is_active:
        return
    try:
        for statement in statements:
            session.execute(statement)
        session.expire_all()
    except exc.SQLAlchemyError as error:
        LOG.debug("nothing to take back, the transaction is void: %s", error)
