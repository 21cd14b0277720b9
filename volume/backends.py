"""The node's back ends: opened and measured one by one, each within a time limit, and found by name.

A back end that cannot be opened or hangs (a mount whose server is gone) affects neither the agent nor the other back
ends: it is reported unhealthy with its reason, and a later heartbeat tries again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from hostler import errors
from volume.drivers.driver import Driver, Stats

LOG = logging.getLogger(__name__)
MEASURE_PATIENCE_S = 5.0  # a heartbeat must not come late for the sake of one back end
OPEN_PATIENCE_S = 30.0


class Backend:
    """One back end: its driver and its last measurement."""

    def __init__(self, name: str, driver_name: str, driver: Driver, *, shown_name: str = "", reserved_percent: int = 0,
                 over_subscription: float = 1.0) -> None:
        self.name = name
        self.driver = driver
        self._driver_name = driver_name
        self._shown_name = shown_name or name
        self._reserved_percent = reserved_percent
        self._over_subscription = over_subscription
        self._opened = False
        self._looking: threading.Thread | None = None
        self._stats = Stats(0.0, 0.0, {})
        self._trouble: str | None = "It was not opened yet."
        self._failing_since: float | None = None

    def ready(self) -> Driver:
        """Return the driver; raises AgentError when the back end could not be opened."""
        if not self._opened:
            raise errors.AgentError(reason="The volume's back end is not available.",
                                    details=f"The back end {self.name} is not available: {self._trouble}")
        return self.driver

    def begin_look(self) -> None:
        """Open it if that has not worked yet, and measure it, in a thread of its own; one at a time."""
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self._look, name=f"look-{self.name}", daemon=True)
            self._looking.start()

    def await_look(self, until: float) -> None:
        """Wait for what `begin_look` began until the monotonic time `until`; a late back end is unhealthy."""
        if self._looking is not None:
            self._looking.join(max(0.0, until - time.monotonic()))
            if self._looking.is_alive():
                self._note("It does not answer.")

    def describe(self) -> dict[str, Any]:
        """Return its part of a heartbeat (`conductor.rpcapi.ConductorAPI.volume_heartbeat`)."""
        stats, trouble = self._stats, self._trouble
        return {
            "name": self.name, "driver": self._driver_name, "total_gib": stats.total_gib, "free_gib": stats.free_gib,
            "reserved_percent": self._reserved_percent, "over_subscription": self._over_subscription,
            "capabilities": {**stats.capabilities, "volume_backend_name": self._shown_name},
            "healthy": trouble is None, "unhealthy_reason": trouble and trouble[:255],
        }

    def close(self) -> None:
        """Let go of it."""
        if self._opened:
            self.driver.close()

    def _look(self) -> None:
        try:
            if not self._opened:
                self.driver.open()
                self._opened = True
            self._stats = self.driver.get_stats()
        except errors.HostlerError as error:
            self._note(error.details)
        except Exception as error:
            LOG.exception("Back end %s cannot be measured", self.name)
            self._note(f"An error on the node: {type(error).__name__}.")
        else:
            self._note(None)

    def _note(self, trouble: str | None) -> None:
        self._trouble = trouble
        if trouble is not None and self._failing_since is None:
            self._failing_since = time.monotonic()
            LOG.error("Back end %s is unhealthy: %s", self.name, trouble)
        elif trouble is None and self._failing_since is not None:
            LOG.warning("Back end %s is healthy again after %.0f s", self.name, time.monotonic() - self._failing_since)
            self._failing_since = None


class Backends:
    """All back ends of one node."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._by_name = {backend.name: backend for backend in backends}

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._by_name.values())

    def driver(self, name: str) -> Driver:
        """Return a back end's driver; raises AgentError when there is no such back end or it is not available."""
        try:
            return self._by_name[name].ready()
        except KeyError:
            raise errors.AgentError(reason=f"This node has no back end named {name}.") from None

    def look(self, patience_s: float = MEASURE_PATIENCE_S) -> None:
        """Open and measure all of them at once, and wait no longer than `patience_s` for that."""
        until = time.monotonic() + patience_s
        for backend in self:
            backend.begin_look()
        for backend in self:
            backend.await_look(until)

    def find(self) -> dict[str, Any]:
        """Return what is on each (`volume.rpcapi.VolumeAPI.get_inventory`)."""
        return {backend.name: _find(backend) for backend in self}

    def close(self) -> None:
        """Let go of all."""
        for backend in self:
            backend.close()


def _find(backend: Backend) -> dict[str, Any]:
    try:
        found = backend.ready().find()
    except errors.HostlerError as error:
        return {"volumes": [], "snapshots": [], "connections": {}, "error": str(error)}
    except OSError as error:
        return {"volumes": [], "snapshots": [], "connections": {}, "error": error.strerror or type(error).__name__}
    return {"volumes": sorted(found.volumes), "snapshots": sorted(found.snapshots), "connections": found.connections,
            "error": None}
