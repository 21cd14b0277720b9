"""Builds and runs one compute agent: configuration -> driver and tools -> manager -> bus.

The only place that names drivers; the console script, the all-in-one and the tests all build through it.
"""

from __future__ import annotations

import functools
import importlib
import logging
from pathlib import Path
from typing import Any

from oslo_config import cfg

from compute.conductors import ComputeLink, open_link
from compute.consoles import Consoles, Passes
from compute.events import EventRelay
from compute.groups import Members
from compute.guest_calls import GuestCalls
from compute.guest_data import GuestData
from compute.interfaces import Interfaces
from compute.isos import Isos
from compute.layout import Layout
from compute.manager import ComputeManager
from compute.migration import Migrations
from compute.moving import Mover
from compute.power import Power
from compute.rebuild import Rebuilder
from compute.reconcile import Reconciler
from compute.relay import ConsoleRelay
from compute.released import ReleasedVolumes
from compute.report import Reporter
from compute.rescue import Rescuer
from compute.self_fence import SelfFence
from compute.snapshots import Snapshots
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt.migration import Manner
from compute.volumes import Volumes
from compute.work import Workbench
from hostler import errors
from hostler.agent.fencing import Fence
from hostler.agent.files import DirectoryLock
from hostler.agent.heartbeat import Heartbeat
from hostler.agent.locks import ResourceLocks
from hostler.agent.periodic import Periodic
from hostler.agent.sequence import Sequence
from hostler.bus import Bus

LOG = logging.getLogger(__name__)
# Each module offers `build(conf, layout) -> Toolbox`. Loaded by name, so that one driver's libraries are no
# requirement of another.
DRIVERS = {"libvirt": "compute.virt.libvirt.build", "fake": "compute.virt.fake.build"}


class ComputeService:
    """One agent. `start` and `stop` are called once each, in this order."""

    def __init__(self, host: str, tools: Toolbox, link: ComputeLink, manager: ComputeManager, relay: EventRelay,
                 heartbeat: Heartbeat, reconciler: Reconciler, released: ReleasedVolumes,
                 snapshots: Snapshots, consoles: ConsoleRelay, directory_lock: DirectoryLock, self_fence: SelfFence, *,
                 reconcile_interval_s: float, stop_timeout_s: float) -> None:
        self.host = host
        self._released = released
        self._snapshots = snapshots
        self._consoles = consoles
        self._directory_lock = directory_lock
        self.tools = tools
        self.manager = manager
        self._link = link
        self._relay = relay
        self._heartbeat = heartbeat
        self._reconciler = reconciler
        self._stop_timeout_s = stop_timeout_s
        self._reconciling = Periodic("reconcile", reconcile_interval_s, reconciler.run, retry_s=2.0)
        self._self_fence = self_fence
        heartbeat.on_answer = self._reconciling.wake
        heartbeat.on_heard = self._heard

    def start(self) -> None:
        """Open the hypervisor, restore what is here, serve. Raises AgentError or Unavailable with what to do."""
        self._directory_lock.take()
        self._self_fence.start()
        self.tools.driver.set_event_listener(self._relay.add, self._reconciling.wake, self._released.note)
        self.tools.driver.open()
        self._reconciler.restore()
        self._snapshots.discard_all()
        self.tools.transfer.start()
        self._link.open()
        self._relay.start()
        self._consoles.start()
        # The report comes first: the conductors must know the host before they judge what is on it.
        self._heartbeat.start()
        self._link.serve(self.manager)
        self._reconciling.start(at_once=False)  # its first turn comes with the first answer to a report
        self._released.start()
        LOG.info("Compute agent %s is up", self.host)

    def _heard(self, sent_at: float, answer: dict[str, Any]) -> None:
        if self._self_fence.heard(sent_at, answer):
            self._reconciling.wake()

    def stop(self) -> bool:
        """Finish the calls at work (within the configured time), keep the guests running, let go of everything.

        Returns False when calls were left: their operations are resumed by the conductors.
        """
        finished = self._link.stop_serving(self._stop_timeout_s)
        self._reconciling.stop()
        self._released.stop()
        self._consoles.stop()
        self._heartbeat.stop()
        self.tools.transfer.stop()
        self._relay.stop()
        self.tools.network.close()
        self.tools.driver.close()
        self._link.close()
        self._directory_lock.release()
        LOG.info("Compute agent %s stopped%s", self.host, "" if finished else ", calls were left to be resumed")
        return finished


def build(conf: cfg.ConfigOpts, bus: Bus | None = None) -> ComputeService:
    """Return the agent of `conf` (not started); `bus` is lent by the all-in-one. Raises AgentError."""
    layout = Layout(Path(conf.state_path).absolute())
    directory_lock = DirectoryLock(layout.root)
    directory_lock.check()
    layout.prepare()
    layout.claim_servers(conf.host)
    tools = load_toolbox(conf, layout)
    link = open_link(conf.host, bus, lambda: Bus(conf))
    specs = SpecFiles(layout, conf.host)
    options = conf.compute
    # The all-in-one is the whole cloud: nobody is left to take its disks over.
    self_fence = SelfFence(layout, specs, tools.driver, after_s=options.self_fence_after if bus is None else 0,
                           device=options.watchdog_device)
    relay = EventRelay(conf.host, link, revision_of=specs.revision_of, next_number=Sequence(layout.reports).next,
                       swallows=self_fence.swallows)
    bench = Workbench(Fence(layout.fence), ResourceLocks(), relay, link, self_fence)
    console_max_bytes = options.console_log_kib * 1024
    spawner = Spawner(tools, layout, specs, bench, max_concurrent_builds=options.max_concurrent_builds,
                      console_max_bytes=console_max_bytes)
    power = Power(tools, layout, specs, bench, spawner, stop_timeout_s=options.shutdown_timeout,
                  reboot_timeout_s=conf.libvirt.wait_soft_reboot_seconds)
    interfaces = Interfaces(tools, specs, bench, spawner)
    snapshots = Snapshots(tools, layout, specs, bench, max_concurrent=options.max_concurrent_snapshots)
    reporter, members = Reporter(conf, tools.driver, tools.network, tools.connections, layout, self_fence), Members(
        tools.network, functools.partial(link.group_members, conf.host))
    passes = Passes(layout.console_key)
    consoles = ConsoleRelay(tools.driver, passes, conf.console)
    manager = ComputeManager(tools, layout, spawner, power, GuestData(specs, tools.network), members,
                             reporter, Volumes(tools, specs, bench),
                             Rescuer(tools, layout, specs, bench, spawner, power),
                             interfaces, snapshots, Consoles(tools.driver, passes, consoles.where),
                             Rebuilder(tools, layout, specs, bench, spawner),
                             Mover(tools, layout, specs, bench, spawner, power),
                             Migrations(tools, layout, specs, bench, spawner, manner_of(conf),
                                        verify=conf.libvirt.verify_block_migration),
                             GuestCalls(tools, bench), Isos(tools, specs, bench))
    heartbeat = Heartbeat(conf.host, link, reporter.report, interval_s=conf.heartbeat_interval,
                          patience_s=conf.service_down_time)
    tools.network.on_password(functools.partial(link.password_posted, conf.host))
    tools.network.leaders.on_silence = functools.partial(link.leader_silent, conf.host)
    released = ReleasedVolumes(conf.host, tools, specs, bench, link)
    reconciler = Reconciler(conf.host, tools, layout, specs, bench, spawner, power, interfaces, members, link,
                            console_max_bytes=console_max_bytes, fence=self_fence, released=released)
    return ComputeService(conf.host, tools, link, manager, relay, heartbeat, reconciler, released, snapshots,
                          consoles, directory_lock, self_fence, reconcile_interval_s=options.reconcile_interval,
                          stop_timeout_s=options.graceful_stop_timeout)


def manner_of(conf: cfg.ConfigOpts) -> Manner:
    """Return how this host sends guests."""
    options = conf.libvirt
    return Manner(tls=options.live_migration_scheme == "tls", post_copy=options.live_migration_permit_post_copy,
                  auto_converge=options.live_migration_permit_auto_converge,
                  bandwidth_mib=options.live_migration_bandwidth, downtime_ms=options.live_migration_downtime)


def load_toolbox(conf: cfg.ConfigOpts, layout: Layout) -> Toolbox:
    """Return the parts of the configured driver; raises AgentError when its libraries are missing."""
    name = conf.compute.driver
    try:
        module = importlib.import_module(DRIVERS[name])
    except ImportError as error:
        raise errors.AgentError(reason=f"The compute driver '{name}' cannot be loaded: {error}. Install what it needs "
                                       "(libvirt: the package libvirt-python), or set [compute] driver.") from error
    return module.build(conf, layout)
