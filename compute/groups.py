"""Members of security groups as messages bring them: handed to the network, the newest kept.

Messages overtake each other: a paused conductor sends one late, and a reconciliation's answer describes a past moment.
So each group comes with its revision (`hostler.resources.revisions`), and an older one is skipped. Groups take effect
when their message arrives, before its call queues for anything.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing

Groups = dict[str, dict[str, Any]]  # {group id: {"revision", "members"}}


class Members:
    """Called by the manager and by reconciliation."""

    def __init__(self, network: NetworkPlumbing) -> None:
        self._network = network
        # Also keeps two messages in order between the record and the filter.
        self._lock = threading.Lock()
        # Forgotten at a restart, which the agent begins with a reconciliation.
        self._revisions: dict[str, int] = {}

    def take(self, groups: Groups | None) -> None:
        """Apply a message's groups, except those older than the present ones; None is a message without groups."""
        if not groups:
            return
        with self._lock:
            newest = {group_id: group for group_id, group in groups.items()
                      if group["revision"] >= self._revisions.get(group_id, 0)}
            if newest:
                self._network.update_groups({group_id: group["members"] for group_id, group in newest.items()})
                # Not before: what failed here must be sent again.
                self._revisions.update({group_id: group["revision"] for group_id, group in newest.items()})

    def known(self) -> dict[str, int]:
        """Return the revisions of the groups taken since the agent started."""
        with self._lock:
            return dict(self._revisions)
