"""The task that writes a server's host."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.tasks.base import OperationTask
from hostler.db.models import Server
from hostler.resources.network import ports


class AssignHost(OperationTask):
    """Write the host into the server's record and its ports. Revert: take it out again."""

    def execute(self, choice: dict[str, Any]) -> None:
        """Assign."""
        self.run.host = choice["host"]
        self._assign(choice["host_id"], "BUILD")

    def revert(self, **_: Any) -> None:
        """Unassign."""
        self._assign(None, "DOWN")

    def _assign(self, host_id: str | None, port_status: str) -> None:
        def work(session: orm.Session) -> None:
            # Another host numbers its reports by another clock.
            session.execute(sa.update(Server).where(Server.id == self.run.resource_id).values(
                host_id=host_id, event_number=0))
            ports.set_ports_host(session, self.run.resource_id, host_id, port_status)

        self.run.write(work)
