"""Tasks that find a server its host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask, failed
from hostler import errors
from hostler.db.compiled import execute_built
from hostler.db.models import Server, ServerGroupMember, VolumeAttachment
from hostler.operations import notes
from hostler.resources.network import reach
from hostler.resources.server import allocations
from hostler.resources.server.migrations import flavor_of
from scheduler.rpcapi import NO_GROUP, Choice, Request

_BOOTS_FROM_VOLUME = sa.exists().where(
    VolumeAttachment.server_id == Server.id, VolumeAttachment.boot_index == 0).label("boots_from_volume")
_WANTED = sa.select(
    Server.id, Server.project_id, Server.vcpus, Server.ram_mib, Server.root_gib, Server.ephemeral_gib, Server.swap_mib,
    Server.flavor_id, Server.flavor, Server.requested_zone, Server.requested_host, Server.image_properties,
    Server.scheduler_hints, _BOOTS_FROM_VOLUME, reach.IS_LIMITED.label("reach_is_limited"),
    notes.are_there(notes.EXCLUDED).label("has_exclusions"),
    sa.exists().where(ServerGroupMember.server_id == Server.id).label("is_grouped"),
).where(Server.id == sa.bindparam("server"))
_BOOTED = sa.select(_BOOTS_FROM_VOLUME).where(Server.id == sa.bindparam("server"))


class SelectHost(OperationTask):
    """Have the scheduler choose and claim a host. Revert: release the claim and do not try that host again."""

    default_provides = "choice"

    def execute(self) -> dict[str, Any]:
        """Return {"host_id", "host", "zone"}; the server's own host when it has claimed one."""
        run = self.run
        with run.reading() as session:
            request = request_for(session, run)
        return choose(run, request).to_wire()

    def revert(self, result: Any, **_: Any) -> None:
        """Release the claim."""
        host = None if failed(result) or not result else result["host"]

        def work(session: orm.Session) -> None:
            allocations.release(session, self.run.resource_id)
            if host is not None:
                notes.write(session, self.run.held.id, notes.EXCLUDED, key=host)

        self.run.write(work)


def request_for(session: orm.Session, run: Run, flavor: Mapping[str, Any] | None = None, *,
                excluded: Sequence[str] = (), **more: Any) -> Request:
    """Return what is asked of the scheduler for the run's server: with `flavor` (as `flavor_of`) instead of its own,
    and `more` instead of what its record says. Hosts where the operation has failed are `excluded`, too."""
    server = execute_built(session, _WANTED, {"server": run.resource_id, "operation": run.held.id}).one_or_none()
    if server is None:
        raise errors.NotFound(resource="Instance", id=run.resource_id)
    size = flavor or flavor_of(server)
    failed_on = notes.keys(session, run.held.id, notes.EXCLUDED) if server.has_exclusions else ()
    return Request(**{
        "consumer_id": server.id, "project_id": server.project_id, "vcpus": size["vcpus"], "ram_mib": size["ram_mib"],
        "disk_gib": _local_disk_gib(size, server.boots_from_volume), "zone": server.requested_zone,
        "host": server.requested_host, "extra_specs": size["flavor"].get("extra_specs", {}),
        "image_properties": server.image_properties, "hints": server.scheduler_hints,
        "networks": reach.needed(session, server.id) if server.reach_is_limited else (),
        "excluded_hosts": (*failed_on, *excluded), "group_id": None if server.is_grouped else NO_GROUP, **more})


def choose(run: Run, request: Request) -> Choice:
    """Return the host that the scheduler chose and claimed; an earlier failure explains why none is left."""
    try:
        return run.ask_scheduler(request)
    except errors.NoValidHost as error:
        raise _with_earlier_failure(run, error) from error


def local_disk_gib(session: orm.Session, server_id: str, flavor: Mapping[str, Any]) -> int:
    """Return what a server's disks take of its host with `flavor` (`flavor_of`): the root disk nothing when it boots
    from a volume."""
    return _local_disk_gib(flavor, bool(session.scalar(_BOOTED, {"server": server_id})))


def _local_disk_gib(flavor: Mapping[str, Any], boots_from_volume: bool) -> int:
    return (0 if boots_from_volume else flavor["root_gib"]) + flavor["ephemeral_gib"] + -(-flavor["swap_mib"] // 1024)


def _with_earlier_failure(run: Run, error: errors.NoValidHost) -> errors.HostlerError:
    """Name the failure that made this another try, which tells the user more than the lack of further hosts."""
    with run.reading() as session:
        earlier = notes.value(session, run.held.id, notes.FAILURE)
    if not earlier:
        return error
    return errors.NoValidHost(f"Build of instance {run.resource_id} failed: {earlier} (and no other host could "
                              f"take it: {error})", **error.fields)
