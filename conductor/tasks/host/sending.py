"""Watching a guest while it is sent: progress is recorded, users' wishes go to the source, a time limit is enforced.

The naive way is one long call that returns when the guest is gone: nobody sees progress, and when the conductor dies
nobody waits for the answer. Here the source's agent is polled, at most a second at a time, so any conductor can take
over. It costs two short messages and two writes a second.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from conductor.run import Run
from conductor.tasks.records.live_migration import ABORT, FORCE, report
from hostler import errors
from hostler.resources.server import states
from hostler.resources.server.moves import move

LOG = logging.getLogger(__name__)
_WAIT_S: Final = 1.0
OFF: Final = ("shutdown", "crashed")
_BEGINNINGS: Final = 3  # how often an agent may forget, in restarts, that it was asked to send
_RUNNING, _MOVED, _ABORTED, _IDLE = "running", "moved", "aborted", "idle"  # as the agents say


class Sending:
    """One guest while it is sent."""

    def __init__(self, run: Run, source: str, landing: dict[str, Any]) -> None:
        self._run = run
        self._source = source
        self._landing = landing
        self._began_at = time.monotonic()
        self._steered: str | None = None
        self._beginnings = 0

    def follow(self) -> None:
        """Return when the guest has left its source; raises MigrationAborted, or AgentError when it stays."""
        status = self._begin()
        while status["state"] in (_RUNNING, _IDLE):
            if status["state"] == _IDLE:
                status = self._begin()
                continue
            self._run.check_may_start(undoing=True)
            self._steer(status["progress"])
            status = self._ask(self._run.cloud.compute.watch_migration, _WAIT_S)
        if status["state"] == _ABORTED:
            raise errors.MigrationAborted()
        if status["state"] != _MOVED:
            raise errors.AgentError(reason=status["reason"])

    def _begin(self) -> dict[str, Any]:
        self._beginnings += 1
        if self._beginnings > _BEGINNINGS:
            raise errors.AgentError(reason="The host's agent was interrupted too often while it sent the guest.")
        return self._ask(self._run.cloud.compute.send_server, self._landing)

    def _ask(self, method: Any, argument: Any) -> dict[str, Any]:
        return dict(self._run.ask_host(self._source, method, self._run.resource_id, argument))

    def _steer(self, progress: dict[str, Any] | None) -> None:
        wish = self._run.write(lambda session: report(session, self._run, progress))
        how = ABORT if wish.abort or wish.by_deletion else FORCE if wish.force else self._late(progress)
        if how is not None and how != self._steered:
            self._steered = how
            LOG.info("server %s on its way: %s", self._run.resource_id, how)
            self._run.ask_host(self._source, self._run.cloud.compute.steer_migration, self._run.resource_id, how)

    def _late(self, progress: dict[str, Any] | None) -> str | None:
        """Return how to steer a migration that takes too long for its size."""
        options = self._run.conf.libvirt
        if not options.live_migration_completion_timeout or progress is None:
            return None
        size_gib = max(2, (progress["memory_total_bytes"] + progress["disk_total_bytes"]) >> 30)
        if time.monotonic() - self._began_at < options.live_migration_completion_timeout * size_gib:
            return None
        return str(options.live_migration_timeout_action)


def settle(run: Run, source: str) -> bool:
    """Stop a sending and wait for its end; returns whether the guest has left its source.

    What went off there on its way is stopped from now on: conductors ignore a host's events of a server that an
    operation holds. A source that stays silent is believed to be gone, with what it had.
    """
    compute = run.cloud.compute
    try:
        status = run.ask_host(source, compute.watch_migration, run.resource_id, 0.0)
        while status["state"] == _RUNNING:
            run.ask_host(source, compute.steer_migration, run.resource_id, ABORT)
            status = run.ask_host(source, compute.watch_migration, run.resource_id, _WAIT_S)
    except errors.HostUnreachable:
        LOG.warning("source %s of server %s stays silent", source, run.resource_id)
        return False
    if status["state"] == _MOVED:
        return True
    power_state = status.get("power_state")  # not said by agents of earlier releases
    if power_state in OFF:
        run.write(lambda session: move(session, run.resource_id, states.STOPPED, {"power_state": power_state}))
    return False
