"""The task that writes a server's host."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa

from conductor.tasks.base import OperationTask
from hostler import clock
from hostler.db.models import Server
from hostler.resources.network import ports

_SERVERS = cast(sa.Table, Server.__table__)
_ASSIGN = sa.update(_SERVERS).where(_SERVERS.c.id == sa.bindparam("server")).values(
    host_id=sa.bindparam("new_host"), event_number=0, updated_at=sa.bindparam("moment"))


class AssignHost(OperationTask):
    """Write the host into the server's record and its ports. Revert: take it out again."""

    unannounced = True

    def execute(self, choice: dict[str, Any]) -> None:
        """Assign."""
        self.run.host = choice["host"]
        self._assign(choice["host_id"], "BUILD")

    def revert(self, **_: Any) -> None:
        """Unassign."""
        self._assign(None, "DOWN")

    def _assign(self, host_id: str | None, port_status: str) -> None:
        # Another host numbers its reports by another clock.
        assign = {"server": self.run.resource_id, "new_host": host_id, "moment": clock.utcnow()}
        self.run.write(lambda session: ports.set_ports_host(session, self.run.resource_id, host_id, port_status),
                       beside=(_ASSIGN, assign))
