"""QEMU guests through libvirt; implements `compute.virt.driver.Driver`.

A server is the persistent domain `hostler-<server id>` with the server's id as UUID, so that it outlives the agent and
is found by either. The domain's metadata names the owning agent; domains of others are never touched.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from compute.virt import driver as virt
from compute.virt import migration as terms
from compute.virt.libvirt import (
    consoles,
    diskcopies,
    domainxml,
    guestagent,
    host_info,
    media,
    migration,
    nicdevices,
    probe,
    volumedisks,
)
from compute.virt.libvirt.connection import refusals
from compute.virt.libvirt.guests import SLOW, Guests, kill, power_state, tolerating_off, while_defined
from hostler import errors
from hostler.agent.programs import Progress
from hostler.resources.server.hardware import Freeze, Hardware
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
_COPY_LOOK_S = 0.25
_UNDEFINE = (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
             | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
_DEFINITION = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


class LibvirtDriver(Guests):
    """One libvirtd's guests of one agent. Safe for use by many threads."""

    def __init__(self, machine: domainxml.Machine, *, uri: str, call_timeout_s: float, probe_timeout_s: float,
                 directory: Path, landing_uri: str = "") -> None:
        """`machine.virt_type`, `cpu_mode` and `disk_cache` may be `auto`: they are settled by `open`.

        `landing_uri` is where other hosts' hypervisors reach this one.
        """
        super().__init__(machine, uri=uri, call_timeout_s=call_timeout_s)
        self._landing_uri = landing_uri
        self._directory = directory
        self._probe_timeout_s = probe_timeout_s

    @property
    def max_volumes(self) -> int:
        """One for each slot."""
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
        return self._on_guest(server_id, power_state, virt.NOSTATE)

    def create(self, guest: virt.Guest) -> None:
        """Replace the definition and start."""
        server_id = guest.server.id
        xml = domainxml.build(guest, self._machine)

        def make(conn: libvirt.virConnect) -> None:
            if self._is_ready_for_definition(conn, server_id):
                volumedisks.ensure_secrets(conn, guest.volumes)
                self._define(conn, server_id, xml).create()

        self._connection.call(make, patience=SLOW)

    def definition_of(self, server_id: str) -> str | None:
        """Return the XML of the domain as it would be started."""
        return self._on_guest(server_id, lambda domain: str(domain.XMLDesc(_DEFINITION)), None)

    def restore(self, server_id: str, definition: str, *, start: bool) -> None:
        """Define the domain from its XML."""
        def make(conn: libvirt.virConnect) -> None:
            if self._is_ready_for_definition(conn, server_id):
                domain = self._define(conn, server_id, definition)
                if start:
                    domain.create()

        self._connection.call(make, patience=SLOW)

    def _is_ready_for_definition(self, conn: libvirt.virConnect, server_id: str) -> bool:
        """Return whether the guest does not run, and drop its saved memory then."""
        domain = self._lookup(conn, server_id)
        if domain is None:
            return True
        if domain.isActive():
            return False
        if domain.hasManagedSaveImage():
            domain.managedSaveRemove()
        return True

    def _define(self, conn: libvirt.virConnect, server_id: str, xml: str) -> libvirt.virDomain:
        domain = conn.defineXML(xml)
        with self._lock:
            self._owners[server_id] = self._machine.host
        return domain

    def destroy(self, server_id: str) -> None:
        """Switch off and undefine."""
        def remove(domain: libvirt.virDomain) -> None:
            volumes = volumedisks.present(domain)
            kill(domain)
            domain.undefineFlags(_UNDEFINE)
            volumedisks.forget_secrets(domain.connect(), volumes.values())

        self._on_guest(server_id, remove, None, patience=SLOW)

    def power_off(self, server_id: str) -> None:
        """Pull the plug, drop saved memory."""
        def off(domain: libvirt.virDomain) -> None:
            kill(domain)
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

        self._on_guest(server_id, off, None, patience=SLOW)

    def cut_power(self, server_id: str) -> None:
        """Pull the plug, keep saved memory."""
        self._on_guest(server_id, kill, None, patience=SLOW)

    def shutdown(self, server_id: str) -> None:
        """Press the ACPI power button."""
        def press(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                tolerating_off(lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))

        self._on_guest(server_id, press, None)

    def pause(self, server_id: str) -> None:
        """Freeze."""
        def act(domain: libvirt.virDomain) -> None:
            if power_state(domain) != virt.PAUSED:
                domain.suspend()

        self._on_defined(server_id, "pause", act)

    def unpause(self, server_id: str) -> None:
        """Go on."""
        def act(domain: libvirt.virDomain) -> None:
            if power_state(domain) != virt.RUNNING:
                domain.resume()

        self._on_defined(server_id, "unpause", act)

    def suspend(self, server_id: str) -> None:
        """Managed save."""
        def act(domain: libvirt.virDomain) -> None:
            if power_state(domain) != virt.SUSPENDED:
                domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)

        self._on_defined(server_id, "suspend", act, patience=SLOW)

    def resume(self, server_id: str) -> None:
        """Start from the managed save."""
        def act(domain: libvirt.virDomain) -> None:
            state = power_state(domain)
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

    def attach_interface(self, server: ServerSpec, nic: virt.Nic) -> None:
        """Plug."""
        self._on_defined(server.id, "attach an interface to",
                         lambda domain: nicdevices.attach(domain, nic, Hardware.of(server)), patience=SLOW)

    def detach_interface(self, server_id: str, port_id: str, *, ask: bool = True) -> bool:
        """Unplug."""
        return self._on_guest(server_id, lambda domain: nicdevices.detach(domain, port_id, ask), True)

    def change_medium(self, server_id: str, iso: Path | None) -> None:
        """Insert, or eject."""
        self._on_guest(server_id, lambda domain: media.change(domain, iso), None, patience=SLOW)

    def copy_disk(self, server_id: str, disk: Path, copy: Path, progress: Progress, *, freeze: Freeze) -> bool:
        """Run a backup job to its end."""
        if not self._on_guest(server_id, lambda domain: diskcopies.begin(domain, disk, copy, freeze), False,
                              patience=SLOW):
            return False
        try:
            while self._on_guest(server_id, diskcopies.is_running, False):
                progress(self._on_guest(server_id, diskcopies.percent, 0))
                time.sleep(_COPY_LOOK_S)
        except BaseException:
            self._on_guest(server_id, diskcopies.end, None)
            raise
        done = self._on_guest(server_id, diskcopies.succeeded, None)
        if done is False:
            raise errors.AgentError(reason="The server's disk could not be copied on its host.")
        return bool(done)

    def end_copy(self, server_id: str) -> None:
        """Abort and thaw."""
        def stop(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                diskcopies.end(domain)
                diskcopies.thaw(domain)

        self._on_guest(server_id, stop, None, patience=SLOW)

    def list_volumes(self) -> dict[str, list[str]]:
        """Return what each guest has."""
        def read(conn: libvirt.virConnect) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for domain in conn.listAllDomains():
                if domain.name().startswith(domainxml.NAME_PREFIX) and self._owner(domain) == self._machine.host:
                    volumes: dict[str, Any] = while_defined(functools.partial(volumedisks.present, domain), {})
                    found[domain.UUIDString()] = sorted(volumes)
            return found

        return self._connection.call(read)

    def describe_migration(self, server_id: str) -> terms.Origin:
        """Read processor and disks off the domain."""
        found = self._on_guest(server_id, migration.describe, None)
        if found is None:
            raise errors.AgentError(reason="The guest does not run on its host.")
        return found

    def prepare_migration(self, guest: virt.Guest, origin: terms.Origin, *, copied: tuple[str, ...], on_base: bool
                          ) -> terms.Landing:
        """Compare processors, and let libvirt have the volumes' keys."""
        def prepare(conn: libvirt.virConnect) -> None:
            migration.check_cpu(conn, origin.cpu, self._machine.virt_type)
            volumedisks.ensure_secrets(conn, guest.volumes)

        self._connection.call(prepare)
        with self._lock:
            self._owners.pop(guest.server.id, None)  # what it was when it was here before
        return terms.Landing(self._landing_uri, domainxml.build(guest, self._machine), copied, on_base)

    def send_guest(self, server_id: str, landing: terms.Landing, manner: terms.Manner) -> None:
        """Send it; see `migration`."""
        if self.get_power_state(server_id) != virt.NOSTATE:
            with refusals():
                migration.send(self._connection.uri, server_id, landing, manner)

    def get_migration(self, server_id: str) -> terms.Transfer | None:
        """Ask libvirt."""
        return self._on_guest(server_id, migration.progress, None)

    def abort_migration(self, server_id: str) -> None:
        """Abort the domain's job."""
        self._on_guest(server_id, lambda domain: tolerating_off(lambda: migration.abort(domain)), None)

    def force_migration(self, server_id: str) -> None:
        """Post-copy, or a pause."""
        self._on_guest(server_id, lambda domain: tolerating_off(lambda: migration.force(domain)), None)

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Ask the guest agent."""
        self._on_defined(server_id, "set a password of",
                         lambda domain: guestagent.set_password(domain, user, password), patience=SLOW)

    def inject_nmi(self, server_id: str) -> None:
        """Interrupt."""
        def inject(domain: libvirt.virDomain) -> None:
            if not domain.isActive():
                raise errors.AgentError(reason=virt.NOT_RUNNING)
            domain.injectNMI()

        self._on_defined(server_id, "interrupt", inject)

    def get_diagnostics(self, server_id: str) -> dict[str, Any]:
        """Return the guest's counters."""
        found = self._on_guest(server_id, host_info.read_diagnostics, None)
        if found is None:
            raise errors.NotFound(resource="server", id=server_id)
        return found

    def list_consoles(self, server_id: str) -> frozenset[str]:
        """Return those in its XML."""
        found = self._on_guest(server_id, consoles.present, None)
        if found is None:
            raise errors.NotFound(resource="server", id=server_id)
        return found

    def open_console(self, server_id: str, protocol: str) -> socket.socket:
        """Have libvirt connect us."""
        if protocol not in self.list_consoles(server_id):
            raise errors.AgentError(reason=f"The server has no {protocol} console just now.")
        def connect(domain: libvirt.virDomain) -> socket.socket:
            return (consoles.open_serial(domain, self._connection.uri) if protocol == "serial"
                    else consoles.open_graphics(domain, protocol))

        opened = self._on_guest(server_id, connect, None)
        if opened is None:
            raise errors.NotFound(resource="server", id=server_id)
        return opened

    def get_host_info(self) -> virt.HostInfo:
        """Return what libvirt says about the host."""
        def read(conn: libvirt.virConnect) -> virt.HostInfo:
            running = sum(1 for state in self._list(conn).values() if state == virt.RUNNING)
            return host_info.read_host_info(conn, virt_type=self._machine.virt_type, running=running)

        return self._connection.call(read)


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
