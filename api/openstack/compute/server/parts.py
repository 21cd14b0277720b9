"""A server's sub-resources: addresses, security groups, diagnostics."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import falcon

from api.core.server import actions as server_actions
from api.core.server import passwords, servers
from api.core.server import rows as server_rows
from api.openstack.compute import params
from api.openstack.compute.microversion import available, since
from api.openstack.compute.proxies.security_groups import group_view
from api.openstack.resource import Resource
from hostler import errors

_STANDARD_DIAGNOSTICS = since(48)


class Addresses(Resource):
    """GET /servers/{id}/ips."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List all."""
        response.media = {"addresses": self._addresses(request, server_id, "index")}

    def _addresses(self, request: falcon.Request, server_id: str, action: str) -> dict[str, list[dict[str, Any]]]:
        row = servers.authorised(self.services, params.caller(request), server_id, f"os_compute_api:ips:{action}")
        with self.services.db.reading() as session:
            addresses = server_rows.addresses_of(session, [row.id]).get(row.id, ())
        view: dict[str, list[dict[str, Any]]] = {}
        for address in addresses:
            view.setdefault(address.network, []).append({"version": address.version, "addr": address.ip})
        return view


class AddressesOnNetwork(Addresses):
    """GET /servers/{id}/ips/{network}."""

    def on_get(self, request: falcon.Request, response: falcon.Response,  # type: ignore[override]
               server_id: str, network_label: str) -> None:
        """List those on one network."""
        found = self._addresses(request, server_id, "show")
        if network_label not in found:
            raise errors.NotFound("Instance is not a member of specified network", resource="network",
                                  id=network_label)
        response.media = {network_label: found[network_label]}


class ServerSecurityGroups(Resource):
    """GET /servers/{id}/os-security-groups."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List."""
        groups = server_actions.groups_of(self.services, params.caller(request), server_id)
        response.media = {"security_groups": [
            group_view(group, [row[0] for row in rules], {
                rule.remote_group_id: (name, project_id) for rule, name, project_id in rules if name is not None})
            for group, rules in groups]}


class ServerPassword(Resource):
    """GET and DELETE /servers/{id}/os-server-password: what the guest posted, encrypted with its user's key."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Show."""
        response.media = {"password": passwords.show(self.services, params.caller(request), server_id)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Forget."""
        passwords.clear(self.services, params.caller(request), server_id)
        response.status = 204


class Topology(Resource):
    """GET /servers/{id}/topology: no guest here has NUMA nodes of its own."""

    @available(since(78))
    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Show."""
        servers.authorised(self.services, params.caller(request), server_id, "compute:server:topology:index")
        response.media = {"nodes": [], "pagesize_kb": None}


_CPU = ("id", "time", "utilisation")
_DISK = ("errors_count", "read_bytes", "read_requests", "write_bytes", "write_requests")
_NIC = ("mac_address", "rx_drop", "rx_errors", "rx_octets", "rx_packets", "rx_rate", "tx_drop", "tx_errors",
        "tx_octets", "tx_packets", "tx_rate")


def _table(found: dict[str, Any], name: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    return [{key: row.get(key) for key in keys} for row in found.get(name) or ()]


def diagnostics_view(found: dict[str, Any], config_drive: bool) -> dict[str, Any]:
    """Return an agent's counters in the standard form."""
    memory = found.get("memory_details") or {}
    cpus, disks, nics = _table(found, "cpu_details", _CPU), _table(found, "disk_details", _DISK), _table(
        found, "nic_details", _NIC)
    return {"state": found.get("state"), "driver": "libvirt", "hypervisor": found.get("hypervisor"),
            "hypervisor_os": found.get("hypervisor_os"), "uptime": found.get("uptime"), "config_drive": config_drive,
            "num_cpus": found.get("num_cpus", len(cpus)), "num_disks": found.get("num_disks", len(disks)),
            "num_nics": found.get("num_nics", len(nics)), "cpu_details": cpus, "disk_details": disks,
            "nic_details": nics, "memory_details": {key: memory.get(key) for key in ("maximum", "used")}}


def old_diagnostics_view(found: dict[str, Any]) -> dict[str, int]:
    """Return an agent's counters as one flat map keyed by device, as before 2.48."""
    memory = found.get("memory_details") or {}
    view = {"memory": (memory.get("maximum") or 0) * 1024, "memory-rss": (memory.get("used") or 0) * 1024}
    for cpu in found.get("cpu_details") or ():
        view[f"cpu{cpu['id']}_time"] = cpu["time"]
    for index, disk in enumerate(found.get("disk_details") or ()):
        view.update({f"vd{string.ascii_lowercase[index]}_{old}": disk[new] for old, new in _OLD_DISK})
    for nic in found.get("nic_details") or ():
        view.update({f"{nic['mac_address']}_{old}": nic[new] for old, new in _OLD_NIC})
    return view


_OLD_DISK = (("read", "read_bytes"), ("read_req", "read_requests"), ("write", "write_bytes"),
             ("write_req", "write_requests"), ("errors", "errors_count"))
_OLD_NIC = (("rx", "rx_octets"), ("rx_packets", "rx_packets"), ("rx_errors", "rx_errors"), ("rx_drop", "rx_drop"),
            ("tx", "tx_octets"), ("tx_packets", "tx_packets"), ("tx_errors", "tx_errors"), ("tx_drop", "tx_drop"))


class Diagnostics(Resource):
    """GET /servers/{id}/diagnostics."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Ask the server's host."""
        row, found = server_actions.diagnostics(self.services, params.caller(request), server_id)
        standard = request.context.version in _STANDARD_DIAGNOSTICS
        response.media = diagnostics_view(found, row.config_drive) if standard else old_diagnostics_view(
            found)
