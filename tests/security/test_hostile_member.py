"""A member creates in a loop: every noun, and every list in a body, ends at a quota or a cap.

`ROUTES` says of each route that takes a body what bounds it. A new route fails the first test until it has a line; a
line that names a loop is played: the loop must be refused, with the published status, after exactly as many as fit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from unittest import mock

import pytest
import requests

from api.openstack import compute, identity, image, network, volume
from api.openstack.network import not_built as network_not_built
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.old_versions import newest
from tests.harness.projects import new_project

FEW: Final = 3
LISTED: Final = 5
QUOTAS: Final = (
    "instances", "networks", "subnets", "ports", "security_group_rules", "routers", "floatingips", "rbac_policies",
    "subnetpools", "address_scopes", "address_groups", "volumes", "snapshots", "backups", "images",
    "key_pairs", "server_groups", "application_credentials", "volume_attachments")
METHODS: Final = ("POST", "PUT", "PATCH")

# What bounds a route that is not played.
ADMIN = "only administrators may"
CHANGES = "changes what is there; its lists are bounded by the schema"
MANAGERS = "members may not; managers until the quota is full, which the verb's own tests show"
NOTHING = "creates nothing: not built, or an answer alone"
ACTION = "an operation holds its resource, so there is one at a time; what actions create is played by its noun"
PARENT = "one of each parent"
DATA = "its bytes are claimed (tests/regressions/test_bytes_of_images_are_claimed.py)"
EXPIRES = "what it creates ends by itself within minutes, and requests are limited"
NEW_PARENT = "counts like the noun's own route"

_NOT_BUILT_VOLUME: Final = ("groups", "group_types", "group_snapshots", "consistencygroups", "cgsnapshots", "clusters",
                            "default-types", "manageable_volumes", "os-volume-manage",
                            "manageable_snapshots", "os-snapshot-manage")


def _lines(prefix: str, **bounds: str) -> dict[str, str]:
    """Return "METHOD path" → bound from a bound's name → lines of "METHODS path"."""
    found: dict[str, str] = {}
    for bound, text in bounds.items():
        for line in filter(None, map(str.strip, text.splitlines())):
            methods, path = line.split()
            for method in methods.split(","):
                found[f"{method} {prefix}{path}"] = globals().get(bound, bound)
    return found


ROUTES: Final[Mapping[str, str]] = {
    **_lines("/compute/v2.1", ADMIN="""
        POST /flavors
        PUT /flavors/{flavor_id}
        POST /flavors/{flavor_id}/action
        POST /flavors/{flavor_id}/os-extra_specs
        PUT /flavors/{flavor_id}/os-extra_specs/{key}
        PUT /os-quota-sets/{project_id}
        PUT /os-quota-class-sets/{class_name}
        POST /os-aggregates
        PUT /os-aggregates/{aggregate_id}
        POST /os-aggregates/{aggregate_id}/action
        POST /os-aggregates/{aggregate_id}/images
        PUT /os-services/{service_id}
        PUT /os-hosts/{host_name}
        POST /servers/{server_id}/migrations/{migration_id}/action
        POST /os-server-external-events
    """, CHANGES="""
        PUT /servers/{server_id}
        PUT /servers/{server_id}/os-volume_attachments/{volume_id}
        PUT /servers/{server_id}/tags
        PUT /os-security-groups/{security_group_id}
    """, NOTHING="""
        POST /os-agents
        PUT /os-agents/{removed_id}
        POST /os-cells
        PUT /os-cells/{removed_id}
        POST /os-certificates
        POST /os-cloudpipe
        PUT /os-cloudpipe/{removed_id}
        PUT /os-floating-ip-dns/{removed_id}
        POST /os-floating-ips-bulk
        PUT /os-floating-ips-bulk/{removed_id}
        POST /os-security-group-default-rules
        POST /servers/{server_id}/consoles
        POST /os-networks
        POST /os-networks/add
        POST /os-networks/{network_id}/action
        POST /os-tenant-networks
    """, EXPIRES="""
        POST /servers/{server_id}/remote-consoles
    """, ACTION="""
        POST /servers/{server_id}/action
    """, image_metadata_item="PUT /images/{image_id}/metadata/{key}",
        image_items="POST,PUT /images/{image_id}/metadata",
        old_volumes="POST /os-volumes", old_snapshots="POST /os-snapshots",
        old_floating_ips="POST /os-floating-ips",
        old_groups="POST /os-security-groups", old_rules="POST /os-security-group-rules",
        servers="POST /servers", keypairs="POST /os-keypairs", server_groups="POST /os-server-groups",
        server_metadata="POST,PUT /servers/{server_id}/metadata",
        server_metadata_item="PUT /servers/{server_id}/metadata/{key}",
        server_tag="PUT /servers/{server_id}/tags/{tag}",
        NEW_PARENT="POST /servers/{server_id}/os-volume_attachments\nPOST /servers/{server_id}/os-interface"),
    **_lines("/volume/v3", ADMIN="""
        POST /backups/import_record
        POST /backups/export_record
        PUT /os-quota-sets/{quota_project_id}
        PUT /os-quota-class-sets/{class_name}
        POST /qos-specs
        PUT /qos-specs/{qos_id}
        PUT /qos-specs/{qos_id}/delete_keys
        PUT /os-services/{action}
        POST,PUT /workers/cleanup
        POST /types
        PUT /types/{type_id}
        POST /types/{type_id}/extra_specs
        PUT /types/{type_id}/extra_specs/{key}
        POST /types/{type_id}/action
        POST /types/{type_id}/encryption
        PUT /types/{type_id}/encryption/{key}
    """, CHANGES="""
        PUT /attachments/{attachment_id}
        PUT /backups/{backup_id}
        PUT /snapshots/{snapshot_id}
        PUT /volumes/{volume_id}
        PUT /volumes/{volume_id}/metadata/{key:path}
        PUT /snapshots/{snapshot_id}/metadata/{key:path}
    """, NEW_PARENT="""
        POST /backups/{backup_id}/restore
        POST /os-volume-transfer/{transfer_id}/accept
        POST /volume-transfers/{transfer_id}/accept
    """, ACTION="""
        POST /attachments/{attachment_id}/action
        POST /backups/{backup_id}/action
        POST /snapshots/{snapshot_id}/action
    """, PARENT="""
        POST /os-volume-transfer
        POST /volume-transfers
    """, volumes="POST /volumes", snapshots="POST /snapshots", backups="POST /backups",
        attachments="POST /attachments", volume_metadata="POST,PUT /volumes/{volume_id}/metadata",
        snapshot_metadata="POST,PUT /snapshots/{snapshot_id}/metadata",
        image_metadata="POST /volumes/{volume_id}/action",
        NOTHING="\n".join(f"POST /{noun}\nPOST /{noun}/detail\nPUT /{noun}/{{absent_id}}"
                          for noun in _NOT_BUILT_VOLUME)),
    **_lines("/network/v2.0",
             ADMIN="PUT /quotas/{id}\nPOST /default-security-group-rules\nPOST /agents/{id}/l3-routers",
             CHANGES="\n".join([*(f"PUT /{noun}/{{id}}" for noun in (
                 "networks", "subnets", "ports", "security-groups", "security-group-rules", "routers", "floatingips",
                 "rbac-policies", "subnetpools", "address-scopes", "address-groups", "default-security-group-rules")),
                 "PUT /address-groups/{id}/remove_addresses", "PUT /qos/policies/{id}",
                 "PUT /qos/policies/{id}/bandwidth_limit_rules/{limit_id}",
                 *(f"PUT /routers/{{id}}/{verb}" for verb in (
                     "remove_router_interface", "add_extraroutes", "remove_extraroutes")),
                 "PUT /floatingips/{id}/port_forwardings/{inner_id}"]),
             NOTHING="\n".join([*(f"POST /{noun}\nPUT /{noun}/{{id}}" for noun in network_not_built.NOT_BUILT), *(
                 f"POST /{path}\nPUT /{path}/{{inner_id}}" for path in network_not_built.ABSENT_INNER),
                 *(f"PUT /{path}" for path in network_not_built.NOT_BUILT_ACTIONS),
                 "POST /segments", "PUT /segments/{id}", "PUT /agents/{id}", "POST /agents/{id}/dhcp-networks",
                 *(f"PUT /agents/{{id}}/{kind}/{{item_id}}" for kind in (
                     "dhcp-networks", "l3-routers"))]),
             MANAGERS="POST /qos/policies\nPOST /qos/policies/{id}/bandwidth_limit_rules",
             routers="POST /routers", floating_ips="POST /floatingips", ports="POST /ports",
             port_forwardings="POST /floatingips/{id}/port_forwardings",
             router_interfaces="PUT /routers/{id}/add_router_interface", rbac_policies="POST /rbac-policies",
             subnetpools="POST /subnetpools", address_scopes="POST /address-scopes",
             address_groups="POST /address-groups", addresses="PUT /address-groups/{id}/add_addresses",
             networks="POST /networks", subnets="POST /subnets",
             security_groups="POST /security-groups", rules="POST /security-group-rules",
             network_tag="\n".join(f"PUT /{noun}/{{id}}/tags\nPUT /{noun}/{{id}}/tags/{{tag}}" for noun in (
                 "networks", "subnets", "ports", "security-groups", "routers", "floatingips",
                 "subnetpools", "qos/policies", "policies"))),
    **_lines("/image/v2", images="POST /images", image_property="PATCH /images/{image_id}",
             image_tag="PUT /images/{image_id}/tags/{tag}", image_member="POST /images/{image_id}/members",
             CHANGES="PUT /images/{image_id}/members/{member_id}",
             ACTION="POST /images/{image_id}/actions/{action}\nPOST /images/{image_id}/import",
             DATA="PUT /images/{image_id}/file\nPUT /images/{image_id}/stage",
             NOTHING="PUT /uploads/{image_id}", ADMIN="\n".join([
                 "POST /metadefs/namespaces", "PUT /metadefs/namespaces/{namespace}",
                 "POST /metadefs/namespaces/{namespace}/resource_types",
                 "POST /metadefs/namespaces/{namespace}/tags/{name}", *(
                     f"POST /metadefs/namespaces/{{namespace}}/{kind}\n"
                     f"PUT /metadefs/namespaces/{{namespace}}/{kind}/{{name}}"
                     for kind in ("objects", "properties", "tags"))])),
    **_lines("/identity/v3", application_credentials="POST /users/{user_id}/application_credentials",
             NOTHING="\n".join(["POST /auth/tokens", *(
                 f"POST,PUT,PATCH /{noun}\nPUT,PATCH /{noun}/{{item_id}}" for noun in (
                     "credentials", "policies", "limits", "registered_limits", "OS-TRUST/trusts",
                     "OS-OAUTH1/consumers", "OS-FEDERATION/identity_providers", "OS-FEDERATION/mappings",
                     "OS-FEDERATION/service_providers", "OS-EP-FILTER/endpoint_groups",
                     "users/{user_id}/access_rules", "users/{user_id}/credentials/OS-EC2"))]),
             CHANGES="POST /users/{user_id}/password", ADMIN="""
                 POST /projects
                 PATCH /projects/{project_id}
                 PUT /projects/{project_id}/tags
                 PUT /projects/{project_id}/tags/{tag}
                 POST /users
                 PATCH /users/{user_id}
                 POST /roles
                 PATCH /roles/{role_id}
                 PUT /roles/{role_id}/implies/{implied_id}
                 POST /domains
                 PATCH /domains/{domain_id}
                 PUT /projects/{project_id}/users/{user_id}/roles/{role_id}
                 PUT /domains/{domain_id}/users/{user_id}/roles/{role_id}
                 PUT /system/users/{user_id}/roles/{role_id}
                 POST /groups
                 PATCH /groups/{group_id}
                 PUT /groups/{group_id}/users/{user_id}
                 PUT /projects/{project_id}/groups/{group_id}/roles/{role_id}
                 PUT /domains/{domain_id}/groups/{group_id}/roles/{role_id}
                 PUT /system/groups/{group_id}/roles/{role_id}
             """ + "\n".join(f"POST,PUT,PATCH /{noun}\nPOST,PUT,PATCH /{noun}/{{item_id}}"
                             for noun in ("services", "endpoints", "regions"))),
}


class Hostile:
    """A member of a project that may have few of everything, and what it needs to make more."""

    def __init__(self, cloud: Cloud, admin: Client) -> None:
        self.admin = admin
        self.client = new_project(cloud, admin)
        self.user_id = str(self.client.token["user"]["id"])
        self._rows: dict[str, str] = {}

    def once(self, noun: str, make: Callable[[], str]) -> str:
        """Return the id of the one row of `noun` that tests share."""
        if noun not in self._rows:
            self._rows[noun] = make()
        return self._rows[noun]

    def made(self, path: str, member: str, **values: Any) -> str:
        """Create a row that must be there; returns its id."""
        answer = self.client.post(path, {member: values})
        assert answer.ok, answer.text
        return str((answer.json().get(member) or answer.json())["id"])

    def network(self) -> str:
        """Return a network with a subnet."""
        def make() -> str:
            found = self.made("/network/v2.0/networks", "network", name="mine")
            self.made("/network/v2.0/subnets", "subnet", network_id=found, ip_version=4, cidr="10.1.0.0/24")
            return found
        return self.once("network", make)

    def router(self) -> str:
        """Return a router without a gateway."""
        return self.once("router", lambda: self.made("/network/v2.0/routers", "router", name="mine"))

    def address_group(self) -> str:
        """Return an empty address group."""
        return self.once("address_group", lambda: self.made(
            "/network/v2.0/address-groups", "address_group", name="mine"))

    def subnet(self) -> str:
        """Return the network's subnet."""
        network = self.network()
        return str(self.client.get(f"/network/v2.0/networks/{network}").json()["network"]["subnets"][0])

    def external(self) -> str:
        """Return an administrator's external network."""
        def make() -> str:
            # The administrator has few networks, too: one is for all tests.
            there = self.admin.get("/network/v2.0/networks?name=outside").json()["networks"]
            if there:
                return str(there[0]["id"])
            found = str(self.admin.post("/network/v2.0/networks", {"network": {
                "name": "outside", "router:external": True}}).json()["network"]["id"])
            self.admin.post("/network/v2.0/subnets", {"subnet": {
                "network_id": found, "ip_version": 4, "cidr": "203.0.113.0/24"}}).raise_for_status()
            return found
        return self.once("external", make)

    def forwarded(self) -> tuple[str, dict[str, Any]]:
        """Return a floating IP, and the port on the router's subnet that ports of it may lead to."""
        port = self.once("forwarded port", lambda: self.made(
            "/network/v2.0/ports", "port", network_id=self.network()))
        def make() -> str:
            router = f"/network/v2.0/routers/{self.router()}"
            for path, body in ((router, {"router": {"external_gateway_info": {"network_id": self.external()}}}),
                               (f"{router}/add_router_interface", {"subnet_id": self.subnet()})):
                self.client.request("PUT", path, json=body).raise_for_status()
            return self.made("/network/v2.0/floatingips", "floatingip", floating_network_id=self.external())
        return self.once("forwarding", make), self.client.get(f"/network/v2.0/ports/{port}").json()["port"]

    def group(self) -> str:
        """Return a security group."""
        return self.once("group", lambda: self.made("/network/v2.0/security-groups", "security_group", name="mine"))

    def volume(self, **values: Any) -> str:
        """Return an available volume."""
        def make() -> str:
            found = self.made("/volume/v3/volumes", "volume", size=1, **values)
            self.client.wait_volume(found, "available")
            return found
        return self.once(f"volume {values}", make)

    def snapshot(self) -> str:
        """Return a snapshot."""
        def make() -> str:
            found = self.made("/volume/v3/snapshots", "snapshot", volume_id=self.volume())
            self.client.wait_block(f"snapshots/{found}", "available")
            return found
        return self.once("snapshot", make)

    def image(self) -> str:
        """Return an image with data."""
        return self.once("image", self.client.make_image)

    def server(self) -> str:
        """Return a running server without a port."""
        def make() -> str:
            found = self.client.create_server(self.image(), networks="none")
            self.client.wait_server(found, "ACTIVE")
            return found
        return self.once("server", make)


Step = tuple[str, str, Any]  # method, path, body
# Returns the request that makes one more.
Make = Callable[[Hostile, int], Step]


def _post(path: str, member: str, **values: Any) -> Make:
    return lambda _it, number: ("POST", path, {member: {"name": f"n{number}", **values}})


def _metadata(path: Callable[[Hostile], str]) -> Make:
    return lambda it, number: ("POST", f"{path(it)}/metadata", {"metadata": {f"k{number}": "v"}})


def _on_volume(noun: str, path: str | None = None) -> Make:
    def make(it: Hostile, _number: int) -> Step:
        volume_id = it.volume()
        # The one before holds the volume.
        for row in it.client.get(f"/volume/v3/{noun}s").json()[f"{noun}s"]:
            it.client.wait_block(f"{noun}s/{row['id']}", "available")
        return "POST", path or f"/volume/v3/{noun}s", {noun: {"volume_id": volume_id}}
    return make


def _multiattach(it: Hostile) -> str:
    def make() -> str:
        kind = it.admin.post("/volume/v3/types", {"volume_type": {
            "name": "shared", "extra_specs": {"multiattach": "<is> True"}}}).json()["volume_type"]["name"]
        found = it.made("/volume/v3/volumes", "volume", size=1, volume_type=kind)
        it.client.wait_volume(found, "available")
        return found
    return it.once("multiattach", make)


def _forwarding(it: Hostile, number: int) -> Step:
    floating_ip, port = it.forwarded()
    return "POST", f"/network/v2.0/floatingips/{floating_ip}/port_forwardings", {"port_forwarding": {
        "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"], "protocol": "tcp",
        "internal_port": number + 1, "external_port": number + 1}}


def _rule(it: Hostile, number: int) -> Step:
    return "POST", "/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": it.group(), "direction": "ingress", "protocol": "tcp", "port_range_min": number + 1,
        "port_range_max": number + 1}}


# Noun of ROUTES → how one more is made, and the status that ends it.
LOOPS: Final[Mapping[str, tuple[Make, int]]] = {
    "servers": (lambda it, number: ("POST", "/compute/v2.1/servers", it.client.server_body(
        it.image(), f"s{number}", networks="none")), 403),
    "keypairs": (_post("/compute/v2.1/os-keypairs", "keypair", type="ssh", public_key=(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Sx7iXbBNGRPzdZ5hQ2jzdQw0Z6uNs0Yb1g8d9bVwq one")), 403),
    "server_groups": (_post("/compute/v2.1/os-server-groups", "server_group", policy="affinity"), 403),
    "server_metadata": (_metadata(lambda it: f"/compute/v2.1/servers/{it.server()}"), 403),
    "server_metadata_item": (lambda it, number: (
        "PUT", f"/compute/v2.1/servers/{it.server()}/metadata/i{number}", {"meta": {f"i{number}": "v"}}), 403),
    "server_tag": (lambda it, number: ("PUT", f"/compute/v2.1/servers/{it.server()}/tags/t{number}", None), 400),
    "volumes": (_post("/volume/v3/volumes", "volume", size=1), 413),
    "snapshots": (_on_volume("snapshot"), 413),
    "backups": (_on_volume("backup"), 413),
    "attachments": (lambda it, _number: ("POST", "/volume/v3/attachments", {"attachment": {
        "volume_uuid": _multiattach(it), "instance_uuid": str(uuid.uuid4())}}), 413),
    "volume_metadata": (_metadata(lambda it: f"/volume/v3/volumes/{it.volume()}"), 413),
    "snapshot_metadata": (_metadata(lambda it: f"/volume/v3/snapshots/{it.snapshot()}"), 413),
    "image_metadata": (lambda it, number: ("POST", f"/volume/v3/volumes/{it.volume()}/action", {
        "os-set_image_metadata": {"metadata": {f"k{number}": "v"}}}), 413),
    "image_items": (_metadata(lambda it: f"/compute/v2.1/images/{it.image()}"), 403),
    "image_metadata_item": (lambda it, number: (
        "PUT", f"/compute/v2.1/images/{it.image()}/metadata/i{number}", {"meta": {f"i{number}": "v"}}), 403),
    "old_volumes": (lambda _it, number: (
        "POST", "/compute/v2.1/os-volumes", {"volume": {"size": 1, "display_name": f"n{number}"}}), 403),
    "old_snapshots": (_on_volume("snapshot", "/compute/v2.1/os-snapshots"), 403),
    "old_floating_ips": (lambda it, _number: ("POST", "/compute/v2.1/os-floating-ips", {"pool": it.external()}), 403),
    "old_groups": (_post("/compute/v2.1/os-security-groups", "security_group", description="d"), 403),
    "old_rules": (lambda it, number: ("POST", "/compute/v2.1/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": it.group(), "ip_protocol": "udp", "from_port": number + 1, "to_port": number + 1}}), 403),
    "networks": (_post("/network/v2.0/networks", "network"), 409),
    "subnets": (lambda it, number: ("POST", "/network/v2.0/subnets", {"subnet": {
        "network_id": it.network(), "ip_version": 4, "cidr": f"10.2.{number}.0/24"}}), 409),
    "ports": (lambda it, _number: ("POST", "/network/v2.0/ports", {"port": {"network_id": it.network()}}), 409),
    "security_groups": (_post("/network/v2.0/security-groups", "security_group"), 409),
    "rules": (_rule, 409),
    "routers": (_post("/network/v2.0/routers", "router"), 409),
    "router_interfaces": (lambda it, _number: (
        "PUT", f"/network/v2.0/routers/{it.router()}/add_router_interface", {"subnet_id": it.subnet()}), 400),
    "floating_ips": (lambda it, _number: ("POST", "/network/v2.0/floatingips", {"floatingip": {
        "floating_network_id": it.external()}}), 409),
    "port_forwardings": (_forwarding, 409),
    "subnetpools": (_post("/network/v2.0/subnetpools", "subnetpool", prefixes=["10.0.0.0/8"]), 409),
    "address_groups": (_post("/network/v2.0/address-groups", "address_group"), 409),
    "addresses": (lambda it, number: ("PUT", f"/network/v2.0/address-groups/{it.address_group()}/add_addresses", {
        "addresses": [f"10.{number}.{third}.0/24" for third in range(256)]}), 400),
    "address_scopes": (_post("/network/v2.0/address-scopes", "address_scope", ip_version=4), 409),
    "rbac_policies": (lambda it, _number: ("POST", "/network/v2.0/rbac-policies", {"rbac_policy": {
        "object_type": "network", "object_id": it.network(), "action": "access_as_shared",
        "target_tenant": str(uuid.uuid4())}}), 409),
    "network_tag": (lambda it, number: ("PUT", f"/network/v2.0/networks/{it.network()}/tags/t{number}", None), 400),
    "images": (_post("/image/v2/images", "", disk_format="raw", container_format="bare"), 413),
    "image_property": (lambda it, number: ("PATCH", f"/image/v2/images/{it.image()}", [
        {"op": "add", "path": f"/p{number}", "value": "v"}]), 413),
    "image_tag": (lambda it, number: ("PUT", f"/image/v2/images/{it.image()}/tags/t{number}", None), 413),
    "image_member": (lambda it, _number: ("POST", f"/image/v2/images/{it.image()}/members", {
        "member": str(uuid.uuid4())}), 413),
    "application_credentials": (lambda it, number: (
        "POST", f"/identity/v3/users/{it.user_id}/application_credentials", {
            "application_credential": {"name": f"n{number}"}}), 403),
}
# How many are made before a cap that is no quota.
CAPS: Final[Mapping[str, int]] = {"server_tag": 50, "network_tag": 50, "port_forwardings": 100, "image_property": 128,
                                  "image_tag": 128, "image_member": 128}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud whose projects may have few of everything, and its administrator."""
    made = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, overrides={
        **{f"quota.{name}": FEW for name in QUOTAS}, "quota.security_groups": 2 * FEW, "quota.ports": FEW,
        "quota.metadata_items": LISTED, "quota.security_group_rules": 8 * FEW})
    try:
        yield made, made.start()
    finally:
        made.stop()


def _send(client: Client, step: Step) -> requests.Response:
    method, path, body = step
    if "/image/" in path and method == "POST" and isinstance(body, dict) and "" in body:
        body = body[""]
    headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"} if method == "PATCH" else {}
    return client.request(method, path, json=body, headers={**headers, **newest(path)})


def test_each_route_that_takes_a_body_has_a_bound() -> None:
    """Given the published routes, then each has a line in the table, and no line is of a route that is gone."""
    found = {f"{method} {face.prefix}{path}"
             for face in (compute.FACE, volume.FACE, network.FACE, image.FACE, identity.FACE)
             for path, resource in face.routes(mock.MagicMock()) for method in METHODS
             if hasattr(resource, f"on_{method.lower()}")}

    assert set(ROUTES) == found
    played = {bound for bound in ROUTES.values() if bound not in (
        ADMIN, CHANGES, MANAGERS, NOTHING, ACTION, PARENT, DATA, NEW_PARENT, EXPIRES)}
    assert played | {"image_metadata"} == set(LOOPS)


@pytest.mark.parametrize("noun", LOOPS)
def test_a_loop_ends(cloud: tuple[Cloud, Client], noun: str) -> None:
    """Given few of everything, when a member goes on creating, then it is refused when the quota is full, for good."""
    it = Hostile(*cloud)
    make, status = LOOPS[noun]
    most = CAPS.get(noun, 8 * FEW)

    answers: list[requests.Response] = []
    for number in range(most + 1):
        answers.append(_send(it.client, make(it, number)))
        if not answers[-1].ok:
            break

    assert answers[-1].status_code == status, answers[-1].text
    assert len(answers) > 1, answers[-1].text
    if noun in CAPS:
        assert len(answers) == most + 1
    assert _send(it.client, make(it, most + 1)).status_code == status


def _port(values: Mapping[str, Any]) -> Make:
    return lambda it, _number: ("POST", "/network/v2.0/ports", {"port": {"network_id": it.network(), **values}})


def _subnet(values: Mapping[str, Any]) -> Make:
    return lambda it, _number: ("POST", "/network/v2.0/subnets", {"subnet": {
        "network_id": it.network(), "ip_version": 4, "cidr": "10.9.0.0/16", **values}})


def _items(count: int) -> dict[str, str]:
    return {f"k{number}": "v" for number in range(count)}


def _addresses(count: int) -> list[str]:
    return [f"10.9.1.{number}" for number in range(1, count + 1)]


def _server_with(values: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> Make:
    return lambda it, _number: ("POST", "/compute/v2.1/servers", {
        **it.client.server_body(it.image(), "one", **{"networks": "none", **values}), **(beside or {})})


# A list or map inside a body → the request that has one item too many, and its status.
BODIES: Final[Mapping[str, tuple[Make, int]]] = {
    "nameservers": (_subnet({"dns_nameservers": _addresses(6)}), 400),
    "host routes": (_subnet({"host_routes": [{"destination": f"10.{number}.0.0/24", "nexthop": "10.9.0.9"}
                                             for number in range(21)]}), 400),
    "allocation pools": (_subnet({"allocation_pools": [
        {"start": f"10.9.{number // 200}.{number % 200 + 2}", "end": f"10.9.{number // 200}.{number % 200 + 2}"}
        for number in range(300)]}), 400),
    "address pairs": (_port({"allowed_address_pairs": [{"ip_address": text} for text in _addresses(11)]}), 400),
    "fixed addresses": (_port({"fixed_ips": [{"ip_address": text} for text in _addresses(17)]}), 400),
    "bulk": (lambda _it, _number: ("POST", "/network/v2.0/networks", {
        "networks": [{"name": str(number)} for number in range(501)]}), 413),
    "bulk over the quota": (lambda it, _number: ("POST", "/network/v2.0/security-group-rules", {
        "security_group_rules": [_rule(it, number)[2]["security_group_rule"] for number in range(400)]}), 409),
    "network tags": (lambda it, _number: ("PUT", f"/network/v2.0/networks/{it.network()}/tags", {
        "tags": list(_items(51))}), 400),
    "server metadata": (_server_with({"metadata": _items(LISTED + 1)}), 403),
    "server tags": (_server_with({"tags": list(_items(51))}), 400),
    "password": (_server_with({"adminPass": "x" * 256}), 400),
    "user data": (_server_with({"user_data": "eA==" * 20000}), 400),
    "hints": (_server_with({}, {"os:scheduler_hints": {"different_host": [str(uuid.uuid4()) for _ in range(999)]}}),
              400),
    "volume metadata": (_post("/volume/v3/volumes", "volume", size=1, metadata=_items(LISTED + 1)), 413),
    "snapshot metadata": (lambda it, _number: ("POST", "/volume/v3/snapshots", {"snapshot": {
        "volume_id": it.volume(), "metadata": _items(LISTED + 1)}}), 413),
    "backup metadata": (lambda it, _number: ("POST", "/volume/v3/backups", {"backup": {
        "volume_id": it.volume(), "metadata": _items(LISTED + 1)}}), 413),
    "replaced metadata": (lambda it, _number: ("PUT", f"/volume/v3/volumes/{it.volume()}/metadata", {
        "metadata": _items(LISTED + 1)}), 413),
    "image metadata": (lambda it, _number: ("POST", f"/volume/v3/volumes/{it.volume()}/action", {
        "os-set_image_metadata": {"metadata": dict.fromkeys("abc", "x" * 60000)}}), 413),
    "image properties": (_post("/image/v2/images", "", **_items(129)), 413),
    "image tags": (_post("/image/v2/images", "", tags=list(_items(129))), 400),
    "roles of a credential": (lambda it, _number: (
        "POST", f"/identity/v3/users/{it.user_id}/application_credentials", {"application_credential": {
            "name": "many", "roles": [{"name": f"r{number}"} for number in range(900)]}}), 400),
}


def test_a_list_in_a_body_ends(cloud: tuple[Cloud, Client]) -> None:
    """Given a body with one item too many, then it is refused, and nothing of it is kept."""
    it = Hostile(*cloud)
    wrong = {}
    for name, (make, status) in BODIES.items():
        answer = _send(it.client, make(it, 0))
        if answer.status_code != status:
            wrong[name] = (answer.status_code, answer.text[:200])

    assert not wrong
