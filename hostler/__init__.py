"""Hostler's shared ground: what every service needs and no service owns.

Errors, configuration, the database, the bus, resources, the operation, identity and the image store. Nothing here
imports a service (`api`, `conductor`, `scheduler`, `compute`, `volume`).
"""

import sys as _sys

from oslo_service import backend as _oslo_backend

# Libraries look whether eventlet is installed by importing it, which takes 13 MiB of each process; we never use it.
_sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
# oslo.messaging's import would otherwise choose oslo.service's eventlet backend; the first import of ours decides.
_oslo_backend.init_backend(_oslo_backend.BackendType.THREADING)
