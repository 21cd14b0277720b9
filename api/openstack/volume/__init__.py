"""The Block Storage API v3 with microversions."""

from api.face import Face
from api.openstack.volume import faults, microversion, params
from api.openstack.volume.routes import routes

FACE = Face(prefix=params.PREFIX, routes=routes, render_error=faults.render, prepare=microversion.prepare,
            finish=microversion.name_version, statuses=faults.STATUSES, empty_id_is_404=True)
