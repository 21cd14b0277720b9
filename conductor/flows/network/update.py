"""network.apply_rules, network.update, network.update_router, network.update_peers: hosts are told what changed; no
resource waits for it.

1. ApplyRules, UpdateNetwork, UpdateRouter or UpdatePeers (nothing to undo)
"""

from __future__ import annotations

from conductor.procedure import in_order
from conductor.tasks.host.networks import ApplyRules, UpdateNetwork, UpdatePeers
from conductor.tasks.host.routers import UpdateRouter
from hostler.operations.kinds import network as kinds

# The records changed when the operation was accepted; after a failure, reconciliation brings the host up to date.
APPLY_RULES = in_order(kinds.APPLY_RULES, [ApplyRules])
UPDATE = in_order(kinds.UPDATE, [UpdateNetwork])
UPDATE_ROUTER = in_order(kinds.UPDATE_ROUTER, [UpdateRouter])
UPDATE_PEERS = in_order(kinds.UPDATE_PEERS, [UpdatePeers])
