"""Two projects with one of everything, linked in every way the product allows: for tests that no verb crosses over.

`owner` and `other` are built alike, so that each noun of one has its counterpart. Where a noun has several rows (a
volume that is free, one that a server has, one got from the other project), all of them are tried.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections import defaultdict
from typing import Any

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.projects import new_project

VOLUME, COMPUTE, NETWORK, IMAGE, IDENTITY = "/volume/v3", "/compute/v2.1", "/network/v2.0", "/image/v2", "/identity/v3"
NEWEST = {"OpenStack-API-Version": "compute 2.96, volume 3.71"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKAVhZFrmTDXu6y1pmfU a@b"


@dataclasses.dataclass
class Tenant:
    """One project: its client and the ids of its rows by noun."""

    client: Client
    secret: str  # a part of every name and metadata value that the other project must not see
    secrets: set[str] = dataclasses.field(default_factory=set)  # all that the other project must not be told
    rows: dict[str, list[str]] = dataclasses.field(default_factory=lambda: defaultdict(list))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; returns the body."""
        answer = self.client.request(method, path, json=body, headers=NEWEST)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def make(self, noun: str, path: str, member: str, **values: Any) -> str:
        """POST `values` and remember the id as a row of `noun`."""
        made = str(self.call("POST", path, {member: values})[member]["id"])
        self.rows[noun].append(made)
        return made

    def make_block(self, noun: str, **values: Any) -> str:
        """Make a volume, snapshot or backup and wait till it is available."""
        made = self.make(noun, f"{VOLUME}/{noun}s", noun, **values)
        self.client.wait_block(f"{noun}s/{made}", "available")
        return made


@dataclasses.dataclass
class Scene:
    """Both projects, and the ids that each may know of the other because of a link."""

    owner: Tenant
    other: Tenant
    shared: set[str]
    linked: set[str]  # rows whose parent or child is the other project's


def build(cloud: Cloud, admin: Client) -> Scene:
    """Return two furnished and linked projects."""
    # The strongest of one project, who must yet be nobody in another.
    owner, other = (Tenant(new_project(cloud, admin, role="admin"), f"secret{uuid.uuid4().hex[:12]}")
                    for _ in range(2))
    linked: set[str] = set()
    for tenant in (owner, other):
        _furnish(tenant, admin)
    shared = _share(owner, other, admin)
    # Each gives a volume away and keeps its snapshot and its backup.
    for giver, taker in ((owner, other), (other, owner)):
        shared.add(_give_volume(giver, taker))
    for tenant in (owner, other):
        linked |= {tenant.rows[noun][-1] for noun in ("volume", "snapshot", "backup", "port", "server")}
    return Scene(owner, other, shared, linked)


def _furnish(tenant: Tenant, admin: Client) -> None:
    rows, secret = tenant.rows, tenant.secret
    # A quota that is used up would hide what is not refused.
    admin.request("PUT", f"{VOLUME}/os-quota-sets/{tenant.client.project_id}", json={"quota_set": dict.fromkeys(
        ("volumes", "gigabytes", "snapshots", "backups", "backup_gigabytes"), -1)}).raise_for_status()
    rows["project"].append(tenant.client.project_id)
    rows["user"].append(str(tenant.client.token["user"]["id"]))
    rows["group"].append(admin.post(f"{IDENTITY}/groups", {"group": {"name": secret}}).json()["group"]["id"])
    admin.request("PUT", f"{IDENTITY}/groups/{rows['group'][0]}/users/{rows['user'][0]}").raise_for_status()
    tenant.make("credential", f"{IDENTITY}/users/{rows['user'][0]}/application_credentials",
                "application_credential", name=secret)
    _furnish_network(tenant)
    _furnish_routers(tenant, admin)
    rows["image"].append(tenant.client.make_image(secret, b"\0" * 65536))
    rows["keypair"].append(str(tenant.call("POST", f"{COMPUTE}/os-keypairs", {
        "keypair": {"name": secret, "public_key": KEY}})["keypair"]["name"]))
    tenant.make("server_group", f"{COMPUTE}/os-server-groups", "server_group", name=secret, policy="affinity")
    tenant.make("server", f"{COMPUTE}/servers", "server", name=secret, imageRef=rows["image"][0], flavorRef="42",
                networks=[{"port": rows["port"][0]}], key_name=secret, metadata={"note": secret})
    tenant.client.wait_server(rows["server"][0], "ACTIVE")
    rows["action"].append(str(tenant.call("GET", f"{COMPUTE}/servers/{rows['server'][0]}/os-instance-actions")[
        "instanceActions"][0]["request_id"]))
    _furnish_storage(tenant)
    for noun, path, body in (
            ("type", f"{VOLUME}/types", {"volume_type": {"name": f"private-{secret}",
                                                        "os-volume-type-access:is_public": False}}),
            ("flavor", f"{COMPUTE}/flavors", {"flavor": {"name": f"private-{secret}", "ram": 64, "vcpus": 1, "disk": 1,
                                                         "os-flavor-access:is_public": False}})):
        answer = admin.post(path, body)
        answer.raise_for_status()
        ((_, made),) = answer.json().items()
        rows[noun].append(str(made["id"]))
    admin.post(f"{VOLUME}/types/{rows['type'][0]}/action",
               {"addProjectAccess": {"project": rows["project"][0]}}).raise_for_status()
    admin.post(f"{COMPUTE}/flavors/{rows['flavor'][0]}/action",
               {"addTenantAccess": {"tenant": rows["project"][0]}}).raise_for_status()


def _furnish_network(tenant: Tenant) -> None:
    rows, secret = tenant.rows, tenant.secret
    network = tenant.make("network", f"{NETWORK}/networks", "network", name=secret)
    tenant.make("subnet", f"{NETWORK}/subnets", "subnet", name=secret, network_id=network, ip_version=4,
                cidr="10.9.0.0/24")
    group = tenant.make("security_group", f"{NETWORK}/security-groups", "security_group", name=secret)
    tenant.make("rule", f"{NETWORK}/security-group-rules", "security_group_rule", security_group_id=group,
                direction="ingress", protocol="tcp", remote_group_id=group, description=secret)
    scope = tenant.make("address_scope", f"{NETWORK}/address-scopes", "address_scope", name=secret, ip_version=4)
    tenant.make("subnet_pool", f"{NETWORK}/subnetpools", "subnetpool", name=secret, prefixes=["10.128.0.0/16"],
                address_scope_id=scope)
    tenant.make("address_group", f"{NETWORK}/address-groups", "address_group", name=secret, addresses=["10.0.0.0/8"])
    policy = tenant.make("qos_policy", f"{NETWORK}/qos/policies", "policy", name=secret)
    tenant.make("qos_rule", f"{NETWORK}/qos/policies/{policy}/bandwidth_limit_rules", "bandwidth_limit_rule",
                max_kbps=1000)
    tenant.make("rbac_policy", f"{NETWORK}/rbac-policies", "rbac_policy", object_type="network", object_id=network,
                    action="access_as_shared", target_tenant=str(uuid.uuid4()))
    for _ in range(2):
        tenant.make("port", f"{NETWORK}/ports", "port", name=secret, network_id=network, security_groups=[group])
    assert len(rows["port"]) == 2


def _furnish_routers(tenant: Tenant, admin: Client) -> None:
    router = tenant.make("router", f"{NETWORK}/routers", "router", name=tenant.secret)
    subnet = tenant.rows["subnet"][0]
    tenant.call("PUT", f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    external = external_network(admin)
    tenant.call("PUT", f"{NETWORK}/routers/{router}", {"router": {"external_gateway_info": {"network_id": external}}})
    tenant.make("floatingip", f"{NETWORK}/floatingips", "floatingip", floating_network_id=external,
                port_id=tenant.rows["port"][0], description=tenant.secret)
    forwarding = tenant.make("floatingip", f"{NETWORK}/floatingips", "floatingip", floating_network_id=external)
    port = tenant.call("GET", f"{NETWORK}/ports/{tenant.rows['port'][1]}")["port"]
    tenant.make("port_forwarding", f"{NETWORK}/floatingips/{forwarding}/port_forwardings", "port_forwarding",
                internal_port_id=port["id"], internal_ip_address=port["fixed_ips"][0]["ip_address"], protocol="tcp",
                internal_port=22, external_port=2222, description=tenant.secret)


def external_network(admin: Client) -> str:
    """Return the administrator's external network, which everybody sees."""
    there = admin.get(f"{NETWORK}/networks?router:external=True").json()["networks"]
    if there:
        return str(there[0]["id"])
    made = admin.post(f"{NETWORK}/networks", {"network": {"name": "outside", "router:external": True}})
    made.raise_for_status()
    network = str(made.json()["network"]["id"])
    admin.post(f"{NETWORK}/subnets", {"subnet": {
        "network_id": network, "ip_version": 4, "cidr": "203.0.113.0/24"}}).raise_for_status()
    return network


def _furnish_storage(tenant: Tenant) -> None:
    rows, secret = tenant.rows, tenant.secret
    free = tenant.make_block("volume", size=1, name=secret, metadata={"note": secret})
    attached = tenant.make_block("volume", size=1, name=secret)
    offered = tenant.make_block("volume", size=1, name=secret)
    reserved = tenant.make_block("volume", size=1, name=secret)
    tenant.make_block("snapshot", volume_id=free, name=secret, metadata={"note": secret})
    tenant.make_block("backup", volume_id=free, name=secret)
    tenant.make("transfer", f"{VOLUME}/volume-transfers", "transfer", volume_id=offered, name=secret)
    tenant.make("attachment", f"{VOLUME}/attachments", "attachment", volume_uuid=reserved,
                instance_uuid=str(uuid.uuid4()))
    tenant.call("POST", f"{COMPUTE}/servers/{rows['server'][0]}/os-volume_attachments",
                {"volumeAttachment": {"volumeId": attached}})
    tenant.client.wait_volume(attached, "in-use")
    found = tenant.call("GET", f"{VOLUME}/attachments?volume_id={attached}")["attachments"]
    rows["attachment"].append(str(found[0]["id"]))


def _share(owner: Tenant, other: Tenant, admin: Client) -> set[str]:
    """Share an image and a network of `owner`, and use both from `other`."""
    image = owner.client.make_image("shared", b"\0" * 65536)
    owner.rows["image"].append(image)
    owner.call("POST", f"{IMAGE}/images/{image}/members", {"member": other.client.project_id})
    other.call("PUT", f"{IMAGE}/images/{image}/members/{other.client.project_id}", {"status": "accepted"})
    network = owner.make("network", f"{NETWORK}/networks", "network", name="shared")
    subnet = owner.make("subnet", f"{NETWORK}/subnets", "subnet", network_id=network, ip_version=4,
                        cidr="10.10.0.0/24", name="shared")
    admin.request("PUT", f"{NETWORK}/networks/{network}", json={"network": {"shared": True}}).raise_for_status()
    for tenant in (owner, other):
        tenant.make("port", f"{NETWORK}/ports", "port", name="on shared", network_id=network)
    tenant = other
    port = tenant.rows["port"][-1]
    server = tenant.make("server", f"{COMPUTE}/servers", "server", name="on shared", imageRef=image, flavorRef="42",
                         networks=[{"port": port}])
    tenant.client.wait_server(server, "ACTIVE")
    lent = _lend(owner, other, subnet, port, external_network(admin))
    # A network's owner sees the ports on it.
    groups = tenant.call("GET", f"{NETWORK}/ports/{port}")["port"]["security_groups"]
    return {image, network, subnet, owner.client.project_id, other.client.project_id, port, server, *groups, *lent}


def _lend(owner: Tenant, other: Tenant, subnet: str, port: str, external: str) -> set[str]:
    """Have `other` use what `owner` shares: limits, addresses, a pool in a scope, a router behind which its port is."""
    def share(kind: str, path: str, member: str, **values: Any) -> str:
        made = str(owner.call("POST", f"{NETWORK}/{path}", {member: {"name": "lent", **values}})[member]["id"])
        owner.call("POST", f"{NETWORK}/rbac-policies", {"rbac_policy": {
            "object_type": kind, "object_id": made, "action": "access_as_shared",
            "target_tenant": other.client.project_id}})
        return made

    scope = share("address_scope", "address-scopes", "address_scope", ip_version=4)
    pool = share("subnetpool", "subnetpools", "subnetpool", prefixes=["10.64.0.0/16"], address_scope_id=scope)
    addresses = share("address_group", "address-groups", "address_group", addresses=["192.0.2.0/24"])
    policy = share("qos_policy", "qos/policies", "policy")
    network = other.make("network", f"{NETWORK}/networks", "network", name=other.secret, qos_policy_id=policy)
    other.make("subnet", f"{NETWORK}/subnets", "subnet", name=other.secret, network_id=network, ip_version=4,
               subnetpool_id=pool, prefixlen=24)
    other.make("subnet_pool", f"{NETWORK}/subnetpools", "subnetpool", name=other.secret, prefixes=["10.65.0.0/16"],
               address_scope_id=scope)
    other.make("rule", f"{NETWORK}/security-group-rules", "security_group_rule", direction="ingress", protocol="udp",
               security_group_id=other.rows["security_group"][0], remote_address_group_id=addresses,
               description=other.secret)
    other.call("PUT", f"{NETWORK}/ports/{other.rows['port'][1]}", {"port": {"qos_policy_id": policy}})
    router = owner.make("router", f"{NETWORK}/routers", "router", name="lent",
                        external_gateway_info={"network_id": external})
    owner.call("PUT", f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    other.make("floatingip", f"{NETWORK}/floatingips", "floatingip", floating_network_id=external, port_id=port,
               description=other.secret)
    return {scope, pool, addresses, policy, router}


def _give_volume(giver: Tenant, taker: Tenant) -> str:
    """Transfer a volume without its snapshot and backup; returns the volume, which the giver still knows."""
    volume_id = giver.make_block("volume", size=1, name="given")
    giver.make_block("snapshot", volume_id=volume_id, name=giver.secret)
    giver.make_block("backup", volume_id=volume_id, name=giver.secret)
    offer = giver.call("POST", f"{VOLUME}/volume-transfers", {"transfer": {"volume_id": volume_id,
                                                                          "no_snapshots": True}})["transfer"]
    taker.call("POST", f"{VOLUME}/volume-transfers/{offer['id']}/accept", {"accept": {"auth_key": offer["auth_key"]}})
    giver.rows["volume"].remove(volume_id)
    taker.rows["volume"].append(volume_id)
    secret = {"os-set_image_metadata": {"metadata": {"note": taker.secret}}}
    taker.call("POST", f"{VOLUME}/volumes/{volume_id}/action", secret)
    return volume_id
