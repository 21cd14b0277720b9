"""Members of security groups as messages bring them: handed to the network, the newest kept.

Messages overtake each other: a paused conductor sends one late, and a reconciliation's answer describes a past moment.
So each group comes with its revision (`hostler.resources.revisions`), and an older one is skipped. Groups take effect
when their message arrives, before its call queues for anything.

Of a large group a message has only the ports that changed lately (`hostler.resources.network.port_specs`). A host that
has not the revision on which these changes build asks a conductor for what it missed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing

Groups = dict[str, dict[str, Any]]  # see `hostler.resources.network.port_specs.Groups`


class LargeGroup:
    """Who is in a large group, by port."""

    def __init__(self) -> None:
        self._of_port: dict[str, list[str]] = {}
        # Two ports may have an address in common, by an allowed pair.
        self._count: Counter[str] = Counter()

    def change(self, ports: Mapping[str, list[str]]) -> None:
        """Take the members that some ports have now."""
        for port_id, members in ports.items():
            for member in self._of_port.pop(port_id, ()):
                self._count[member] -= 1
                if not self._count[member]:
                    del self._count[member]
            if members:
                self._of_port[port_id] = members
                self._count.update(members)

    @property
    def members(self) -> list[str]:
        """All members, in no order."""
        return list(self._count)


class Members:
    """Called by the manager and by reconciliation; `ask` a conductor what follows on from revisions, or from None."""

    def __init__(self, network: NetworkPlumbing, ask: Callable[[dict[str, int | None]], Groups]) -> None:
        self._network = network
        self._ask = ask
        # Also keeps two messages in order between the record and the filter.
        self._lock = threading.Lock()
        # Forgotten at a restart, which the agent begins with a reconciliation.
        self._revisions: dict[str, int] = {}
        self._large: dict[str, LargeGroup] = {}

    def take(self, groups: Groups | None) -> None:
        """Apply a message's groups, except those older than the present ones; None is a message without groups.

        Raises Silent when changes were missed and no conductor says which.
        """
        if not groups:
            return
        with self._lock:
            newest = {group_id: group for group_id, group in groups.items() if self._is_news(group_id, group)}
            missed = {group_id: self._revisions[group_id] if group_id in self._large else None
                      for group_id, group in newest.items() if not self._follows(group_id, group)}
            if missed:
                newest.update(self._ask(missed))
            if newest:
                self._apply(newest)

    def known(self) -> dict[str, int]:
        """Return the revisions of the groups taken since the agent started."""
        with self._lock:
            return dict(self._revisions)

    def _is_news(self, group_id: str, group: dict[str, Any]) -> bool:
        present = self._revisions.get(group_id, -1)
        # One that has all members may be newer than its revision says.
        return bool(group["revision"] >= present if _is_whole(group) else group["revision"] > present)

    def _follows(self, group_id: str, group: dict[str, Any]) -> bool:
        return _is_whole(group) or (group_id in self._large and self._revisions[group_id] >= group["since"])

    def _apply(self, groups: Groups) -> None:
        before, members = self._large, {}
        # A large group that cannot be applied is not known any more, and asked for with the next message.
        self._large = {group_id: group for group_id, group in before.items() if group_id not in groups}
        large: dict[str, LargeGroup] = {}
        for group_id, group in groups.items():
            if "ports" in group:
                large[group_id] = LargeGroup() if _is_whole(group) else before[group_id]
                large[group_id].change(group["ports"])
            members[group_id] = large[group_id].members if group_id in large else group["members"]
        self._network.update_groups(members)
        # Not before: what failed here must be sent again.
        self._revisions.update({group_id: group["revision"] for group_id, group in groups.items()})
        self._large.update(large)


def _is_whole(group: dict[str, Any]) -> bool:
    return "members" in group or group["since"] is None
