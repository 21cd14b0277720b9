"""Builds the conductor: configuration → database → bus → workers and endpoint."""

from __future__ import annotations

from oslo_config import cfg

from compute.rpcapi import ComputeAPI
from conductor import confirmations, elections, host_failures
from conductor.engine.workers import Workers
from conductor.manager import ConductorManager
from conductor.rpcapi import RPC_VERSION, TOPIC
from conductor.run import CloudAccess
from conductor.sweeps import sweep
from hostler.agent.periodic import Periodic
from hostler.bus import Bus
from hostler.db import version
from hostler.db.engine import Database
from hostler.images.store import ImageStore
from hostler.liveness import Liveness
from hostler.resources.network.port_specs import prune_changes
from scheduler.rpcapi import Scheduler, SchedulerAPI
from volume.rpcapi import VolumeAPI

_PRUNE_EVERY_S = 3600.0


class ConductorService:
    """A conductor that can be started and stopped."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, bus: Bus, scheduler: Scheduler | None = None) -> None:
        cloud = CloudAccess(conf, db, scheduler or SchedulerAPI(bus), ComputeAPI(bus), ImageStore(conf),
                            VolumeAPI(bus))
        self.workers = Workers(cloud, conf)
        self._db, self._conf, self._outages = db, conf, cloud.outages
        self._host_failures = Periodic("host-failures", conf.conductor.restart_interval, self._restart_servers)
        self._elections = Periodic("elections", conf.conductor.election_interval, self._elect)
        self._sweeps = Periodic("sweeps", conf.conductor.sweep_interval,
                                lambda: sweep(db, conf, self.workers.submit))
        self._pruning = Periodic("prune-group-changes", _PRUNE_EVERY_S, lambda: db.write(prune_changes))
        # A conductor with a scheduler of its own is one: who lists services sees where hosts are chosen.
        self._liveness = Liveness(conf, db, "nova-conductor", *(["nova-scheduler"] if scheduler else []))
        self._confirming = Periodic("confirmations", confirmations.interval_s(conf), lambda: confirmations.confirm_due(
            db, conf, self.workers.submit))
        self._manager = ConductorManager(cloud, self.workers, lambda: self._liveness.living)
        self._server = bus.server(TOPIC, conf.host, self._manager, RPC_VERSION)

    def start(self) -> None:
        """Take up work and reports."""
        self.workers.start()
        self._server.start()
        self._sweeps.start(at_once=False)
        self._liveness.start()
        self._host_failures.start()
        self._elections.start()
        self._confirming.start(at_once=False)
        self._pruning.start(at_once=False)

    def _restart_servers(self) -> None:
        if not self._outages.are_recent():  # else hosts may not have had the time to report
            for operation_id in host_failures.sweep(self._db, self._conf):
                self.workers.submit(operation_id)

    def _elect(self) -> None:
        if not self._outages.are_recent():
            for operation_id in elections.sweep(self._db, self._conf, self._manager.silent_leaders.still_leads):
                self.workers.submit(operation_id)

    def stop(self) -> None:
        """Take nothing new, finish the tasks under way, hand the rest over."""
        self._host_failures.stop()
        self._elections.stop()
        self._confirming.stop()
        self._server.stop()
        self._sweeps.stop()
        self._pruning.stop()
        self.workers.stop()
        self._server.wait()
        self._liveness.stop()


def build(conf: cfg.ConfigOpts, *, db: Database | None = None, bus: Bus | None = None,
          scheduler: Scheduler | None = None) -> ConductorService:
    """Return a conductor, sharing the database and bus when given; without `scheduler` it asks over the bus."""
    return ConductorService(conf, db or version.open_database(conf), bus or Bus(conf), scheduler)
