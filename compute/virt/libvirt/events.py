"""libvirt's events as the agent's: which are passed on, and a pump that leaves libvirt's event loop at once."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

import libvirt

from compute.virt.driver import Event, VolumeListener, ignore_volume
from compute.virt.libvirt import diskxml
from hostler import clock, errors

LOG = logging.getLogger(__name__)

_BY_EVENT = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "paused",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "removed",
}
_STOPPED_AS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "crashed",
}


def kind_of(event: int, detail: int) -> str | None:
    """Return the agent's word for a lifecycle event; None for those that change no state (DEFINED, PMSUSPENDED…).

    A guest that was sent to another host has not stopped.
    """
    if (event, detail) == (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED):
        return None
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return _STOPPED_AS.get(detail, "stopped")
    return _BY_EVENT.get(event)


class _VolumeGone(NamedTuple):
    server_id: str
    volume_id: str


class EventPump:
    """Receives events in libvirt's loop and passes on those of guests that `owns(server id)`, in order, from its own
    thread."""

    def __init__(self, owns: Callable[[str], bool]) -> None:
        self._owns = owns
        self._queue: queue.SimpleQueue[Event | _VolumeGone | None] = queue.SimpleQueue()
        self._listener: Callable[[Event], None] | None = None
        self._on_volume_gone: VolumeListener = ignore_volume
        self._thread: threading.Thread | None = None

    def set_listener(self, listener: Callable[[Event], None], on_volume_gone: VolumeListener) -> None:
        """Set where events go."""
        self._listener, self._on_volume_gone = listener, on_volume_gone

    def start(self) -> None:
        """Start passing events on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="libvirt-event-pump", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Pass on what is queued, then stop."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(2)
            self._thread = None

    def take(self, _conn: libvirt.virConnect, domain: libvirt.virDomain, event: int, detail: int,
             _opaque: object) -> None:
        """libvirt's callback; reads the event and nothing else: a call to libvirt would never return here."""
        kind = kind_of(event, detail)
        if kind is not None:
            self._queue.put(Event(domain.UUIDString(), kind, clock.iso_micro(clock.utcnow()) or ""))

    def take_removed_device(self, _conn: libvirt.virConnect, domain: libvirt.virDomain, alias: str,
                            _opaque: object) -> None:
        """libvirt's callback for a device that the guest let go of."""
        volume_id = diskxml.volume_of(alias)
        if volume_id is not None:
            self._queue.put(_VolumeGone(domain.UUIDString(), volume_id))

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                if self._owns(event.server_id):
                    self._pass_on(event)
            except errors.HostlerError as error:
                # Without libvirt the guest's owner is unknown; the next reconciliation reports its state.
                LOG.warning("%s is lost: %s", event, error)

    def _pass_on(self, event: Event | _VolumeGone) -> None:
        if isinstance(event, _VolumeGone):
            self._on_volume_gone(event.server_id, event.volume_id)
        elif self._listener is not None:
            self._listener(event)
