"""Builds and runs one volume agent: configuration -> back ends -> manager -> bus.

The console script, the all-in-one and the tests all build through it. Drivers are found by `volume.drivers.loading`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from oslo_config import cfg

from hostler import errors
from hostler.agent.faults import Faults
from hostler.agent.fencing import Fence
from hostler.agent.files import DirectoryLock
from hostler.agent.heartbeat import Heartbeat
from hostler.agent.locks import ResourceLocks
from hostler.agent.periodic import Periodic
from hostler.bus import Bus
from hostler.images.cache import ImageCache
from volume.backends import OPEN_PATIENCE_S, Backend, Backends
from volume.backups.store import BackupStore
from volume.conductors import VolumeLink, open_link
from volume.copy_out import CopyOut
from volume.copy_snapshots import CopySnapshots
from volume.create_volume import VolumeMaker
from volume.drivers import loading
from volume.images import GIB, ImageContents
from volume.layout import Layout
from volume.manager import VolumeManager
from volume.reconcile import Reconciler
from volume.report import Reporter
from volume.work import Workbench

LOG = logging.getLogger(__name__)


class VolumeService:
    """One agent. `start` and `stop` are called once each, in this order."""

    def __init__(self, node: str, backends: Backends, link: VolumeLink, manager: VolumeManager, heartbeat: Heartbeat,
                 reconciler: Reconciler, bench: Workbench, faults: Faults, directory_lock: DirectoryLock, *,
                 reconcile_interval_s: float, stop_timeout_s: float) -> None:
        self.node = node
        self._directory_lock = directory_lock
        self.backends = backends
        self.manager = manager
        self.faults = faults
        self.reconciler = reconciler
        self._link = link
        self._heartbeat = heartbeat
        self._bench = bench
        self._stop_timeout_s = stop_timeout_s
        self._reconciling = Periodic("volume-reconcile", reconcile_interval_s, reconciler.run, retry_s=2.0)
        heartbeat.on_answer = self._reconciling.wake

    def start(self) -> None:
        """Open the back ends (one that fails is reported so and tried again), serve.

        Raises AgentError when another agent uses the state directory.
        """
        self._directory_lock.take()
        self.backends.look(OPEN_PATIENCE_S)
        self._link.open()
        # The report comes first: the conductors must know the node before they judge what is on it.
        self._heartbeat.start()
        self._link.serve(self.manager)
        self._reconciling.start(at_once=False)  # its first turn comes with the first answer to a report
        LOG.info("Volume agent %s is up", self.node)

    def stop(self) -> bool:
        """Finish the calls at work (within the configured time), keep connections up, let go of everything else.

        Returns False when calls were left; those that copy give up, and all of their operations are resumed by the
        conductors.
        """
        finished = self._link.stop_serving(self._stop_timeout_s, self._bench.give_up)
        self._reconciling.stop()
        self._heartbeat.stop()
        self.backends.close()
        self._link.close()
        self._directory_lock.release()
        LOG.info("Volume agent %s stopped%s", self.node, "" if finished else ", calls were left to be resumed")
        return finished


def build(conf: cfg.ConfigOpts, bus: Bus | None = None) -> VolumeService:
    """Return the agent of `conf` (not started); `bus` is lent by the all-in-one. Raises AgentError."""
    options = conf.volume
    layout = Layout(Path(conf.state_path).absolute())
    directory_lock = DirectoryLock(layout.root)
    directory_lock.check()
    layout.prepare()
    names = list(dict.fromkeys(options.enabled_backends))
    faults = _faults(conf, layout, names)
    backends = Backends(_backend(conf, layout, faults, name) for name in names)
    store = BackupStore(Path(options.backup_dir) if options.backup_dir else layout.backups, layout.backup_memory)
    link = open_link(conf.host, bus, lambda: Bus(conf))
    bench = Workbench(Fence(layout.fence), ResourceLocks(), link, max_copies=options.max_concurrent_copies,
                      checkpoint=faults.reach)
    images = ImageContents(ImageCache(layout.images, max_bytes=options.image_cache_gib * GIB,
                                      min_age_s=options.image_cache_min_age))
    copy_snapshots = CopySnapshots(layout.copy_snapshots)
    reporter = Reporter(conf, backends, store, copy_snapshots)
    manager = VolumeManager(conf.host, backends, bench,
                            VolumeMaker(backends, images, store, layout, options.tls_dir),
                            CopyOut(backends, store, copy_snapshots, layout), store, reporter)
    heartbeat = Heartbeat(conf.host, link, reporter.report, interval_s=conf.heartbeat_interval,
                          patience_s=conf.service_down_time)
    reconciler = Reconciler(conf.host, backends, store, images, copy_snapshots, bench, reporter, link)
    return VolumeService(conf.host, backends, link, manager, heartbeat, reconciler, bench, faults,
                         directory_lock, reconcile_interval_s=options.reconcile_interval,
                         stop_timeout_s=options.graceful_stop_timeout)


def _backend(conf: cfg.ConfigOpts, layout: Layout, faults: Faults, name: str) -> Backend:
    if not name or "/" in name or "@" in name or "#" in name or name.startswith("."):
        raise errors.AgentError(reason=f"[volume] enabled_backends: '{name}' is not a valid name for a back end.")
    config = loading.BackendConfig(name=name, node=conf.host, conf=conf, layout=layout, faults=faults)
    driver = loading.load_driver(config)
    options = config.options
    return Backend(name, options.driver, driver, shown_name=options.volume_backend_name or name,
                   reserved_percent=options.reserved_percent, over_subscription=options.over_subscription)


def _faults(conf: cfg.ConfigOpts, layout: Layout, names: list[str]) -> Faults:
    """Return the agent's faults on order: none can be ordered of an agent without a fake back end."""
    if any(loading.driver_name(conf, name) == "fake" for name in names):
        layout.fake.mkdir(parents=True, exist_ok=True)
        return Faults(layout.fake / "faults.json")
    return Faults(remember=0)
