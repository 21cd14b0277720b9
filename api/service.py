"""Builds the api: configuration → database → bus → services → faces → HTTP server."""

from __future__ import annotations

import threading

from oslo_config import cfg

from api import policies, wsgi
from api.front.server import HttpServer
from api.openstack.compute import FACE as COMPUTE
from api.openstack.identity import FACE as IDENTITY
from api.openstack.image import FACE as IMAGE
from api.openstack.network import FACE as NETWORK
from api.openstack.volume import FACE as VOLUME
from api.policy import Policy
from api.services import Services
from api.wake import Waker
from compute.rpcapi import ComputeAPI
from conductor.rpcapi import ConductorAPI
from hostler import gc_tuning
from hostler.audit import trail
from hostler.bus import Bus
from hostler.db import version
from hostler.db.engine import Database
from hostler.identity.service import Identity
from hostler.images.janitor import ImageJanitor
from hostler.images.store import ImageStore
from hostler.liveness import Liveness

FACES = (IDENTITY, COMPUTE, IMAGE, NETWORK, VOLUME)


class ApiService:
    """An HTTP server that can be started and stopped."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, bus: Bus) -> None:
        self.services = Services(
            conf=conf, db=db, identity=Identity(db, conf), policy=Policy(conf, policies.all_defaults()),
            images=ImageStore(conf), waker=Waker(ConductorAPI(bus)), compute=ComputeAPI(bus), audit=trail.build(conf))
        self._liveness = Liveness(conf, db, "hostler-api")
        self._server = HttpServer(conf, wsgi.build(self.services, FACES))
        self._janitor = ImageJanitor(db, self.services.images)
        self._thread = threading.Thread(target=self._server.serve, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened at (useful when the configured one is 0)."""
        return self._server.port

    def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        self._server.prepare()
        gc_tuning.calm()
        self.services.waker.start()
        self.services.audit.start()
        self._thread.start()
        self._janitor.start()
        self._liveness.start()

    def stop(self) -> None:
        """Finish the requests under way and close."""
        self._server.stop()
        self._thread.join()
        self.services.waker.stop()
        self.services.audit.stop()
        self._janitor.stop()
        self._liveness.stop()


def build(conf: cfg.ConfigOpts, *, db: Database | None = None, bus: Bus | None = None) -> ApiService:
    """Return an api, sharing the database and bus when given."""
    return ApiService(conf, db or version.open_database(conf), bus or Bus(conf))
