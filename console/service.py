"""Builds and runs the console proxy: configuration → database → token plugin → server."""

from __future__ import annotations

import threading

from oslo_config import cfg

from console.server import ProxyServer
from console.tokens import TokenPlugin
from hostler.audit import trail
from hostler.db import version
from hostler.db.engine import Database
from hostler.liveness import Liveness

BINARY = "hostler-console"


class ConsoleService:
    """One proxy. `start` and `stop` are called once each, in this order."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database) -> None:
        self._conf = conf
        self._db = db
        self._trail = trail.build(conf)
        self._liveness = Liveness(conf, db, BINARY)
        self._server: ProxyServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._server is not None
        return self._server.port

    def start(self) -> None:
        """Listen; raises Unavailable when the address is in use, Invalid for an unusable certificate."""
        self._server = ProxyServer(self._conf, self._db, TokenPlugin(self._conf, self._db, self._trail))
        self._trail.start()
        threading.Thread(target=self._server.serve_forever, name="console-proxy", daemon=True).start()
        self._liveness.start()

    def stop(self) -> None:
        """End all consoles and close."""
        if self._server is not None:
            self._server.stop()
            self._trail.stop()
            self._liveness.stop()


def build(conf: cfg.ConfigOpts, *, db: Database | None = None) -> ConsoleService:
    """Return a proxy; it shares `db` when given, else opens the configured database."""
    return ConsoleService(conf, db or version.open_database(conf))
