"""hostler-all-in-one: every service in one process, on SQLite and an in-memory bus unless told otherwise.

The same classes and the same messages as in a fleet; only two URLs differ.
"""

from __future__ import annotations

import logging
import sys

from oslo_config import cfg

from api import service as api_service
from compute import service as compute_service
from conductor import service as conductor_service
from console import service as console_service
from hostler import errors
from hostler.bus import Bus
from hostler.cmd import running
from hostler.cmd.waiting_database import DATABASE
from hostler.db import version
from scheduler import service as scheduler_service
from volume import service as volume_service

PROG = "hostler-all-in-one"
MEMORY_BUS = "kombu+memory://"
LOG = logging.getLogger(__name__)


class AllInOne:
    """All services, started from the inside out and stopped from the outside in."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        conf.set_default("transport_url", MEMORY_BUS)
        if conf.transport_url == MEMORY_BUS:
            # They warn that a broker in memory has neither a host name nor heartbeats.
            for name in ("kombu.connection", "oslo.messaging._drivers.impl_rabbit"):
                logging.getLogger(name).setLevel(logging.ERROR)
        self._db = version.open_database(conf)
        self._bus = Bus(conf)
        local = scheduler_service.build_local(conf, self._db)
        self._services: list[running.Runnable] = [
            *([] if local else [scheduler_service.build(conf, db=self._db, bus=self._bus)]),
            conductor_service.build(conf, db=self._db, bus=self._bus, scheduler=local),
            volume_service.build(conf, bus=self._bus),
            compute_service.build(conf, bus=self._bus),
            api_service.build(conf, db=self._db, bus=self._bus),
        ]
        self._console = console_service.build(conf, db=self._db)

    def start(self) -> None:
        """Start every service."""
        for service in self._services:
            service.start()
        try:
            self._console.start()
        except errors.Unavailable as error:
            # Another program has the port; a cloud without consoles is better than none.
            LOG.error("Consoles are not served: %s", error)

    def stop(self) -> None:
        """Stop every service."""
        self._console.stop()
        for service in reversed(self._services):
            service.stop()
        self._bus.close()
        self._db.dispose()


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, AllInOne, (DATABASE,)))
