"""The task that rebuilds a server on its host."""

from __future__ import annotations

from typing import Any

from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of, load_spec
from hostler import errors
from hostler.resources import revisions


class RebuildServer(OperationTask):
    """Have the host replace the server's disks and guest. Revert: nothing to undo, the old content is gone."""

    default_provides = "guest"

    def execute(self, admin_password: str | None, stopped: bool) -> dict[str, Any]:
        """Return {"power_state"}."""
        run, host = self.run, host_of(self.run)
        if host is None:
            raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
        # Committed before the host is asked: its reports until now are about the guest that is replaced.
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        spec, groups = load_spec(run, admin_password=admin_password)
        return run.ask_host(host, run.cloud.compute.rebuild_server, spec, not stopped, groups)
