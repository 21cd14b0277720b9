"""The published face of hosts by name, until 2.42: list, and what projects use of each. Changing them is refused."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies
from api.core.fleet import host_usage
from api.openstack.compute import params
from api.openstack.compute.hypervisors import sizes
from api.openstack.compute.microversion import available, until
from api.openstack.resource import Resource
from hostler import errors, ids

_HOSTS: Final = until(42)
_SWITCH: Final = {"enum": [spelling for word in ("enable", "disable")
                           for spelling in (word, word.capitalize(), word.upper())]}
_CHECK: Final = bodies.compile_schema({
    "type": "object", "additionalProperties": False, "minProperties": 1,
    "properties": {"status": _SWITCH, "maintenance_mode": _SWITCH}})


class Hosts(Resource):
    """GET /os-hosts: the enabled services, as hosts."""

    @available(_HOSTS)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = host_usage.list_services(self.services, params.caller(request), request.get_param("zone") or None)
        response.media = {"hosts": [{"host_name": one.host, "service": one.binary.removeprefix("nova-"),
                                     "zone": one.zone} for one in found]}


class HostItem(Resource):
    """GET and PUT /os-hosts/{name}."""

    @available(_HOSTS)
    def on_get(self, request: falcon.Request, response: falcon.Response, host_name: str) -> None:
        """Show what there is, what is used, and what servers may use: all, and by project."""
        host, uses = host_usage.show(self.services, params.caller(request), host_name)
        size = sizes(host)
        rows = [("(total)", size["vcpus"], size["memory_mb"], size["local_gb"]),
                ("(used_now)", size["vcpus_used"], size["memory_mb_used"], size["local_gb_used"]),
                ("(used_max)", sum(use.vcpus for use in uses), sum(use.ram_mib for use in uses),
                 sum(use.disk_gib for use in uses)),
                *((ids.bare(use.project_id), use.vcpus, use.ram_mib, use.disk_gib) for use in uses)]
        response.media = {"host": [_resource(host.row.name, *row) for row in rows]}

    @available(_HOSTS)
    def on_put(self, request: falcon.Request, _response: falcon.Response, host_name: str) -> None:
        """Refuse, as the reference does with this hypervisor: services are disabled at /os-services."""
        _CHECK(bodies.read_json(request))
        _refuse(self, request, host_name, "update")


class _Power(Resource):
    """GET /os-hosts/{name}/startup, /shutdown and /reboot: refused, as the reference does with this hypervisor."""

    action: str

    @available(_HOSTS)
    def on_get(self, request: falcon.Request, _response: falcon.Response, host_name: str) -> None:
        """Refuse."""
        _refuse(self, request, host_name, self.action)


class Startup(_Power):
    """GET /os-hosts/{name}/startup."""

    action = "start"


class Shutdown(_Power):
    """GET /os-hosts/{name}/shutdown."""

    action = "shutdown"


class Reboot(_Power):
    """GET /os-hosts/{name}/reboot."""

    action = "reboot"


def _refuse(resource: Resource, request: falcon.Request, host_name: str, action: str) -> None:
    host_usage.show(resource.services, params.caller(request), host_name, action=action)
    raise errors.NotImplementedHere("The requested functionality is not supported.", feature=f"os-hosts:{action}")


def _resource(name: str, project: str, vcpus: int, ram_mib: int, disk_gib: int) -> dict[str, Any]:
    return {"resource": {"host": name, "project": project, "cpu": vcpus, "memory_mb": ram_mib, "disk_gb": disk_gib}}


ROUTES: Final = (("/os-hosts", Hosts), ("/os-hosts/{host_name}", HostItem), ("/os-hosts/{host_name}/startup", Startup),
                 ("/os-hosts/{host_name}/shutdown", Shutdown), ("/os-hosts/{host_name}/reboot", Reboot))
