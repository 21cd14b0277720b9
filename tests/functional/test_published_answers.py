"""The answers of the Compute API at every microversion in which their schema changes, for an administrator and for a
member. The comparison itself is the fixture's (`tests.harness.answers`), here as in all other tests."""

from __future__ import annotations

import pytest

from tests.harness import schemas
from tests.harness.client import Client
from tests.harness.people import make_user
from tests.harness.schemas import compute
from tests.harness.two_projects import external_network
from tests.harness.volume_words import attach, make_volume

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 me"
SERVERS = "/compute/v2.1/servers"


@pytest.mark.parametrize("body, said", [
    ({"servers": [], "more": 1}, "'more' was unexpected"), ({"servers": [{"id": "x"}]}, "not valid"),
    (None, "None is not")])
def test_wrong_bodies_are_found(body: object, said: str) -> None:
    assert said in str(schemas.check("GET", SERVERS, (2, 96), 200, body))


def test_wrong_statuses_and_operations_are_found() -> None:
    assert "status 201" in str(schemas.check("GET", SERVERS, (2, 1), 201, {"servers": []}))
    assert "no such operation" in str(schemas.check("GET", "/compute/v2.1/nothing", (2, 1), 200, {}))
    assert "itemNotFound" in str(schemas.check("GET", SERVERS, (2, 1), 404, {"error": 1}))
    assert schemas.check("GET", SERVERS, (2, 1), 200, {"servers": []}) is None


@pytest.fixture(scope="module")
def paths(client: Client, image: str) -> dict[str, str]:
    """A cloud with something of each noun: parameter of a published path → its value here."""
    volume = make_volume(client)
    group = client.post("/compute/v2.1/os-server-groups", {"server_group": {
        "name": "g", "policy": "anti-affinity"}}).json()["server_group"]
    client.post("/compute/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": PUBLIC_KEY}})
    aggregate = client.post("/compute/v2.1/os-aggregates", {"aggregate": {"name": "a"}}).json()["aggregate"]["id"]
    client.post(f"/compute/v2.1/os-aggregates/{aggregate}/action", {"add_host": {"host": "host1"}})
    server = client.post(SERVERS, {**client.server_body(image, "one", tags=["t"], metadata={"k": "v"}, key_name="k"),
                                   "os:scheduler_hints": {"group": group["id"]}}).json()["server"]["id"]
    client.wait_server(server, "ACTIVE")
    assert attach(client, server, volume).status_code == 200
    request = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"][0]["request_id"]
    port = client.get(f"{SERVERS}/{server}/os-interface").json()["interfaceAttachments"][0]["port_id"]
    flavor = client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "private", "ram": 64, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": False,
    }}).json()["flavor"]["id"]
    client.post(f"/compute/v2.1/flavors/{flavor}/action", {"addTenantAccess": {"tenant": client.project_id}})
    client.post(f"/compute/v2.1/flavors/{flavor}/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared"}})
    network = next(iter(client.get(f"{SERVERS}/{server}/ips").json()["addresses"]))
    snapshot = client.post("/compute/v2.1/os-snapshots", {"snapshot": {
        "volume_id": make_volume(client)}}).json()["snapshot"]["id"]
    floating = client.post("/compute/v2.1/os-floating-ips", {"pool": external_network(client)}).json()["floating_ip"]
    known = client.get("/network/v2.0/networks").json()["networks"][0]["id"]
    client.post(f"/compute/v2.1/images/{image}/metadata", {"metadata": {"k": "v"}}).raise_for_status()
    return {"servers": server, "os-volume_attachments": volume, "os-instance-actions": request, "os-interface": port,
            "images": image, "os-volumes": volume, "os-snapshots": snapshot, "os-hosts": "host1",
            "os-floating-ips": floating["id"],
            **dict.fromkeys(("os-networks", "os-tenant-networks"), known),
            "os-security-groups": client.get("/network/v2.0/security-groups").json()["security_groups"][0]["id"],
            "os-aggregates": str(aggregate), "os-keypairs": "k", "flavors": flavor,
            "os-server-groups": group["id"], "os-extra_specs": "hw:cpu_policy", "metadata": "k", "tags": "t",
            "ips": network, "os-quota-sets": client.project_id, "os-simple-tenant-usage": client.project_id,
            "os-quota-class-sets": "default", "extensions": "os-keypairs",
            "os-instance_usage_audit_log": "2026-01-01 00:00:00"}


SINCE = {"/tags": (2, 26), "/topology": (2, 78)}  # where the reference's schema does not say it

# Operations that the cloud does not have or refuses (docs/api-support.md), that read nothing, or that few versions have
# (a console's token; `test_consoles` reads one).
SKIPPED = ("/shares", "/migrations/{", "/versions/", "/os-console-auth-tokens", "/startup",
           "/shutdown", "/reboot")


def _filled(path: str, values: dict[str, str]) -> str:
    """Return a published path with its parameters filled in."""
    parts = path.strip("/").split("/")
    return "/" + "/".join(values[parts[index - 1]] if part.startswith("{") else part
                          for index, part in enumerate(parts))


def _old_names(path: str, version: str, admin: Client) -> dict[str, str]:
    """Return the hypervisor's parameter: its host name in some paths, a number before 2.53."""
    headers = {"OpenStack-API-Version": f"compute {version}"}
    if not path.startswith("/os-hypervisors/{"):
        return {}
    hypervisor = admin.get("/compute/v2.1/os-hypervisors", headers=headers).json()["hypervisors"][0]
    by_name = path.endswith(("/search", "/servers"))
    return {"os-hypervisors": str(hypervisor["hypervisor_hostname" if by_name else "id"])}


def _edges(operation: compute.Operation) -> list[str]:
    """Return the microversions at both ends of each span of an operation, up to 2.96."""
    first = next((since for word, since in SINCE.items() if word in operation.path), (2, 1))
    edges = {edge for _, since, until in operation.bodies for edge in (tuple(since or first), tuple(until or (2, 96)))}
    return [f"{major}.{minor}" for major, minor in sorted(edges) if first <= (major, minor) <= (2, 96)]


@pytest.mark.parametrize("role", ["admin", "member"])
def test_every_read_in_every_microversion(client: Client, paths: dict[str, str], role: str) -> None:
    """Every GET that the reference has answers as published; a member may be refused what is an administrator's."""
    caller = client if role == "admin" else make_user(client, "reader-of-all", client.project_id)
    caller.post("/compute/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": PUBLIC_KEY, "type": "ssh"}})
    for operation in compute.operations():
        if operation.method != "GET" or any(word in operation.path for word in SKIPPED):
            continue
        for version in _edges(operation):
            path = _filled(operation.path, {**paths, **_old_names(operation.path, version, client)})
            answer = caller.get(f"/compute/v2.1{path}", headers={"OpenStack-API-Version": f"compute {version}"})
            assert answer.status_code in ((200, 204) if role == "admin" else (200, 204, 403)), (
                path, version, answer.text)
