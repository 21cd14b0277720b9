"""Hostler's shared ground: what every service needs and no service owns.

Errors, configuration, the database, the bus, resources, the operation, identity and the image store. Nothing here
imports a service (`api`, `conductor`, `scheduler`, `compute`, `volume`).
"""

from oslo_service import backend as _oslo_backend

# oslo.messaging's import would otherwise choose oslo.service's eventlet backend; the first import of ours decides.
_oslo_backend.init_backend(_oslo_backend.BackendType.THREADING)
