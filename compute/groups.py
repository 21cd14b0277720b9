"""Members of security groups as messages bring them: handed to the network, the newest kept.

A message's groups are put into force when it arrives, before anything that its call waits for, so that a build that
waits for its turn does not undo what came meanwhile. The answer to a reconciliation is about a moment that has
passed: groups that anybody told of since are left out of it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing

Groups = dict[str, list[str]]


class Members:
    """Called by the manager and by reconciliation."""

    def __init__(self, network: NetworkPlumbing) -> None:
        self._network = network
        # Also keeps two messages in order between the record and the filter.
        self._lock = threading.Lock()
        self._clock = 0
        self._told: dict[str, int] = {}

    def take(self, groups: Groups | None) -> None:
        """Put what a message brought into force; None is a message without groups."""
        if not groups:
            return
        with self._lock:
            self._clock += 1
            self._told.update(dict.fromkeys(groups, self._clock))
            self._network.update_groups(groups)

    def mark(self) -> int:
        """Return a mark of the present moment for `take_since`."""
        with self._lock:
            return self._clock

    def take_since(self, groups: Groups, mark: int) -> None:
        """Put what was asked for at `mark` into force, but for groups that a message told of since."""
        with self._lock:
            unchanged = {group_id: cidrs for group_id, cidrs in groups.items() if self._told.get(group_id, 0) <= mark}
            self._told = {group_id: at for group_id, at in self._told.items() if at > mark}
            if unchanged:
                self._network.update_groups(unchanged)
