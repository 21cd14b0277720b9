"""What a compute agent tells and asks the conductors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compute import rpcapi
from compute.groups import Groups
from conductor.rpcapi import ConductorAPI
from hostler.agent.buslink import LONG_ANSWERS_S, BusLink
from hostler.bus import Bus
from hostler.context import RequestContext


class ComputeLink(BusLink[ConductorAPI]):
    """A compute agent's ends on the bus."""

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        """See ConductorAPI."""
        return self.ask_until_answered(lambda conductor, timeout_s: self.conductor.heartbeat(
            context, host, report, conductor=conductor, timeout_s=timeout_s))

    def server_events(self, context: RequestContext, host: str, events: list[dict[str, Any]]) -> None:
        """See ConductorAPI."""
        self.ask_until_answered(lambda conductor, timeout_s: self.conductor.server_events(
            context, host, events, conductor=conductor, timeout_s=timeout_s))

    def volumes_released(self, context: RequestContext, host: str, released: list[dict[str, Any]]) -> None:
        """See ConductorAPI."""
        self.ask_until_answered(lambda conductor, timeout_s: self.conductor.volumes_released(
            context, host, released, conductor=conductor, timeout_s=timeout_s))

    def password_posted(self, host: str, server_id: str, password: str) -> bool:
        """See ConductorAPI; tells whether the password was taken."""
        answer = self.conductor.password_posted(RequestContext.system(), host, server_id, password,
                                                conductor=self.answering)
        return bool(answer["accepted"])

    def reconcile(self, context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int], asides: list[str] | None = None) -> dict[str, Any]:
        """See ConductorAPI."""
        return self.ask_until_answered(lambda conductor, timeout_s: self.conductor.reconcile(
            context, host, present, known_groups, asides, conductor=conductor, timeout_s=timeout_s), LONG_ANSWERS_S)

    def group_members(self, host: str, known: dict[str, int | None]) -> Groups:
        """See ConductorAPI."""
        answer = self.ask_until_answered(lambda conductor, timeout_s: self.conductor.group_members(
            RequestContext.system(), host, known, conductor=conductor, timeout_s=timeout_s))
        return dict(answer["groups"])

    def leader_silent(self, host: str, leader: str) -> None:
        """See ConductorAPI."""
        self.conductor.leader_silent(RequestContext.system(), host, leader)

    def report_progress(self, context: RequestContext, percent: int) -> bool:
        """See ConductorAPI."""
        return self.conductor.report_progress(context, percent)


def open_link(host: str, bus: Bus | None, make_bus: Callable[[], Bus]) -> ComputeLink:
    """Return the link of `host`'s agent: on a lent `bus`, or on connections that `make_bus` opens."""
    return ComputeLink(host, rpcapi.TOPIC, rpcapi.RPC_VERSION, ConductorAPI, bus=bus,
                       open_bus=None if bus is not None else make_bus)
