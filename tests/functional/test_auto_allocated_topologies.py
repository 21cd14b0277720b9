"""Networks that a project gets unasked: the client's commands, `--nic auto`, and several requests at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hostler import ids
from tests.harness import openstack_cli
from tests.harness.at_once import at_once
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.network_core import DEMO, make_cloud
from tests.harness.network_rest import ADMIN, Api
from tests.harness.people import make_project, make_user

_NET = "/network/v2.0"
needs_client = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))


@pytest.fixture(scope="module", autouse=True)
def parts(client: Client) -> dict[str, str]:
    """Make what topologies are made of, in a cloud without a network for everybody; return its ids."""
    for network in rows(client, "networks"):
        assert client.delete(f"{_NET}/networks/{network['id']}").status_code == 204
    outside = make(client, "networks", {"name": "outside", "router:external": True, "is_default": True})
    make(client, "subnets", {"network_id": outside, "ip_version": 4, "cidr": "203.0.113.0/24"})
    pool = make(client, "subnetpools", {"name": "inside", "prefixes": ["10.128.0.0/16"], "default_prefixlen": 24,
                                        "shared": True, "is_default": True})
    return {"outside": outside, "pool": pool}


def make(client: Client, path: str, values: dict[str, Any]) -> str:
    made = client.post(f"{_NET}/{path}", {path.removesuffix("s"): values})
    assert made.status_code == 201, made.text
    return str(made.json()[path.removesuffix("s")]["id"])


def rows(client: Client, path: str) -> list[dict[str, Any]]:
    [(_, found)] = client.get(f"{_NET}/{path}").json().items()
    return list(found)


def person(client: Client, name: str) -> tuple[Client, str]:
    """Return a member of a project of its own, and the project."""
    project_id = make_project(client, name)
    return make_user(client, name, project_id), project_id


def own(client: Client, path: str, project_id: str) -> list[dict[str, Any]]:
    return rows(client, f"{path}?project_id={project_id}")


@needs_client
def test_the_client_makes_checks_and_deletes(cloud: Cloud, client: Client, image: str, tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        done = openstack_cli.run([*words], openstack_cli.login(cloud.url, ADMIN_PASSWORD, tmp_path))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    topology = ("network", "auto", "allocated", "topology")
    assert run(*topology, "create", "--check-resources", "-f", "json") == {"dry_run": None}
    assert run("network", "list", "--internal", "-f", "json") == []
    made = run(*topology, "create", "-f", "json")
    assert run(*topology, "create", "--or-show", "-f", "json") == made
    [network] = run("network", "list", "--internal", "-f", "json")
    assert (network["ID"], network["Name"]) == (made["id"], "auto_allocated_network")
    run(*topology, "delete")
    assert run("network", "list", "--internal", "-f", "json") == []
    assert run("router", "list", "-f", "json") == []
    server = run("server", "create", "--image", image, "--flavor", "m1.nano", "--nic", "auto", "--wait", "unasked",
                 "-f", "json")
    assert list(server["addresses"]) == ["auto_allocated_network"]
    assert client.delete(f"/compute/v2.1/servers/{server['id']}").status_code == 204
    client.wait_gone(server["id"])
    run(*topology, "delete", "--project", server["project_id"])


def test_a_server_gets_a_topology_only_when_it_asks_and_has_nothing(client: Client) -> None:
    user, project_id = person(client, "asks")
    path, body = "/compute/v2.1/servers", client.server_body(user.make_image(), "a")
    without = {"server": {key: value for key, value in body["server"].items() if key != "networks"}}
    old = user.post(path, without, headers={"OpenStack-API-Version": "compute 2.1"})
    assert old.status_code == 400, old.text
    none = user.post(path, {"server": {**body["server"], "networks": "none"}})
    assert none.status_code == 202, none.text
    assert own(client, "networks", project_id) == []
    servers = [user.post(path, {"server": {**body["server"], "max_count": 2, "min_count": 2}})
               for _ in range(2)]
    assert [answer.status_code for answer in servers] == [202, 202], servers[0].text
    [network] = own(client, "networks", project_id)
    assert user.get(f"{_NET}/auto-allocated-topology/{project_id}").json()["auto_allocated_topology"]["id"] == \
        network["id"]
    for server in user.get(path).json()["servers"]:
        shown = user.wait_server(server["id"], "ACTIVE")
        assert list(shown["addresses"]) == ([] if server["id"] == none.json()["server"]["id"]
                                            else ["auto_allocated_network"])
    busy = user.delete(f"{_NET}/auto-allocated-topology/{project_id}")
    assert busy.status_code == 409, busy.text


def test_servers_at_once_share_one_topology(client: Client) -> None:
    user, project_id = person(client, "hurries")
    body = client.server_body(user.make_image(), "a")

    def create() -> None:
        answer = user.post("/compute/v2.1/servers", body)
        assert answer.status_code == 202, answer.text

    at_once(*[create] * 4)
    assert len(own(client, "networks", project_id)) == len(own(client, "routers", project_id)) == 1
    for server in user.get("/compute/v2.1/servers").json()["servers"]:
        assert list(user.wait_server(server["id"], "ACTIVE")["addresses"]) == ["auto_allocated_network"]


def test_a_server_that_is_refused_leaves_no_topology(client: Client, parts: dict[str, str]) -> None:
    user, project_id = person(client, "fails")
    image = user.make_image()
    quota = f"/network/v2.0/quotas/{project_id}"
    assert client.request("PUT", quota, json={"quota": {"router": 0}}).status_code == 200
    refused = user.post("/compute/v2.1/servers", client.server_body(image, "a"))
    assert refused.status_code == 409 and "router" in refused.text, refused.text
    assert client.request("DELETE", quota).status_code == 204
    pool = f"{_NET}/subnetpools/{parts['pool']}"
    assert client.request("PUT", pool, json={"subnetpool": {"is_default": False}}).status_code == 200
    refused = user.post("/compute/v2.1/servers", client.server_body(image, "a"))
    message = f"Unable to automatically allocate a network for project {ids.bare(project_id)}"
    assert (refused.status_code, refused.json()["badRequest"]["message"]) == (400, message)
    assert client.request("PUT", pool, json={"subnetpool": {"is_default": True}}).status_code == 200
    assert own(client, "networks", project_id) == own(client, "routers", project_id) == []


def test_requests_at_once_find_one_topology(database_url: str, tmp_path: Path) -> None:
    rows_of = make_cloud(database_url, tmp_path)
    apis = [Api(rows_of) for _ in range(6)]
    outside = apis[0].make("network", "networks", ADMIN, **{"router:external": True, "is_default": True})
    apis[0].make("subnet", "subnets", ADMIN, network_id=outside["id"], ip_version=4, cidr="203.0.113.0/24")
    apis[0].make("subnetpool", "subnetpools", ADMIN, name="p", prefixes=["10.128.0.0/16"], default_prefixlen=24,
                 shared=True, is_default=True)
    found: list[str] = []

    def ask(api: Api) -> None:
        answer = api.call("GET", f"/v2.0/auto-allocated-topology/{DEMO}")
        found.append(answer["auto_allocated_topology"]["id"])

    try:
        at_once(*[lambda api=api: ask(api) for api in apis])  # type: ignore[misc]
        assert len(set(found)) == 1 and len(found) == 6
        assert len(apis[0].call("GET", "/v2.0/networks")["networks"]) == 2
        assert len(apis[0].call("GET", "/v2.0/routers")["routers"]) == 1
    finally:
        rows_of.db.dispose()
