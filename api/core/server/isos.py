"""ISO images in servers' CD-ROM drives: attach and detach. A server has one drive.

Either is done when the call returns, or soon after it.
"""

from __future__ import annotations

from sqlalchemy import orm

from api.core.outcomes import follow, in_turn
from api.core.server import inputs
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Server
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import A, Kind
from hostler.resources.server.status import check_may_start

_POLICY = "os_compute_api:server-isos:"


def attach(services: Services, context: RequestContext, server_id: str, image_id: str) -> None:
    """Put an ISO into a server's drive; the drive of one that is off has it when the server starts.

    Raises NotFound, Forbidden, InvalidState, ResourceLocked, Invalid for an image that is not an ISO, Conflict when
    another one is in the drive and for a server that runs without one.
    """

    def work(session: orm.Session) -> str:
        server = _to_change(services, session, context, server_id, kinds.ATTACH_ISO, "attach")
        if server.iso_image_id is not None:
            raise errors.Conflict(reason=f"Instance {server.id} has image {server.iso_image_id} in its CD-ROM drive.")
        image = inputs.usable_image(session, context, image_id)
        if image.disk_format != "iso":
            raise errors.Invalid(reason=f"Image {image.id} is not an ISO.")
        return _accept(session, context, kinds.ATTACH_ISO, server, kinds.AttachIso(image_id=image.id))

    follow(services, context, in_turn(services, work), services.conf.api.operation_wait)


def detach(services: Services, context: RequestContext, server_id: str) -> None:
    """Empty a server's drive; raises NotFound, Forbidden, InvalidState, ResourceLocked, Conflict when it is empty or
    the guest keeps its tray locked."""

    def work(session: orm.Session) -> str:
        server = _to_change(services, session, context, server_id, kinds.DETACH_ISO, "detach")
        if server.iso_image_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} has nothing in its CD-ROM drive.")
        return _accept(session, context, kinds.DETACH_ISO, server, Arguments())

    follow(services, context, in_turn(services, work), services.conf.api.operation_wait)


def _to_change(services: Services, session: orm.Session, context: RequestContext, server_id: str, kind: Kind[A],
               verb: str) -> Server:
    server = to_change(services, session, context, server_id, _POLICY + verb)
    check_idle(session, server, f"{verb}_iso")
    check_may_start(kind, server.id, server.vm_state, said_as=f"{verb}_iso")
    if server.host_id is None:
        raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
    return server


def _accept(session: orm.Session, context: RequestContext, kind: Kind[A], server: Server, arguments: A) -> str:
    return accept(session, context, kind, Target("server", server.id), arguments, project_id=server.project_id,
                  host_id=server.host_id).id
