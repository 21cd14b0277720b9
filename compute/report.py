"""What an agent says about its host in every heartbeat, and whether the host can do work at all."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from compute.addresses import tunnel_ip
from compute.connections import Connections
from compute.layout import Layout
from compute.self_fence import SelfFence
from compute.virt.driver import Driver, HostInfo
from hostler import clock, errors

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing

LOG = logging.getLogger(__name__)
GIB = 1024**3
UPTIME = Path("/proc/uptime")


class Reporter:
    """Builds reports. When the hypervisor does not answer, the report repeats what was known last and says so."""

    def __init__(self, conf: cfg.ConfigOpts, driver: Driver, network: NetworkPlumbing, connections: Connections,
                 layout: Layout, fence: SelfFence) -> None:
        self._conf = conf
        self._network = network
        self._driver = driver
        self._connections = connections
        self._layout = layout
        self._fence = fence
        self._started_at = clock.iso_micro(clock.utcnow())
        self._lock = threading.Lock()
        self._info: HostInfo | None = None
        self._failing_since: float | None = None

    def report(self) -> dict[str, Any]:
        """Return the report; an unreachable hypervisor makes it unhealthy."""
        reason = self._refresh()
        info = self._info or HostInfo("", 0, self._conf.host, vcpus=0, ram_mib=0, running_servers=0)
        options = self._conf.compute
        return {
            "service": "compute", "started_at": self._started_at, "availability_zone": options.availability_zone,
            "hypervisor_type": info.hypervisor_type, "hypervisor_version": info.hypervisor_version,
            "hypervisor_hostname": info.hypervisor_hostname, "host_ip": options.my_ip,
            "tunnel_ip": tunnel_ip(self._conf), "cpu_info": info.cpu_info, "arch": info.arch, "vcpus": info.vcpus,
            "ram_mib": info.ram_mib,
            "disk_gib": self._disk_gib() if info.disk_gib is None else info.disk_gib,
            "ratios": {"cpu": options.cpu_allocation_ratio, "ram": options.ram_allocation_ratio,
                       "disk": options.disk_allocation_ratio},
            "reserved": {"ram_mib": options.reserved_ram_mib, "disk_gib": options.reserved_disk_gib},
            "running_servers": info.running_servers, "uptime_s": _uptime_s(), "healthy": reason is None,
            "unhealthy_reason": reason, "traits": [*info.traits, *self._network.traits()],
            "connector": dataclasses.replace(self._connections.connector(),
                                             max_volumes=self._driver.max_volumes).to_wire(),
            "self_fence_s": self._fence.promised_s(), "servers_share": self._layout.servers_share(),
            "fence_generation": self._fence.generation,
        }

    def _refresh(self) -> str | None:
        """Ask the hypervisor; return why the host is unhealthy, or None."""
        try:
            info = self._driver.get_host_info()
        except errors.HostlerError as error:
            with self._lock:
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
                    LOG.error("The host is unhealthy: %s", error)
            return str(error)
        with self._lock:
            if self._failing_since is not None:
                LOG.warning("The host is healthy again after %.0f s", time.monotonic() - self._failing_since)
                self._failing_since = None
            self._info = info
        return None

    def _disk_gib(self) -> int:
        try:
            return shutil.disk_usage(self._conf.state_path).total // GIB
        except OSError as error:
            LOG.error("The state directory cannot be measured: %s", error)
            return 0


def _uptime_s() -> int:
    try:
        return int(float(UPTIME.read_text().split()[0]))
    except (OSError, ValueError):  # no procfs: unknown is shown as 0
        return 0
