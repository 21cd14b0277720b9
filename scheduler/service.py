"""Builds the scheduler: configuration → database → bus → manager. The only place that names the parts."""

from __future__ import annotations

import oslo_messaging
from oslo_config import cfg

from hostler.bus import Bus
from hostler.conf.conductor import IN_PROCESS
from hostler.db import version
from hostler.db.engine import Database
from hostler.liveness import Liveness
from scheduler.backend_chooser import BackendChooser
from scheduler.local import LocalScheduler
from scheduler.manager import SchedulerManager
from scheduler.plugins import load_backend_selector, load_selector
from scheduler.rpcapi import RPC_VERSION, TOPIC
from scheduler.store import Store


class SchedulerService:
    """A scheduler that serves its topic between `start` and `stop`."""

    def __init__(self, manager: SchedulerManager, server: oslo_messaging.MessageHandlingServer,
                 liveness: Liveness) -> None:
        self.manager = manager
        self._server = server
        self._liveness = liveness

    def start(self) -> None:
        """Serve requests from the bus and report in."""
        self._server.start()
        self._liveness.start()

    def stop(self) -> None:
        """Take no more requests and finish those in hand; a claim is one transaction, so none is left half made."""
        self._server.stop()
        self._server.wait()
        self._liveness.stop()


def build_manager(conf: cfg.ConfigOpts, db: Database) -> SchedulerManager:
    """Return the manager alone (tests and benchmarks need no bus)."""
    return SchedulerManager(db, Store(conf, db), load_selector(conf),
                            BackendChooser(conf, db, load_backend_selector(conf)),
                            max_claim_attempts=conf.scheduler.max_claim_attempts)


def build_local(conf: cfg.ConfigOpts, db: Database) -> LocalScheduler | None:
    """Return the scheduler of a conductor's own process; None where conductors ask over the bus. Raises as `build`."""
    return LocalScheduler(build_manager(conf, db)) if conf.conductor.scheduler == IN_PROCESS else None


def build(conf: cfg.ConfigOpts, db: Database | None = None, bus: Bus | None = None) -> SchedulerService:
    """Return the service, not started; what is not given is made from the configuration.

    Raises Invalid when the configuration names a filter or weigher that nothing provides.
    """
    db = db if db is not None else version.open_database(conf)
    bus = bus if bus is not None else Bus(conf)
    manager = build_manager(conf, db)
    return SchedulerService(manager, bus.server(TOPIC, conf.host, manager, RPC_VERSION),
                            Liveness(conf, db, "nova-scheduler"))
