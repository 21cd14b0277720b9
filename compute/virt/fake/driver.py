"""A driver whose guests are entries in a map (and, when told, small files that outlive the process).

A fake guest obeys at once: the power button switches it off, its console shows one line per start, it lets go of
volumes and NICs, unless the fault `driver.detach_volume:guest` (or `detach_interface`) says that it holds on. Tests may
act as the guest or as fate with `happen`.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compute.virt import driver as virt
from compute.virt.fake import consoles, disks
from compute.virt.fake.devices import FakeDevices
from compute.virt.fake.guest import FakeDomain
from compute.virt.fake.migration import FakeMigrations
from hostler import clock, errors
from hostler.agent.faults import Faults
from hostler.agent.files import write_atomically
from hostler.agent.programs import Progress
from hostler.resources.server.hardware import Freeze, Hardware


class FakeDriver(FakeDevices, FakeMigrations):
    """Implements `compute.virt.driver.Driver`; safe for use by many threads."""

    def __init__(self, host: str, *, directory: Path | None = None, faults: Faults | None = None, vcpus: int = 64,
                 ram_mib: int = 262144, disk_gib: int = 4096, max_volumes: int = 25,
                 migration_s: float = 0.0) -> None:
        self.host = host
        self.faults = faults or Faults()
        self.healthy = True
        self.domains: dict[str, FakeDomain] = {}
        self.passwords: dict[str, tuple[str, str]] = {}  # user and password last set, by server id
        self._directory = directory
        self._size = (vcpus, ram_mib, disk_gib)
        self._lock = threading.RLock()
        self._listener: virt.Listener | None = None
        self._on_volume_gone: virt.VolumeListener = virt.ignore_volume
        self.max_volumes = max_volumes
        self._be_found(migration_s)

    def open(self) -> None:
        """Find the guests that an earlier process left."""
        if self._directory is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        self._read()

    def close(self) -> None:
        """Forget the listener; guests go on."""
        self._listener = None

    def set_event_listener(self, listener: virt.Listener, on_resync: Callable[[], None],
                           on_volume_gone: virt.VolumeListener = virt.ignore_volume) -> None:
        """Events come in the thread that caused them; nothing is ever missed, so `on_resync` is not called."""
        self._listener = listener
        self._on_volume_gone = on_volume_gone

    def list_servers(self) -> dict[str, str]:
        """Return power state by server id of this host's guests."""
        self._answer("driver.list")
        with self._lock:
            self._read()
            return {key: domain.state for key, domain in self.domains.items() if domain.host == self.host}

    def get_power_state(self, server_id: str) -> str:
        """Return the power state, NOSTATE for strangers."""
        self._answer("driver.get_power_state")
        domain = self._find(server_id)
        return domain.state if domain is not None else virt.NOSTATE

    def create(self, guest: virt.Guest) -> None:
        """Define and start."""
        server = guest.server
        self._answer("driver.create:before", server.id)
        with self._lock:
            other = self.domains.get(server.id)
            if other is not None and other.host != self.host:
                raise errors.AgentError(reason="The guest belongs to another agent of this hypervisor.")
            if other is None or other.state not in (virt.RUNNING, virt.PAUSED):
                domain = FakeDomain(state=virt.RUNNING, host=self.host, name=server.name,
                                    starts=other.starts + 1 if other else 1, deaf=bool(other and other.deaf),
                                    nics=[nic.port_id for nic in guest.nics],
                                    disks=[disk.target for disk in guest.disks],
                                    volumes=[disk.volume_id for disk in guest.volumes],
                                    base=disks.base_of(guest),
                                    agent=Hardware.of(server).guest_agent,
                                    iso=guest.iso.name if guest.iso is not None else "",
                                    drive=bool(guest.iso is not None or Hardware.of(server).cdrom_bus))
                self.domains[server.id] = domain
                self._keep(server.id)
                self._write_console(guest, domain)
                self._tell(server.id, "started")
        self._answer("driver.create:after", server.id)

    def destroy(self, server_id: str) -> None:
        """Remove the guest."""
        self._answer("driver.destroy:before", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None:
                running = domain.state in (virt.RUNNING, virt.PAUSED)
                del self.domains[server_id]
                self._keep(server_id)
                if running:
                    self._tell(server_id, "stopped")
                self._tell(server_id, "removed")
        self._answer("driver.destroy:after", server_id)

    def definition_of(self, server_id: str) -> str | None:
        """Return the guest as JSON."""
        self._answer("driver.definition_of", server_id)
        with self._lock:
            domain = self._find(server_id)
            return None if domain is None else json.dumps(dataclasses.asdict(domain))

    def restore(self, server_id: str, definition: str, *, start: bool) -> None:
        """Put the guest back."""
        self._answer("driver.restore:before", server_id)
        with self._lock:
            present = self._find(server_id)
            if present is None or present.state not in (virt.RUNNING, virt.PAUSED):
                known = FakeDomain(**json.loads(definition))
                self.domains[server_id] = dataclasses.replace(
                    known, state=virt.SHUTDOWN, starts=present.starts if present else known.starts)
                self._keep(server_id)
                if start:
                    self.domains[server_id].starts += 1
                    self._enter(server_id, virt.RUNNING, "started")
        self._answer("driver.restore:after", server_id)

    def power_off(self, server_id: str) -> None:
        """Off at once."""
        self._answer("driver.power_off", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None and domain.state != virt.SHUTDOWN:
                self._enter(server_id, virt.SHUTDOWN, "stopped")

    def cut_power(self, server_id: str) -> None:
        """Off at once, unless suspended."""
        self._answer("driver.cut_power", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None and domain.state in (virt.RUNNING, virt.PAUSED):
                self._enter(server_id, virt.SHUTDOWN, "stopped")

    def shutdown(self, server_id: str) -> None:
        """A guest that is not `deaf` goes off."""
        self._answer("driver.shutdown", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None and domain.state == virt.RUNNING and not domain.deaf:
                self._enter(server_id, virt.SHUTDOWN, "stopped")

    def pause(self, server_id: str) -> None:
        """running -> paused."""
        self._move(server_id, "pause", {virt.RUNNING}, virt.PAUSED, "paused")

    def unpause(self, server_id: str) -> None:
        """paused -> running."""
        self._move(server_id, "unpause", {virt.PAUSED}, virt.RUNNING, "resumed")

    def suspend(self, server_id: str) -> None:
        """running or paused -> suspended."""
        self._move(server_id, "suspend", {virt.RUNNING, virt.PAUSED}, virt.SUSPENDED, "suspended")

    def resume(self, server_id: str) -> None:
        """suspended -> running."""
        self._move(server_id, "resume", {virt.SUSPENDED}, virt.RUNNING, "started")

    def copy_disk(self, server_id: str, disk: Path, copy: Path, progress: Progress, *, freeze: Freeze) -> bool:
        """Copy the fake disk's file at once; a guest that must freeze does, unless `driver.freeze` fails."""
        self._answer("driver.copy_disk:before", server_id)
        domain = self._find(server_id)
        if domain is None or domain.state not in (virt.RUNNING, virt.PAUSED):
            return False
        if freeze is Freeze.MUST:
            self._answer("driver.freeze", server_id)
        progress(50)
        disks.write_copy(disk, copy)
        self._answer("driver.copy_disk:after", server_id)
        return True

    def end_copy(self, server_id: str) -> None:
        """Nothing goes on here."""
        self._answer("driver.end_copy", server_id)

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Remember it, in a guest with an agent."""
        self._answer("driver.set_password", server_id)
        with self._lock:
            domain = self._running(server_id)
            if not domain.agent:
                raise errors.AgentError(reason=virt.NO_AGENT)
            self.passwords[server_id] = (user, password)

    def inject_nmi(self, server_id: str) -> None:
        """Count it."""
        self._answer("driver.inject_nmi", server_id)
        with self._lock:
            self._running(server_id).nmis += 1
            self._keep(server_id)

    def _running(self, server_id: str) -> FakeDomain:
        domain = self._find(server_id)
        if domain is None or domain.state not in (virt.RUNNING, virt.PAUSED):
            raise errors.AgentError(reason=virt.NOT_RUNNING)
        return domain

    def get_diagnostics(self, server_id: str) -> dict[str, Any]:
        """Return counters that never move."""
        domain = self._find(server_id)
        if domain is None:
            raise errors.NotFound(resource="server", id=server_id)
        disks = len(domain.disks) + len(domain.volumes)
        return {"state": domain.state, "driver": "fake", "hypervisor": "fake", "uptime": 0, "num_cpus": 0,
                "num_nics": len(domain.nics), "num_disks": disks, "cpu_details": [], "nic_details": [],
                "disk_details": [], "memory_details": {"maximum": 0, "used": 0}}

    def list_consoles(self, server_id: str) -> frozenset[str]:
        """Return what a real one has by default."""
        self._answer("driver.list_consoles", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is None:
                raise errors.NotFound(resource="server", id=server_id)
            return frozenset({"vnc", "serial"} if domain.state in (virt.RUNNING, virt.PAUSED) else ())

    def open_console(self, server_id: str, protocol: str) -> socket.socket:
        """Return a console that greets and then repeats what it is sent."""
        if protocol not in self.list_consoles(server_id):
            raise errors.AgentError(reason=f"The server has no {protocol} console just now.")
        return consoles.open_console(protocol)

    def get_host_info(self) -> virt.HostInfo:
        """Return the size this host claims; raises Unavailable when told to be unhealthy."""
        self._answer("driver.get_host_info")
        if not self.healthy:
            raise errors.Unavailable(part="The fake hypervisor")
        vcpus, ram_mib, disk_gib = self._size
        with self._lock:
            running = sum(1 for domain in self.domains.values()
                          if domain.host == self.host and domain.state == virt.RUNNING)
        return virt.HostInfo(hypervisor_type="fake", hypervisor_version=1_000_000, hypervisor_hostname=self.host,
                              vcpus=vcpus, ram_mib=ram_mib, disk_gib=disk_gib, running_servers=running,
                              cpu_info={"model": "fake", "vendor": "fake", "features": []})

    def happen(self, server_id: str, kind: str) -> None:
        """Change a guest behind the agent's back: `kind` is an event of `EVENT_STATES`."""
        with self._lock:
            if kind == "removed":
                del self.domains[server_id]
                self._keep(server_id)
                self._tell(server_id, kind)
            else:
                self._enter(server_id, virt.EVENT_STATES[kind], kind)

    def let_go(self, server_id: str, volume_id: str) -> None:
        """Let a guest give a volume back late, after the request for it had timed out."""
        with self._lock:
            self.domains[server_id].volumes.remove(volume_id)
            self._keep(server_id)
        self._on_volume_gone(server_id, volume_id)

    def _answer(self, step: str, server_id: str | None = None) -> None:
        self.faults.reach(step, server_id)

    def _read(self) -> None:
        """Find guests in files: of a former process, and those that another host's process sent."""
        if self._directory is None:
            return
        for path in self._directory.glob("*.json"):
            if path.stem not in self.domains:
                domain = FakeDomain(**json.loads(path.read_text()))
                if domain.sent_to == self.host:
                    domain.host, domain.sent_to = self.host, ""
                self.domains[path.stem] = domain

    def _find(self, server_id: str) -> FakeDomain | None:
        domain = self.domains.get(server_id)
        if domain is None and self._directory is not None and (self._directory / f"{server_id}.json").exists():
            with self._lock:
                self._read()
            domain = self.domains.get(server_id)
        return domain if domain is not None and domain.host == self.host else None

    def _move(self, server_id: str, verb: str, allowed: set[str], state: str, kind: str) -> None:
        self._answer(f"driver.{verb}", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None and domain.state == state:
                return
            if domain is None or domain.state not in allowed:
                present = domain.state if domain is not None else virt.NOSTATE
                raise errors.AgentError(reason=f"Cannot {verb} a server whose power state is {present}.")
            self._enter(server_id, state, kind)

    def _enter(self, server_id: str, state: str, kind: str) -> None:
        self.domains[server_id].state = state
        self._keep(server_id)
        self._tell(server_id, kind)

    def _tell(self, server_id: str, kind: str) -> None:
        if self._listener is not None:
            self._listener(virt.Event(server_id, kind, clock.iso_micro(clock.utcnow()) or ""))

    def _keep(self, server_id: str) -> None:
        if self._directory is None:
            return
        path = self._directory / f"{server_id}.json"
        domain = self.domains.get(server_id)
        if domain is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, json.dumps(dataclasses.asdict(domain)).encode())

    @staticmethod
    def _write_console(guest: virt.Guest, domain: FakeDomain) -> None:
        with guest.console_log.open("a") as stream:
            stream.write(f"fake guest {guest.server.hostname} start {domain.starts}\nfake guest ready\n")
