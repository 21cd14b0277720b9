"""Hostler's shared ground: what every service needs and no service owns.

Errors, configuration, the database, the bus, resources, the operation, identity and the image store. Nothing here
imports a service (`api`, `conductor`, `scheduler`, `compute`, `volume`).
"""

import warnings as _warnings

from oslo_service import backend as _oslo_backend

# A library looks whether eventlet is installed by importing it; its plea to move away from it is for those who use it.
_warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
# oslo.messaging's import would otherwise choose oslo.service's eventlet backend; the first import of ours decides.
_oslo_backend.init_backend(_oslo_backend.BackendType.THREADING)
