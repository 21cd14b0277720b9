"""The Compute API v2.1 with microversions."""

from api.face import Face
from api.openstack.compute import faults, microversion, params
from api.openstack.compute.routes import routes

FACE = Face(prefix=params.PREFIX, routes=routes, render_error=faults.render, prepare=microversion.negotiate,
            finish=microversion.name_version, empty_id_is_404=True)
