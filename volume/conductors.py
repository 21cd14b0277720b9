"""What a volume agent reports to and asks of the conductors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conductor.rpcapi import ConductorAPI
from hostler.agent.buslink import LONG_ANSWERS_S, BusLink
from hostler.bus import Bus
from hostler.context import RequestContext
from volume import rpcapi


class VolumeLink(BusLink[ConductorAPI]):
    """A volume agent's ends on the bus."""

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        """See ConductorAPI.volume_heartbeat."""
        return self.ask_until_answered(lambda conductor, timeout_s: self.conductor.volume_heartbeat(
            context, host, report, conductor=conductor, timeout_s=timeout_s))

    def volume_reconcile(self, context: RequestContext, node: str, present: dict[str, Any]) -> dict[str, Any]:
        """See ConductorAPI."""
        return self.ask_until_answered(lambda conductor, timeout_s: self.conductor.volume_reconcile(
            context, node, present, conductor=conductor, timeout_s=timeout_s), LONG_ANSWERS_S)

    def report_progress(self, context: RequestContext, percent: int) -> bool:
        """See ConductorAPI."""
        return self.conductor.report_progress(context, percent)


def open_link(node: str, bus: Bus | None, make_bus: Callable[[], Bus]) -> VolumeLink:
    """Return the link of `node`'s agent: on a lent `bus`, or on connections that `make_bus` opens."""
    return VolumeLink(node, rpcapi.TOPIC, rpcapi.RPC_VERSION, ConductorAPI, bus=bus,
                      open_bus=None if bus is not None else make_bus)
