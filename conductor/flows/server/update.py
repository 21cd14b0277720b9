"""server.update: the guest's metadata service shows the server's new name and metadata; nothing waits for it.

1. TellGuest   the agent takes over the new spec (nothing to undo)
"""

from __future__ import annotations

from conductor.procedure import in_order
from conductor.tasks.host.servers import TellGuest
from hostler.operations.kinds import server as kinds

# The record changed when the operation was accepted; after a failure, reconciliation brings the spec to the host.
PROCEDURE = in_order(kinds.UPDATE, [TellGuest])
