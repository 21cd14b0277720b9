"""Builds the api: configuration → database → bus → services → faces → HTTP server."""

from __future__ import annotations

import logging
import threading

from cheroot import wsgi as cheroot_wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from oslo_config import cfg

from api import policies, wsgi
from api.openstack.compute import FACE as COMPUTE
from api.openstack.identity import FACE as IDENTITY
from api.openstack.image import FACE as IMAGE
from api.openstack.network import FACE as NETWORK
from api.policy import Policy
from api.services import Services
from api.wake import Waker
from compute.rpcapi import ComputeAPI
from conductor.rpcapi import ConductorAPI
from hostler import garbage
from hostler.bus import Bus
from hostler.db.engine import Database
from hostler.identity.service import Identity
from hostler.images.store import ImageStore
from hostler.liveness import Liveness

LOG = logging.getLogger(__name__)
FACES = (IDENTITY, COMPUTE, IMAGE, NETWORK)


class ApiService:
    """An HTTP server that can be started and stopped."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, bus: Bus) -> None:
        self.services = Services(
            conf=conf, db=db, identity=Identity(db, conf), policy=Policy(conf, policies.all_defaults()),
            images=ImageStore(conf), waker=Waker(ConductorAPI(bus)), compute=ComputeAPI(bus))
        self._liveness = Liveness(conf, db, "hostler-api")
        self._server = _http_server(conf, wsgi.build(self.services, FACES))
        self._thread = threading.Thread(target=self._server.serve, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened at (useful when the configured one is 0)."""
        return int(self._server.bind_addr[1])

    def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        self._server.prepare()
        garbage.calm()
        self.services.waker.start()
        self._thread.start()
        self._liveness.start()

    def stop(self) -> None:
        """Finish the requests under way and close."""
        self._server.stop()
        self._thread.join(timeout=10)
        self.services.waker.stop()
        self._liveness.stop()


def _http_server(conf: cfg.ConfigOpts, app: object) -> cheroot_wsgi.Server:
    server = cheroot_wsgi.Server((conf.api.bind_host, conf.api.bind_port), app, numthreads=conf.api.threads,
                                 request_queue_size=512, timeout=60, shutdown_timeout=30, server_name="hostler")
    if conf.api.tls_certificate:
        server.ssl_adapter = BuiltinSSLAdapter(conf.api.tls_certificate, conf.api.tls_private_key)
    return server


def build(conf: cfg.ConfigOpts, *, db: Database | None = None, bus: Bus | None = None) -> ApiService:
    """Return an api, sharing the database and bus when given."""
    return ApiService(conf, db or Database.from_conf(conf), bus or Bus(conf))
