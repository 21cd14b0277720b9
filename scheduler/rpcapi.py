"""How the conductor asks for a host."""

from __future__ import annotations

from typing import Any

from hostler.bus import Bus
from hostler.context import RequestContext

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
        return self._client.call(context, "select_host", long=True, timeout_s=60, request=request)
