"""Loads the packet filters of networks, and keeps the sets of security groups in them as the members come and go."""

from __future__ import annotations

from collections.abc import Callable

from compute.network import firewall, nft
from compute.network.links import Layout
from compute.network.records import GroupStore, NetworkRecord
from hostler import errors
from hostler.resources.server.specs import NetworkSpec


class Filters:
    """One host's. `groups` has the members; `layout` says how a network is linked."""

    def __init__(self, groups: GroupStore, layout: Callable[[NetworkSpec], Layout]) -> None:
        self._groups, self._layout = groups, layout

    def load(self, record: NetworkRecord) -> None:
        """Make the network's tables what its ports need; raises `AgentError`."""
        groups = self._groups.ranges(firewall.groups_named(record.port_specs))
        nft.apply(firewall.render(self._layout(record.network), record.zone, record.port_specs, groups))
        record.loaded = firewall.member_sets(groups, record.network)

    def refill(self, record: NetworkRecord) -> None:
        """Give the sets of a loaded table the members that are known now; raises `AgentError`."""
        now = firewall.member_sets(self._groups.ranges(firewall.groups_named(record.port_specs)), record.network)
        changed = {name: elements for name, elements in now.items()
                   if elements != record.loaded.get(name, elements)}
        if not changed:
            return
        try:
            nft.apply(firewall.render_groups(record.network.id, changed))
        except errors.AgentError:
            # The table may have been flushed by hand: load all of it, or raise why that fails.
            self.load(record)
        else:
            record.loaded = {**record.loaded, **changed}
