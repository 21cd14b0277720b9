"""What can be plugged into a fake guest while it is there: volumes, NICs, and what is in its CD-ROM drive."""

from __future__ import annotations

import threading
from pathlib import Path

from compute.virt import driver as virt
from compute.virt.fake.guest import FakeDomain
from hostler import errors
from hostler.resources.server.specs import ServerSpec


class FakeDevices:
    """The part of the fake driver that plugs."""

    host: str
    domains: dict[str, FakeDomain]
    _lock: threading.RLock

    def _answer(self, step: str, server_id: str | None = None) -> None:
        raise NotImplementedError

    def _find(self, server_id: str) -> FakeDomain | None:
        raise NotImplementedError

    def _keep(self, server_id: str) -> None:
        raise NotImplementedError

    def attach_volume(self, server_id: str, disk: virt.VolumeDisk) -> None:
        """Add it to the list."""
        self._answer("driver.attach_volume:before", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is None:
                raise errors.AgentError(reason="The server is not on this host.")
            if disk.volume_id not in domain.volumes:
                domain.volumes.append(disk.volume_id)
                self._keep(server_id)
        self._answer("driver.attach_volume:after", server_id)

    def detach_volume(self, server_id: str, volume_id: str, *, ask: bool = True) -> bool:
        """Take it off the list."""
        self._answer("driver.detach_volume:before", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is None or volume_id not in domain.volumes:
                return True
            if domain.state != virt.SHUTDOWN and not (ask and self._lets_go(server_id, "volume")):
                return False
            domain.volumes.remove(volume_id)
            self._keep(server_id)
        self._answer("driver.detach_volume:after", server_id)
        return True

    def resize_volume(self, server_id: str, volume_id: str, size_bytes: int) -> bool:
        """Nothing has a size here."""
        self._answer("driver.resize_volume", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is None or domain.state not in (virt.RUNNING, virt.PAUSED):
                return False
            if volume_id not in domain.volumes:
                raise errors.AgentError(reason=f"The server has no volume {volume_id}.")
            return True

    def attach_interface(self, server: ServerSpec, nic: virt.Nic) -> None:
        """Add it to the list."""
        self._answer("driver.attach_interface:before", server.id)
        with self._lock:
            domain = self._find(server.id)
            if domain is None:
                raise errors.AgentError(reason="The server is not on this host.")
            if nic.port_id not in domain.nics:
                domain.nics.append(nic.port_id)
                self._keep(server.id)
        self._answer("driver.attach_interface:after", server.id)

    def detach_interface(self, server_id: str, port_id: str, *, ask: bool = True) -> bool:
        """Take it off the list."""
        self._answer("driver.detach_interface:before", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is None or port_id not in domain.nics:
                return True
            if domain.state != virt.SHUTDOWN and not (ask and self._lets_go(server_id, "interface")):
                return False
            domain.nics.remove(port_id)
            self._keep(server_id)
        self._answer("driver.detach_interface:after", server_id)
        return True

    def change_medium(self, server_id: str, iso: Path | None) -> None:
        """Keep its name; a guest that runs needs a drive."""
        self._answer("driver.change_medium:before", server_id)
        with self._lock:
            domain = self._find(server_id)
            if domain is not None:
                if iso is not None and not domain.drive and domain.state != virt.SHUTDOWN:
                    raise errors.AgentError(reason=virt.NO_DRIVE)
                domain.iso = iso.name if iso is not None and domain.drive else ""
                self._keep(server_id)
        self._answer("driver.change_medium:after", server_id)

    def list_volumes(self) -> dict[str, list[str]]:
        """Return the lists."""
        self._answer("driver.list_volumes")
        with self._lock:
            return {key: sorted(domain.volumes) for key, domain in self.domains.items() if domain.host == self.host}

    def _lets_go(self, server_id: str, what: str) -> bool:
        try:
            self._answer(f"driver.detach_{what}:guest", server_id)
        except errors.AgentError:
            return False
        return True
