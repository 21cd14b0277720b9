"""host.drain: the servers of a host that is out of service are moved elsewhere.

1. MoveServersAway   accepts a migration for each, a few at a time, and waits for them (nothing to undo)
"""

from __future__ import annotations

from conductor.flows.ends import reports
from conductor.procedure import in_order
from conductor.tasks.records.drain import MoveServersAway
from hostler.operations.kinds import cloud as kinds

# What stays, and why, is noted. After a failure, what was moved stays where it is.
PROCEDURE = in_order(kinds.DRAIN, [MoveServersAway], reports("stays"))
