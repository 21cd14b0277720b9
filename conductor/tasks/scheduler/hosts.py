"""Tasks that find a server its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask, failed
from hostler import errors
from hostler.db.models import Server, VolumeAttachment
from hostler.operations import notes
from hostler.resources.server import allocations
from hostler.resources.server.migrations import flavor_of
from scheduler.rpcapi import Request

_WANTED = sa.select(
    Server.id, Server.project_id, Server.vcpus, Server.ram_mib, Server.root_gib, Server.ephemeral_gib, Server.swap_mib,
    Server.flavor_id, Server.flavor, Server.requested_zone, Server.requested_host, Server.image_properties,
    Server.scheduler_hints).where(Server.id == sa.bindparam("server"))
_BOOT_VOLUME = sa.select(VolumeAttachment.id).where(
    VolumeAttachment.server_id == sa.bindparam("server"), VolumeAttachment.boot_index == 0)


class SelectHost(OperationTask):
    """Have the scheduler choose and claim a host. Revert: release the claim and do not try that host again."""

    default_provides = "choice"

    def execute(self) -> dict[str, Any]:
        """Return {"host_id", "host", "zone"}."""
        with self.run.reading() as session:
            request = self.request(session)
        try:
            return self.run.ask_scheduler(request).to_wire()
        except errors.NoValidHost as error:
            raise _with_earlier_failure(self.run, error) from error

    def request(self, session: orm.Session) -> Request:
        """Return what is asked of the scheduler."""
        return _request(session, self.run)

    def revert(self, result: Any, **_: Any) -> None:
        """Release the claim."""
        host = None if failed(result) or not result else result["host"]

        def work(session: orm.Session) -> None:
            allocations.release(session, self.run.resource_id)
            if host is not None:
                notes.write(session, self.run.held.id, notes.EXCLUDED, key=host)

        self.run.write(work)


def _request(session: orm.Session, run: Run) -> Request:
    server = session.execute(_WANTED, {"server": run.resource_id}).one_or_none()
    if server is None:
        raise errors.NotFound(resource="Instance", id=run.resource_id)
    return Request(
        consumer_id=server.id, project_id=server.project_id, vcpus=server.vcpus, ram_mib=server.ram_mib,
        disk_gib=local_disk_gib(session, server.id, flavor_of(server)), zone=server.requested_zone,
        host=server.requested_host, extra_specs=server.flavor.get("extra_specs", {}),
        image_properties=server.image_properties, hints=server.scheduler_hints,
        excluded_hosts=tuple(notes.keys(session, run.held.id, notes.EXCLUDED)))


def local_disk_gib(session: orm.Session, server_id: str, flavor: Mapping[str, Any]) -> int:
    """Return what a server's disks take of its host with `flavor` (`flavor_of`): the root disk nothing when it boots
    from a volume."""
    volume = session.scalar(_BOOT_VOLUME, {"server": server_id})
    return (flavor["root_gib"] if volume is None else 0) + flavor["ephemeral_gib"] + -(-flavor["swap_mib"] // 1024)


def _with_earlier_failure(run: Run, error: errors.NoValidHost) -> errors.HostlerError:
    """Name the failure that made this another try, which tells the user more than the lack of further hosts."""
    with run.reading() as session:
        earlier = notes.value(session, run.held.id, notes.FAILURE)
    if not earlier:
        return error
    return errors.NoValidHost(f"Build of instance {run.resource_id} failed: {earlier} (and no other host could "
                              f"take it: {error})", **error.fields)
