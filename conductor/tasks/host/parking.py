"""Tasks that switch a server off for a while, as it goes into the trash or is shelved, and on again."""

from __future__ import annotations

from typing import Any, Final

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import destroy, host_of, load_spec, require_host
from conductor.tasks.node.calls import tried
from hostler import errors
from hostler.db.models import Server
from hostler.resources import revisions
from hostler.resources.server import states

# States in which a server that comes back from the trash runs.
_RUNS: Final = (states.ACTIVE, states.RESIZED)


class SwitchOff(OperationTask):
    """Have the host shut the guest down, when it is on one. Revert: have it start the guest again, if it ran."""

    default_provides = "guest"

    def execute(self) -> dict[str, Any]:
        """Return {"power_state"}."""
        run, host = self.run, host_of(self.run)
        if host is None:
            return {"power_state": "nostate"}
        # Committed before the host is asked: its reports until now are out of date.
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        spec, _ = load_spec(run)
        return run.ask_host(host, run.cloud.compute.stop_server, spec, run.conf.compute.shutdown_timeout)

    def revert(self, **_: Any) -> None:
        """Start; a guest that was paused or suspended boots, since its memory is lost."""
        run = self.run
        with run.reading() as session:
            server = session.get_one(Server, run.resource_id)
            ran = server.host_id is not None and server.vm_state in _RUNS
        if ran:
            tried(f"server {run.resource_id} is switched off although it is {states.ACTIVE}", lambda: _start(run))


class SwitchOn(OperationTask):
    """Have the host start the guest of a server that ran before. Revert: nothing to undo, it is off in the trash."""

    default_provides = "guest"

    def execute(self) -> dict[str, Any]:
        """Return {"power_state"}."""
        run = self.run
        with run.reading() as session:
            server = session.get_one(Server, run.resource_id)
            before, power_state = server.parked_from, server.power_state
        if before not in _RUNS:
            return {"power_state": power_state}
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        return _start(run)


class LeaveHost(OperationTask):
    """Have the host remove the shelved server. Revert: nothing to undo, its image or volumes have its disk."""

    def execute(self) -> None:
        """Remove it; a host that fails or stays silent does so when it reconciles: the server is not on it any more."""
        run = self.run
        with run.reading() as session:
            vm_state = session.get_one(Server, run.resource_id).vm_state
        if vm_state != states.SHELVED:
            # It waited for its turn, and another operation came first.
            raise errors.InvalidState(action="shelveOffload", resource="instance", id=run.resource_id,
                                      attribute="vm_state", state=vm_state)
        host = host_of(run)
        if host is not None:
            tried(f"server {run.resource_id} is left on host {host} until that reconciles", lambda: destroy(run, host))


def _start(run: Run) -> dict[str, Any]:
    spec, groups = load_spec(run)
    return run.ask_host(require_host(run), run.cloud.compute.start_server, spec, groups)
