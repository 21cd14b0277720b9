"""Changing a server's flavor or host: resize, cold migration, and the confirmation or the revert of either."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import inputs as server_inputs
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Flavor, Host, Image, Server, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind
from hostler.resources import quota
from hostler.resources.server import migrations
from hostler.resources.server.properties import check_properties
from hostler.resources.server.status import check_may_start

_POLICY: Final = "os_compute_api:"


def resize(services: Services, context: RequestContext, server_id: str, flavor_id: str, *,
           auto_disk_config: bool | None = None) -> None:
    """Accept a resize; raises NotFound, Forbidden, QuotaExceeded, InvalidState, Invalid for a flavor that does not
    do."""

    def work(session: orm.Session) -> str:
        server = _movable(services, session, context, server_id, kinds.RESIZE, _POLICY + "servers:resize", "resize")
        flavor = server_inputs.usable_flavor(session, context, flavor_id)
        _check_flavor(session, server, flavor)
        more = {"cores": flavor.vcpus - server.vcpus, "ram": flavor.ram_mib - server.ram_mib}
        quota.claim(services.db, session, services.conf, server.project_id,
                    {name: amount for name, amount in more.items() if amount > 0})
        if auto_disk_config is not None:
            server.auto_disk_config = auto_disk_config
        return _begin(session, context, server, kinds.RESIZE, migrations.RESIZE, None, _columns(flavor))

    services.waker.wake(context, in_turn(services, work))


def migrate(services: Services, context: RequestContext, server_id: str, host: str | None) -> None:
    """Accept a cold migration to `host`, or to whichever host the scheduler chooses; raises as `resize`."""

    def work(session: orm.Session) -> str:
        policy = _POLICY + "os-migrate-server:migrate"
        server = _movable(services, session, context, server_id, kinds.MIGRATE, policy, "migrate")
        if host is not None:
            services.policy.check(context, policy + ":host", {"project_id": server.project_id})
            found = session.execute(sa.select(Host.id, Host.name).where(Host.name == host)).one_or_none()
            if found is None:
                raise errors.Invalid(reason=f"Compute host {host} could not be found.")
            if found.id == server.host_id:
                raise errors.Invalid(reason=f"Unable to migrate instance ({server.id}) to current host ({host}).")
        return _begin(session, context, server, kinds.MIGRATE, migrations.MIGRATION, host, None)

    services.waker.wake(context, in_turn(services, work))


def confirm(services: Services, context: RequestContext, server_id: str) -> None:
    """Accept the confirmation of a resize or cold migration; raises NotFound, InvalidState, Invalid."""
    _finish(services, context, server_id, kinds.CONFIRM_RESIZE, migrations.CONFIRMING, "confirm_resize",
            "confirmResize")


def revert(services: Services, context: RequestContext, server_id: str) -> None:
    """Accept the way back; raises as `confirm`."""
    _finish(services, context, server_id, kinds.REVERT_RESIZE, migrations.REVERTING, "revert_resize", "revertResize")


def _movable(services: Services, session: orm.Session, context: RequestContext, server_id: str, kind: Kind[Any],
             policy: str, said_as: str) -> Server:
    server = to_change(services, session, context, server_id, policy)
    check_idle(session, server, said_as)
    check_may_start(kind, server.id, server.vm_state, said_as=said_as)
    if server.host_id is None:
        raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
    return server


def _begin(session: orm.Session, context: RequestContext, server: Server, kind: Kind[kinds.Move], record: str,
           host: str | None, new_flavor: dict[str, Any] | None) -> str:
    operation = accept(session, context, kind, Target("server", server.id), kinds.Move(host=host),
                       project_id=server.project_id, host_id=server.host_id)
    migrations.begin(session, context, server, operation.id, record, status=migrations.PRE_MIGRATING,
                     new_flavor=new_flavor)
    return operation.id


def _finish(services: Services, context: RequestContext, server_id: str, kind: Kind[Arguments], status: str,
            policy: str, said_as: str) -> None:
    def work(session: orm.Session) -> str:
        server = _movable(services, session, context, server_id, kind, f"{_POLICY}servers:{policy}", said_as)
        migration = migrations.open_of(session, server.id)
        if migration is None or not migrations.move(session, migration.id, status):
            raise errors.Invalid(reason="Instance has not been resized.")
        return accept(session, context, kind, Target("server", server.id), Arguments(), project_id=server.project_id,
                      host_id=migration.source_host_id).id

    services.waker.wake(context, in_turn(services, work))


def _columns(flavor: Flavor) -> dict[str, Any]:
    return {"flavor_id": flavor.id, "flavor": server_inputs.flavor_copy(flavor), "vcpus": flavor.vcpus,
            "ram_mib": flavor.ram_mib, "root_gib": flavor.root_gib, "ephemeral_gib": flavor.ephemeral_gib,
            "swap_mib": flavor.swap_mib}


def _check_flavor(session: orm.Session, server: Server, flavor: Flavor) -> None:
    if flavor.id == server.flavor_id:
        raise errors.Invalid(reason="When resizing, instances must change flavor!")
    volume_backed = session.scalar(sa.select(VolumeAttachment.id).where(
        VolumeAttachment.server_id == server.id, VolumeAttachment.boot_index == 0)) is not None
    if not volume_backed and server.root_gib and not flavor.root_gib:
        raise errors.Invalid(reason="Resize to zero disk flavor is not allowed.")
    if (flavor.root_gib < server.root_gib and not volume_backed) or flavor.ephemeral_gib < server.ephemeral_gib:
        raise errors.Invalid(reason="Resize error: Unable to resize disk down.")
    image = session.get(Image, server.image_id) if server.image_id else None
    if image is not None:
        server_inputs.check_memory(image, flavor)
        if not volume_backed:
            server_inputs.check_fit(image, flavor)
    check_properties(server.image_properties, flavor.extra_specs, vcpus=flavor.vcpus)
