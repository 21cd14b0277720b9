"""The task that follows a packet."""

from __future__ import annotations

from typing import Any

from conductor.tasks.base import OperationTask
from conductor.trace.rules import Packet
from conductor.trace.trace import trace


class TracePacket(OperationTask):
    """Follow a packet by the records and by what hosts have. Revert: nothing to undo."""

    default_provides = "report"

    def execute(self, to: str, protocol: str, port: int | None) -> dict[str, Any]:
        """Return the report (`conductor.trace.trace.trace`)."""
        return trace(self.run, self.run.resource_id, to, Packet(protocol, port))
