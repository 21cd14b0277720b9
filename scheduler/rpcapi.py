"""How the conductor asks for a host, or for the back ends of volumes.

A claim belongs to the operation that the context names: it is made only while that attempt still runs
(`errors.StaleAttempt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hostler.bus import Bus, Peer
from hostler.context import RequestContext
from scheduler.backend_request import BackendChoice, BackendRequest
from scheduler.request import NO_GROUP, Choice, Request

__all__ = ["NO_GROUP", "RPC_VERSION", "TOPIC", "BackendChoice", "BackendRequest", "Choice", "Request",
           "Scheduler", "SchedulerAPI"]

TOPIC = "scheduler"
RPC_VERSION = "2.0"
TIMEOUT_S = 60.0


class Scheduler(Protocol):
    """What chooses and claims: `SchedulerAPI` over the bus, or `scheduler.local.LocalScheduler` in this process."""

    def select_host(self, context: RequestContext, request: Request) -> Choice:
        """See SchedulerAPI."""

    def select_backends(self, context: RequestContext, requests: Sequence[BackendRequest]) -> list[BackendChoice]:
        """See SchedulerAPI."""


class SchedulerAPI:
    """Client of the schedulers; any of them may answer."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def select_host(self, context: RequestContext, request: Request) -> Choice:
        """Choose and claim a host. Safe to repeat: a consumer that holds a claim gets the same host again.

        Raises NoValidHost (its `removed` maps filters to counts, `retry` says that silent hosts could have taken it).
        """
        return Choice.from_wire(self._any().call(context, "select_host", {"request": request.to_wire()}))

    def select_backends(self, context: RequestContext, requests: Sequence[BackendRequest]) -> list[BackendChoice]:
        """Choose and claim a back end for each volume in one transaction: all are claimed, or none.

        Safe to repeat: a volume that is on a back end gets the same again. Raises NoValidBackend (`removed`, `retry` as
        NoValidHost).
        """
        answers = self._any().call(context, "select_backends", {"requests": [each.to_wire() for each in requests]})
        return [BackendChoice.from_wire(answer) for answer in answers]

    def _any(self) -> Peer:
        # Watched for signs of life, so that a scheduler that dies during the call costs seconds, not the whole timeout.
        return self._client.to(long=True, timeout_s=TIMEOUT_S)
