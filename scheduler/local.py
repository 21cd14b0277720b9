"""The scheduler in the process that asks it: the same plan and claims as behind the bus, without the messages."""

from __future__ import annotations

from collections.abc import Sequence

from hostler.context import RequestContext
from scheduler.backend_request import BackendChoice, BackendRequest
from scheduler.manager import SchedulerManager
from scheduler.request import Choice, Request


class LocalScheduler:
    """Answers as `scheduler.rpcapi.SchedulerAPI` does."""

    def __init__(self, manager: SchedulerManager) -> None:
        self._manager = manager

    def select_host(self, context: RequestContext, request: Request) -> Choice:
        """Choose and claim a host."""
        return self._manager.choose(request, context)

    def select_backends(self, context: RequestContext, requests: Sequence[BackendRequest]) -> list[BackendChoice]:
        """Choose and claim a back end for each volume."""
        return self._manager.choose_backends(requests, context)
