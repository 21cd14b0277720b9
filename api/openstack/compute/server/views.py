"""How a server is written in answers, for every microversion.

A view writes everything it knows and takes out what the version or the caller may not see; `FIELDS` says which.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from typing import Any, Final

from api.core.server.rows import Related
from api.openstack.compute.microversion import ALWAYS, Span, Version, since
from api.openstack.compute.params import ROOT
from hostler import clock, ids
from hostler.resources.server import states
from hostler.resources.server.status import status_of


@dataclasses.dataclass(frozen=True)
class Audience:
    """What the caller may see beyond the ordinary (decided by policy)."""

    attributes: bool = False  # host, internal names, user data
    host_status: bool = False
    fault_details: bool = False


@dataclasses.dataclass(frozen=True)
class Field:
    """When a member of a server exists: for everybody since `span`, for the privileged since `privileged`."""

    span: Span | None = ALWAYS
    privileged: Span | None = None
    privilege: str = "attributes"


DISK_CONFIG: Final = {True: "AUTO", False: "MANUAL"}
_ATTR = "OS-EXT-SRV-ATTR:"
FIELDS: Final = {
    _ATTR + "host": Field(None, ALWAYS), _ATTR + "hypervisor_hostname": Field(None, ALWAYS),
    _ATTR + "instance_name": Field(None, ALWAYS), _ATTR + "hostname": Field(since(90), since(3)),
    _ATTR + "kernel_id": Field(None, since(3)), _ATTR + "ramdisk_id": Field(None, since(3)),
    _ATTR + "launch_index": Field(None, since(3)), _ATTR + "reservation_id": Field(None, since(3)),
    _ATTR + "root_device_name": Field(None, since(3)), _ATTR + "user_data": Field(None, since(3)),
    "host_status": Field(None, since(16), "host_status"),
    "locked": Field(since(9)), "description": Field(since(19)), "tags": Field(since(26)),
    "trusted_image_certificates": Field(since(63)), "locked_reason": Field(since(73)),
    "pinned_availability_zone": Field(since(96)),
}
# Members of the one-server view only.
GROUPS: Final = since(71)
_FLAVOR_INSIDE: Final = since(47)
_VOLUME_DELETION: Final = since(3)  # whether a volume is deleted with its server
# Until 2.74 the answer to an update is shorter than a show.
FULL_UPDATE: Final = since(75)
SHORT_UPDATE: Final = frozenset({
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "addresses", "accessIPv4", "accessIPv6", "links", "progress", "fault", "OS-DCF:diskConfig", "locked",
    "description", "tags", "trusted_image_certificates", "server_groups", "locked_reason"})


@functools.lru_cache(maxsize=4096)
def host_hash(project_id: str, host: str) -> str:
    """Return the opaque name by which a project's users can tell two hosts apart."""
    return hashlib.sha224((ids.bare(project_id) + host).encode()).hexdigest()


bare = functools.lru_cache(maxsize=4096)(ids.bare)


@functools.lru_cache(maxsize=1024)
def hidden_fields(version: Version, audience: Audience) -> tuple[str, ...]:
    """Return the members a caller does not see."""
    def seen(field: Field) -> bool:
        if field.span is not None and version in field.span:
            return True
        return field.privileged is not None and version in field.privileged and getattr(audience, field.privilege)

    return tuple(name for name, field in FIELDS.items() if not seen(field))


class ServerView:
    """Writes servers for one request."""

    def __init__(self, base: str, version: Version, audience: Audience) -> None:
        self._self = f"{base}{ROOT}/servers/"
        self._bookmark = f"{base}/servers/"
        self._images = f"{base}/images/"
        self._flavors = f"{base}/flavors/"
        self._hidden = hidden_fields(version, audience)
        self._user_data = _ATTR + "user_data" not in self._hidden
        self._flavor_inside = version in _FLAVOR_INSIDE
        self._details = audience.fault_details
        self._groups = version in GROUPS
        self._with_deletion = version in _VOLUME_DELETION
        self._flavor_cache: dict[str, dict[str, Any]] = {}
        self._image_cache: dict[str, dict[str, Any]] = {}

    def links(self, server_id: str) -> list[dict[str, str]]:
        """Return a server's links."""
        return [{"rel": "self", "href": self._self + server_id},
                {"rel": "bookmark", "href": self._bookmark + server_id}]

    def brief(self, row: Any) -> dict[str, Any]:
        """Return a server as the short list shows it."""
        return {"id": row.id, "name": row.name, "links": self.links(row.id)}

    def one(self, row: Any, related: Related) -> dict[str, Any]:
        """Return a server as the show call does."""
        view = self.detail(row, related)
        if self._groups:
            group = related.groups.get(row.id)
            view["server_groups"] = [group] if group else []
        return view

    def detail(self, row: Any, related: Related) -> dict[str, Any]:
        """Return a server with details."""
        server_id = row.id
        host = related.hosts.get(row.host_id) if row.host_id is not None else None
        task = related.tasks.get(server_id)
        status = status_of(row.vm_state, task)
        launched, ended = row.launched_at, row.deleted_at
        view = {
            "id": server_id, "name": row.name, "status": status, "tenant_id": bare(row.project_id),
            "user_id": bare(row.user_id), "metadata": row.metadata,
            "hostId": host_hash(row.project_id, host.name) if host else "",
            "image": self._image(row.image_id), "flavor": self._flavor(row),
            "created": row.created_at.isoformat(timespec="seconds") + "Z",
            "updated": row.updated_at.isoformat(timespec="seconds") + "Z",
            "addresses": addresses_view(related.addresses.get(server_id, ())),
            "accessIPv4": row.access_ip_v4 or "", "accessIPv6": row.access_ip_v6 or "",
            "links": self.links(server_id), "OS-DCF:diskConfig": DISK_CONFIG[bool(row.auto_disk_config)],
            "OS-EXT-AZ:availability_zone": host.zone if host else row.requested_zone or "",
            "config_drive": "True" if row.config_drive else "", "key_name": row.key_name,
            "OS-SRV-USG:launched_at": launched and launched.isoformat(timespec="microseconds"),
            "OS-SRV-USG:terminated_at": ended and ended.isoformat(timespec="microseconds"),
            _ATTR + "host": host and host.name, _ATTR + "hypervisor_hostname": host and host.hypervisor_hostname,
            _ATTR + "instance_name": f"hostler-{server_id}", _ATTR + "hostname": row.hostname, _ATTR + "kernel_id": "",
            _ATTR + "ramdisk_id": "", _ATTR + "launch_index": row.launch_index,
            _ATTR + "reservation_id": row.reservation_id, _ATTR + "root_device_name": "/dev/vda",
            _ATTR + "user_data": row.user_data if self._user_data else None,
            "OS-EXT-STS:task_state": task, "OS-EXT-STS:vm_state": row.vm_state,
            "OS-EXT-STS:power_state": states.POWER_NUMBERS.get(row.power_state, 0),
            "os-extended-volumes:volumes_attached": self._volumes(related.volumes.get(server_id, ())),
            "host_status": host.status if host else "", "locked": row.locked, "description": row.description,
            "tags": related.tags.get(server_id, ()),
            "trusted_image_certificates": None, "locked_reason": row.locked_reason,
            "pinned_availability_zone": row.requested_zone,
        }
        for name in self._hidden:
            del view[name]
        groups = related.security_groups.get(server_id)
        if groups:
            view["security_groups"] = [{"name": name} for name in groups]
        if status in states.WITH_PROGRESS:
            view["progress"] = 0
        if row.fault and status in states.WITH_FAULT:
            view["fault"] = self._fault(row.fault)
        return view

    def _volumes(self, volumes: Iterable[tuple[str, bool]]) -> list[dict[str, Any]]:
        if not self._with_deletion:
            return [{"id": volume_id} for volume_id, _ in volumes]
        return [{"id": volume_id, "delete_on_termination": deleted} for volume_id, deleted in volumes]

    def _fault(self, fault: dict[str, Any]) -> dict[str, Any]:
        view = {"code": fault.get("code", 500), "message": fault.get("message", ""),
                "created": fault.get("created") or clock.iso_z(clock.utcnow())}
        if fault.get("details") and (self._details or view["code"] != 500):
            view["details"] = fault["details"]
        return view

    def _image(self, image_id: str | None) -> Any:
        if image_id is None:
            return ""
        if image_id not in self._image_cache:
            self._image_cache[image_id] = {
                "id": image_id, "links": [{"rel": "bookmark", "href": self._images + image_id}]}
        return self._image_cache[image_id]

    def _flavor(self, row: Any) -> dict[str, Any]:
        flavor = row.flavor
        if self._flavor_inside:
            return {"vcpus": row.vcpus, "ram": row.ram_mib, "disk": row.root_gib, "ephemeral": row.ephemeral_gib,
                    "swap": row.swap_mib, "original_name": flavor.get("name", ""),
                    "extra_specs": flavor.get("extra_specs", {})}
        flavorid = flavor.get("flavorid", "")
        if flavorid not in self._flavor_cache:
            self._flavor_cache[flavorid] = {
                "id": flavorid, "links": [{"rel": "bookmark", "href": self._flavors + flavorid}]}
        return self._flavor_cache[flavorid]


def addresses_view(addresses: Any) -> dict[str, list[dict[str, Any]]]:
    """Return addresses by network name."""
    view: dict[str, list[dict[str, Any]]] = {}
    for address in addresses:
        view.setdefault(address.network, []).append({
            "version": address.version, "addr": address.ip, "OS-EXT-IPS:type": address.kind,
            "OS-EXT-IPS-MAC:mac_addr": address.mac})
    return view


def short_update(view: dict[str, Any]) -> dict[str, Any]:
    """Return what old versions answer to an update, from the one-server view."""
    short = {key: value for key, value in view.items() if key in SHORT_UPDATE}
    short["addresses"] = {network: [{"version": address["version"], "addr": address["addr"]} for address in addresses]
                          for network, addresses in view["addresses"].items()}
    return short
