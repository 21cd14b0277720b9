"""How the conductor asks for a host, or for the back ends of volumes."""

from __future__ import annotations

from typing import Any

from hostler.bus import Bus
from hostler.context import RequestContext
from scheduler.backend_request import BackendRequest

__all__ = ["RPC_VERSION", "TOPIC", "BackendRequest", "SchedulerAPI"]

TOPIC = "scheduler"
RPC_VERSION = "1.0"


class SchedulerAPI:
    """Client of the schedulers; any of them may answer."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def select_host(self, context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
        """Choose and claim a host for a request (`scheduler.request.Request` as a map).

        Returns {"host_id", "host", "zone"}. Safe to repeat: a consumer that holds a claim gets the same host again.
        Raises NoValidHost (its `removed` maps filters to counts, `retry` says that silent hosts could have taken it).
        """
        # Watched for signs of life, so that a scheduler that dies meanwhile costs seconds, not the whole timeout.
        return self._client.to(long=True, timeout_s=60).call(context, "select_host", {"request": request})

    def select_backend(self, context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
        """Choose and claim a back end for a volume (`BackendRequest` as a map).

        Returns {"backend_id", "node", "backend", "zone"}; the volume's record names the back end then. Safe to repeat:
        a volume that is on a back end gets the same again. Raises NoValidBackend (`removed`, `retry` as NoValidHost).
        """
        [choice] = self.select_backends(context, [request])
        return choice

    def select_backends(self, context: RequestContext, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As `select_backend` for several volumes in one transaction: all are claimed, or none."""
        answer: list[dict[str, Any]] = self._client.to(long=True, timeout_s=60).call(
            context, "select_backends", {"requests": requests})
        return answer
