"""Tasks that have a host rescue a server, and end that."""

from __future__ import annotations

import dataclasses
from typing import Any

from conductor.faults import Failure, fault_of
from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import load_spec, require_host
from hostler import errors
from hostler.db.models import Server
from hostler.resources import revisions
from hostler.resources.server import states
from hostler.resources.server.moves import move
from hostler.resources.server.records import rescue_spec


class RescueServer(OperationTask):
    """Have the host run the server's rescue disk. Revert: have it put the guest back as it was."""

    default_provides = "guest"

    def execute(self, image_id: str, admin_password: str | None) -> dict[str, Any]:
        """Return {"power_state"}."""
        run, host = self.run, require_host(self.run)
        # Committed before the host is asked: its reports until now are out of date.
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        spec, groups = load_spec(run, admin_password=admin_password)
        with run.reading() as session:
            rescue = rescue_spec(session, run.conf, run.cloud.images, image_id)
        if rescue.image is None:
            raise errors.Conflict(reason=f"Rescue image {image_id} is gone.")
        return run.ask_host(host, run.cloud.compute.rescue_server,
                            dataclasses.replace(spec, rescue=rescue), groups)

    def revert(self, **_: Any) -> None:
        """Put back; a server whose guest stays in between is in error, and a hard reboot brings it back."""
        run = self.run
        with run.reading() as session:
            was_running = session.get_one(Server, run.resource_id).power_state == "running"
        try:
            put_back(run, start=was_running)
        except (errors.AgentError, errors.Unavailable) as error:
            fault = fault_of(Failure(error.code, str(error)))
            run.write(lambda session: move(session, run.resource_id, states.ERROR, {"fault": fault}))


class UnrescueServer(OperationTask):
    """Have the host put the guest back as it was before the rescue, and start it. Revert: nothing to undo."""

    default_provides = "guest"

    def execute(self) -> dict[str, Any]:
        """Return {"power_state"}."""
        run = self.run
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        return put_back(run, start=True)


def put_back(run: Run, *, start: bool) -> dict[str, Any]:
    """Have the host put the guest back; returns {"power_state"}."""
    host = require_host(run)
    spec, groups = load_spec(run)
    return run.ask_host(host, run.cloud.compute.unrescue_server, dataclasses.replace(spec, rescue=None), start, groups)
