"""Loads the packet filters of networks, and keeps the sets of security groups in them as the members come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from compute.network import firewall, nft
from compute.network.links import Layout
from compute.network.records import GroupStore, NetworkRecord
from hostler import errors
from hostler.resources.server.specs import NetworkSpec

Members = Mapping[str, Sequence[str]]


class Filters:
    """One host's. `groups` has the members; `layout` says how a network is linked."""

    def __init__(self, groups: GroupStore, layout: Callable[[NetworkSpec], Layout]) -> None:
        self._groups, self._layout = groups, layout

    def load(self, record: NetworkRecord) -> None:
        """Make the network's tables what its ports need, whatever is there; raises `AgentError`."""
        self._load(record, *self._script(record))

    def follow(self, record: NetworkRecord) -> None:
        """As `load`, where that would load something else than what was loaded last. Tables that somebody has flushed
        since are the watchdog's affair."""
        script, groups = self._script(record)
        if script != record.script:
            self._load(record, script, groups)

    def _script(self, record: NetworkRecord) -> tuple[str, Members]:
        groups = self._groups.ranges(firewall.groups_named(record.port_specs))
        return firewall.render(self._layout(record.network), record.zone, record.port_specs, groups), groups

    @staticmethod
    def _load(record: NetworkRecord, script: str, groups: Members) -> None:
        nft.apply(script)
        record.script, record.loaded = script, firewall.member_sets(groups, record.network)

    def refill(self, record: NetworkRecord) -> None:
        """Give the sets of a loaded table the members that are known now; raises `AgentError`."""
        now = firewall.member_sets(self._groups.ranges(firewall.groups_named(record.port_specs)), record.network)
        changed = {name: elements for name, elements in now.items()
                   if elements != record.loaded.get(name, elements)}
        if not changed:
            return
        record.script = ""
        try:
            nft.apply(firewall.render_groups(record.network.id, changed))
        except errors.AgentError:
            # The table may have been flushed by hand: load all of it, or raise why that fails.
            self.load(record)
        else:
            record.loaded = {**record.loaded, **changed}
