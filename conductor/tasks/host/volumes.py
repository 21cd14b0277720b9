"""Tasks that ask hosts about the volumes of their guests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.calls import tried
from conductor.tasks.records.holders import holders_of
from hostler.db.models import Volume, VolumeAttachment
from hostler.resources.server.records import attached_spec
from hostler.resources.server.specs import AttachedSpec

_GIB = 1 << 30


class PlugVolume(OperationTask):
    """Have the host give the volume to the guest. Revert: have it take the volume out again."""

    def execute(self, attachment_id: str) -> None:
        """Plug."""
        plug(self.run, attachment_id)

    def revert(self, volume_id: str, **_: Any) -> None:
        """Unplug; what the guest does not release is removed by force: the user was told that attaching failed."""
        tried(f"volume {volume_id} may be left in server {self.run.resource_id} until its host reconciles",
              lambda: unplug(self.run, volume_id))


class UnplugVolume(OperationTask):
    """Have the host take the volume from the guest. Revert: give it back, since it stays attached."""

    def execute(self, volume_id: str) -> None:
        """Unplug; fails when the guest does not let go in time."""
        unplug(self.run, volume_id)

    def revert(self, attachment_id: str, volume_id: str, **_: Any) -> None:
        """Plug it again; a guest that never released it still has it, which its host sees."""
        tried(f"volume {volume_id} is attached to server {self.run.resource_id} by the records, and gets in with its "
              "next start", lambda: plug(self.run, attachment_id))


class ExtendOnHosts(OperationTask):
    """Have the hosts of the servers that have the volume show its new size. Revert: nothing to undo."""

    weight = 0

    def execute(self, size_gib: int) -> None:
        """Tell them one by one; where the volume is a shared file, the first grows it."""
        run = self.run
        for holder in holders_of(run):
            run.ask_host(holder.host, run.cloud.compute.resize_volume, holder.server_id, run.resource_id,
                         size_gib * _GIB)


def plug(run: Run, attachment_id: str) -> None:
    """Have the server's host give it the volume of an attachment."""
    host = host_of(run)
    if host is None:
        return
    with run.reading() as session:
        spec = _spec(session, attachment_id)
    run.ask_host(host, run.cloud.compute.attach_volume, run.resource_id, spec)


def unplug(run: Run, volume_id: str) -> None:
    """Have the server's host take the volume out; raises AgentError when the guest does not let go in time."""
    host = host_of(run)
    if host is None:
        return
    run.ask_host(host, run.cloud.compute.detach_volume, run.resource_id, volume_id,
                 run.conf.volume.detach_timeout)


def _spec(session: orm.Session, attachment_id: str) -> AttachedSpec:
    attachment = session.get_one(VolumeAttachment, attachment_id)
    return attached_spec(attachment, session.get_one(Volume, attachment.volume_id))
