"""QEMU guests through libvirt; implements `compute.virt.driver.Driver`.

A server is the persistent domain `hostler-<server id>` with the server's id as UUID, so that it outlives the agent and
is found by either. The domain's metadata names the owning agent; domains of others are never touched.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import libvirt

from compute.virt import driver as virt
from compute.virt.libvirt import domainxml, host_info, probe, volumedisks
from compute.virt.libvirt.connection import Connection
from compute.virt.libvirt.events import EventPump
from hostler import errors

LOG = logging.getLogger(__name__)
Result = TypeVar("Result")
SLOW = 10  # patience for what may take long: starting, saving

_ACTIVE = {libvirt.VIR_DOMAIN_RUNNING: virt.RUNNING, libvirt.VIR_DOMAIN_BLOCKED: virt.RUNNING,
           libvirt.VIR_DOMAIN_SHUTDOWN: virt.RUNNING, libvirt.VIR_DOMAIN_PAUSED: virt.PAUSED,
           libvirt.VIR_DOMAIN_PMSUSPENDED: virt.SUSPENDED, libvirt.VIR_DOMAIN_CRASHED: virt.CRASHED}
_UNDEFINE = (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
             | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


class LibvirtDriver:
    """One libvirtd's guests of one agent. Safe for use by many threads."""

    def __init__(self, machine: domainxml.Machine, *, uri: str, call_timeout_s: float, probe_timeout_s: float,
                 directory: Path) -> None:
        """`machine.virt_type`, `cpu_mode` and `disk_cache` may be `auto`: they are settled by `open`."""
        self._machine = machine
        self._directory = directory
        self._probe_timeout_s = probe_timeout_s
        self._pump = EventPump(self._owns)
        self._on_resync: Callable[[], None] = lambda: None
        callbacks: dict[int, Callable[..., None]] = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self._pump.take,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: self._pump.take_removed_device}
        self._connection = Connection(uri, timeout_s=call_timeout_s, callbacks=callbacks, on_open=self._connected)
        self._owners: dict[str, str] = {}  # uuid -> owning agent, as the domain's metadata says
        self._lock = threading.Lock()

    @property
    def max_volumes(self) -> int:
        """As many as there are slots."""
        return self._machine.pcie_ports

    def open(self) -> None:
        """Connect, and settle what is `auto`."""
        self._pump.start()
        self._connection.open()
        machine = self._machine
        if machine.virt_type == "auto":
            works = probe.kvm_works(self._connection, self._directory, self._probe_timeout_s)
            machine = dataclasses.replace(machine, virt_type="kvm" if works else "qemu")
        if machine.cpu_mode == "auto":
            machine = dataclasses.replace(machine, cpu_mode="host-model" if machine.virt_type == "kvm" else "none")
        if machine.disk_cache == "auto":
            machine = dataclasses.replace(machine, disk_cache=best_cache(self._directory))
        self._machine = machine
        LOG.info("Guests run under %s, CPU %s, disk cache %s", machine.virt_type, machine.cpu_mode,
                 machine.disk_cache)

    def close(self) -> None:
        """Disconnect; guests go on."""
        self._connection.close()
        self._pump.stop()

    def set_event_listener(self, listener: virt.Listener, on_resync: Callable[[], None],
                           on_volume_gone: virt.VolumeListener = virt.ignore_volume) -> None:
        """Events come from the pump's thread; `on_resync` after each reconnection."""
        self._pump.set_listener(listener, on_volume_gone)
        self._on_resync = on_resync

    def list_servers(self) -> dict[str, str]:
        """Return the power states of our guests."""
        return self._connection.call(self._list)

    def get_power_state(self, server_id: str) -> str:
        """Return the power state, NOSTATE for no guest of ours."""
        return self._on_guest(server_id, _power_state, virt.NOSTATE)

    def create(self, guest: virt.Guest) -> None:
        """Replace the definition and start."""
        server_id = guest.server.id
        xml = domainxml.build(guest, self._machine)

        def make(conn: libvirt.virConnect) -> None:
            domain = self._lookup(conn, server_id)
            if domain is not None:
                if domain.isActive():
                    return
                if domain.hasManagedSaveImage():
                    domain.managedSaveRemove()
            volumedisks.ensure_secrets(conn, guest.volumes)
            domain = conn.defineXML(xml)
            with self._lock:
                self._owners[server_id] = self._machine.host
            domain.create()

        self._connection.call(make, patience=SLOW)

    def destroy(self, server_id: str) -> None:
        """Switch off and undefine."""
        def remove(domain: libvirt.virDomain) -> None:
            volumes = volumedisks.present(domain)
            _kill(domain)
            domain.undefineFlags(_UNDEFINE)
            volumedisks.forget_secrets(domain.connect(), volumes.values())

        self._on_guest(server_id, remove, None, patience=SLOW)

    def power_off(self, server_id: str) -> None:
        """Pull the plug, drop saved memory."""
        def off(domain: libvirt.virDomain) -> None:
            _kill(domain)
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

        self._on_guest(server_id, off, None, patience=SLOW)

    def shutdown(self, server_id: str) -> None:
        """Press the ACPI power button."""
        def press(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                _tolerating_off(lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))

        self._on_guest(server_id, press, None)

    def pause(self, server_id: str) -> None:
        """Freeze."""
        def act(domain: libvirt.virDomain) -> None:
            if _power_state(domain) != virt.PAUSED:
                domain.suspend()

        self._on_defined(server_id, "pause", act)

    def unpause(self, server_id: str) -> None:
        """Go on."""
        def act(domain: libvirt.virDomain) -> None:
            if _power_state(domain) != virt.RUNNING:
                domain.resume()

        self._on_defined(server_id, "unpause", act)

    def suspend(self, server_id: str) -> None:
        """Managed save."""
        def act(domain: libvirt.virDomain) -> None:
            if _power_state(domain) != virt.SUSPENDED:
                domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)

        self._on_defined(server_id, "suspend", act, patience=SLOW)

    def resume(self, server_id: str) -> None:
        """Start from the managed save."""
        def act(domain: libvirt.virDomain) -> None:
            state = _power_state(domain)
            if state == virt.RUNNING:
                return
            if state != virt.SUSPENDED:
                raise errors.AgentError(reason=f"Cannot resume a server whose power state is {state}.")
            if domain.isActive():
                domain.pMWakeup(0)
            else:
                domain.create()

        self._on_defined(server_id, "resume", act, patience=SLOW)

    def attach_volume(self, server_id: str, disk: virt.VolumeDisk) -> None:
        """Plug."""
        self._on_defined(server_id, "attach a volume to",
                         lambda domain: volumedisks.attach(domain, disk), patience=SLOW)

    def detach_volume(self, server_id: str, volume_id: str, *, ask: bool = True) -> bool:
        """Unplug."""
        return self._on_guest(server_id, lambda domain: volumedisks.detach(domain, volume_id, ask), True)

    def resize_volume(self, server_id: str, volume_id: str, size_bytes: int) -> bool:
        """Grow."""
        return self._on_guest(server_id, lambda domain: volumedisks.resize(domain, volume_id, size_bytes), False,
                              patience=SLOW)

    def list_volumes(self) -> dict[str, list[str]]:
        """Return what each guest has."""
        def read(conn: libvirt.virConnect) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for domain in conn.listAllDomains():
                if domain.name().startswith(domainxml.NAME_PREFIX) and self._owner(domain) == self._machine.host:
                    volumes: dict[str, Any] = _while_defined(functools.partial(volumedisks.present, domain), {})
                    found[domain.UUIDString()] = sorted(volumes)
            return found

        return self._connection.call(read)

    def get_diagnostics(self, server_id: str) -> dict[str, Any]:
        """Return the guest's counters."""
        found = self._on_guest(server_id, host_info.read_diagnostics, None)
        if found is None:
            raise errors.NotFound(resource="server", id=server_id)
        return found

    def get_host_info(self) -> virt.HostInfo:
        """Return what libvirt says about the host."""
        def read(conn: libvirt.virConnect) -> virt.HostInfo:
            running = sum(1 for state in self._list(conn).values() if state == virt.RUNNING)
            return host_info.read_host_info(conn, virt_type=self._machine.virt_type, running=running)

        return self._connection.call(read)

    def _list(self, conn: libvirt.virConnect) -> dict[str, str]:
        found = {}
        for domain in conn.listAllDomains():
            if domain.name().startswith(domainxml.NAME_PREFIX) and self._owner(domain) == self._machine.host:
                state = _while_defined(functools.partial(_power_state, domain), None)
                if state is not None:
                    found[domain.UUIDString()] = state
        with self._lock:
            if len(self._owners) > 2 * len(found) + 1000:  # guests long gone
                self._owners = dict.fromkeys(found, self._machine.host)
        return found

    def _on_guest(self, server_id: str, act: Callable[[libvirt.virDomain], Result], otherwise: Result, *,
                  patience: int = 1) -> Result:
        """Do `act` on our guest; `otherwise` when there is none or it vanishes."""
        def run(conn: libvirt.virConnect) -> Result:
            domain = self._lookup(conn, server_id)
            return otherwise if domain is None else _while_defined(lambda: act(domain), otherwise)

        return self._connection.call(run, patience=patience)

    def _on_defined(self, server_id: str, verb: str, act: Callable[[libvirt.virDomain], None], *,
                    patience: int = 1) -> None:
        def run(domain: libvirt.virDomain) -> bool:
            act(domain)
            return True

        if not self._on_guest(server_id, run, False, patience=patience):
            raise errors.AgentError(reason=f"Cannot {verb} a server whose power state is {virt.NOSTATE}.")

    def _lookup(self, conn: libvirt.virConnect, server_id: str) -> libvirt.virDomain | None:
        domain = _while_defined(lambda: conn.lookupByUUIDString(server_id), None)
        if domain is None:
            return None
        owner = self._owner(domain)
        if owner != self._machine.host:
            raise errors.AgentError(reason="The guest belongs to another agent of this hypervisor.")
        return domain

    def _owner(self, domain: libvirt.virDomain) -> str:
        """Return the agent the domain names, '' when it names none."""
        uuid = domain.UUIDString()
        with self._lock:
            known = self._owners.get(uuid)
        if known is None:
            try:
                text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domainxml.METADATA_URI)
                known = domainxml.read_owner(text)[1]
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
                    raise
                return ""
            with self._lock:
                self._owners[uuid] = known
        return known

    def _owns(self, server_id: str) -> bool:
        """Tell whether a guest is ours; one that was undefined still is, for its last event."""
        with self._lock:
            known = self._owners.get(server_id)
        if known is None:
            known = self._connection.call(lambda conn: self._owner_of(conn, server_id))
        return known == self._machine.host

    def _owner_of(self, conn: libvirt.virConnect, server_id: str) -> str:
        domain = _while_defined(lambda: conn.lookupByUUIDString(server_id), None)
        return "" if domain is None else self._owner(domain)

    def _connected(self) -> None:
        with self._lock:
            self._owners.clear()
        self._on_resync()


def best_cache(directory: Path) -> str:
    """Return the cache mode for disks in `directory`: none where direct I/O works (not on tmpfs, some FUSE)."""
    probe_file = directory / f".direct.{os.getpid()}"
    try:
        os.close(os.open(probe_file, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600))
    except OSError:
        return "writeback"
    finally:
        probe_file.unlink(missing_ok=True)
    return "none"


def _power_state(domain: libvirt.virDomain) -> str:
    state, reason = domain.state()
    if state != libvirt.VIR_DOMAIN_SHUTOFF:
        return _ACTIVE.get(state, virt.NOSTATE)
    if domain.hasManagedSaveImage():
        return virt.SUSPENDED
    return virt.CRASHED if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED else virt.SHUTDOWN


def _kill(domain: libvirt.virDomain) -> None:
    if domain.isActive():
        _tolerating_off(domain.destroy)


def _tolerating_off(act: Callable[[], object]) -> None:
    """Do `act`; a guest that went off in this moment is what was wanted."""
    try:
        act()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _while_defined(act: Callable[[], Result], otherwise: Result) -> Result:
    """Return `act()`, or `otherwise` when the domain is not (any more) defined."""
    try:
        return act()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return otherwise
