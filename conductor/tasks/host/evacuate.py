"""The task that has a new host make the server of one that is down."""

from __future__ import annotations

from typing import Any

from conductor.run import HandOver
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import destroy, load_spec
from conductor.tasks.records.notes import note_build_failure
from hostler import errors
from hostler.db.models import Server
from hostler.resources import revisions
from hostler.resources.server import states

_LOOK_AGAIN_S = 5.0


class RebuildServer(OperationTask):
    """Have the new host make the server, and start it unless it is to be off. Revert: have it remove all of it."""

    default_provides = "guest"

    def execute(self, choice: dict[str, Any], admin_password: str | None, stays_off: bool) -> dict[str, Any]:
        """Return {"power_state"}."""
        run, compute = self.run, self.run.cloud.compute
        with run.reading() as session:
            off = stays_off or session.get_one(Server, run.resource_id).vm_state == states.STOPPED
        # Reports of the old host, also late ones, are about a guest that is replaced now.
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        spec, groups = load_spec(run, admin_password=admin_password)
        try:
            return run.ask_host(choice["host"], compute.prepare_server if off else compute.spawn_server, spec, groups)
        except errors.HostlerError as error:
            note_build_failure(run, error)
            raise

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove the server there. While that host is silent it may be running the server, which must therefore
        be started nowhere else: this waits for it without limit."""
        try:
            destroy(self.run, choice["host"])
        except errors.HostUnreachable as error:
            raise HandOver(reason=f"{choice['host']} is silent, and may run server {self.run.resource_id}",
                           delay_s=_LOOK_AGAIN_S, host=choice["host"], waiting_for=choice["host"]) from error
