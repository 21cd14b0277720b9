"""Hosts that the policy of the server's group allows."""

from __future__ import annotations

from scheduler.groups import AFFINITY, ANTI_AFFINITY, max_per_host
from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class ServerGroup:
    """Affinity: where the members are. Anti-affinity: where fewer than the group's limit are. Soft ones: anywhere."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that the policy allows; None for no policy, a soft one, or an empty group."""
        if not request.group_host_ids:
            return None
        if request.group_policy == AFFINITY:
            return snapshot.mask_of(request.group_host_ids)
        if request.group_policy == ANTI_AFFINITY:
            allowed: Mask = snapshot.counts_of(request.group_host_ids) < max_per_host(request.group_rules)
            return allowed
        return None
