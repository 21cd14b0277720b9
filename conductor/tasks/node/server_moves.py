"""The task that has a moving server's volumes follow it from host to host."""

from __future__ import annotations

import functools
from typing import Any

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.attachments import attachments_of, connect, disconnect
from conductor.tasks.node.calls import tried
from conductor.tasks.records.migrations import migration_of


class MoveConnections(OperationTask):
    """Have the nodes of the server's volumes let its new host in, and the old one no longer: the guest is off. Revert:
    let the source in again."""

    def execute(self) -> None:
        """Connect to the host that the record names now."""
        host = host_of(self.run)
        if host is not None:
            for attachment_id in attachments_of(self.run):
                _move(self.run, attachment_id, host)

    def revert(self, **_: Any) -> None:
        """Connect to the source."""
        source = migration_of(self.run).source_host
        for attachment_id in attachments_of(self.run):
            tried(f"server {self.run.resource_id} may not reach the volume of attachment {attachment_id}",
                  functools.partial(_move, self.run, attachment_id, str(source)))


def _move(run: Run, attachment_id: str, host: str) -> None:
    # One attachment has one connection: a node asked again for another host would answer with the first one's.
    disconnect(run, attachment_id)
    connect(run, attachment_id, host)
