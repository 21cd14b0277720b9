"""What the Compute API showed of other services, in the microversions that had it, and 404 after them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.projects import new_project
from tests.harness.two_projects import external_network
from tests.harness.volume_words import attach, make_volume

COMPUTE = "/compute/v2.1"


def _member(client: Client, path: str, member: str, **query: Any) -> Any:
    answer = client.get(f"{COMPUTE}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()[member]


def _ended(client: Client, method: str, path: str, minor: int, body: Any = None) -> None:
    answer = client.request(method, f"{COMPUTE}{path}", json=body, headers={
        "OpenStack-API-Version": f"compute 2.{minor}"})
    assert answer.status_code == 404, f"{method} {path} at 2.{minor}: {answer.status_code} {answer.text}"


def _put(client: Client, path: str, body: Any) -> Any:
    return client.request("PUT", path, json=body)


def test_images(client: Client) -> None:
    image = client.make_image("an old view")
    client.request("PATCH", f"/image/v2/images/{image}", json=[
        {"op": "add", "path": "/image_type", "value": "snapshot"},
        {"op": "add", "path": "/instance_uuid", "value": image},
        {"op": "add", "path": "/auto_disk_config", "value": "true"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
    shown = _member(client, f"/images/{image}", "image")
    assert (shown["status"], shown["progress"], shown["OS-DCF:diskConfig"]) == ("ACTIVE", 100, "AUTO")
    assert shown["server"]["id"] == image and shown["metadata"]["image_type"] == "snapshot"
    assert shown in _member(client, "/images/detail", "images")
    for query in ({"name": "an old view"}, {"server": f"http://x/servers/{image}"}, {"type": "snapshot"},
                  {"property-auto_disk_config": "true"}):
        assert [row["id"] for row in _member(client, "/images", "images", status="ACTIVE", **query)] == [image]
    for query in ({"status": "SAVING"}, {"changes-since": "2999-01-01T00:00:00Z"}, {"minRam": 7}, {"minDisk": 7}):
        assert not _member(client, "/images", "images", name="an old view", **query)
    first = client.get(f"{COMPUTE}/images", params={"limit": 1}).json()
    assert len(first["images"]) == 1 and "marker=" in first["images_links"][0]["href"]
    assert client.get(f"{COMPUTE}/images", params={"marker": str(uuid.uuid4())}).status_code == 400
    assert client.delete(f"{COMPUTE}/images/{image}").status_code == 204
    gone = client.get(f"{COMPUTE}/images/{image}")
    assert (gone.status_code, gone.json()["itemNotFound"]["message"]) == (404, "Image not found.")
    assert client.delete(f"{COMPUTE}/images/{image}").status_code == 404
    empty = client.post("/image/v2/images", {"name": "empty"}).json()["id"]
    shown = _member(client, f"/images/{empty}", "image")
    assert (shown["status"], shown["progress"], shown["OS-EXT-IMG-SIZE:size"]) == ("SAVING", 25, 0)
    for path in ("/images", "/images/detail", f"/images/{image}"):
        _ended(client, "GET", path, 36)


def test_metadata_of_images(client: Client) -> None:
    path = f"{COMPUTE}/images/{client.make_image()}/metadata"
    assert client.post(path, {"metadata": {"a": "1", "b": "2"}}).json() == {"metadata": {"a": "1", "b": "2"}}
    assert _put(client, path, {"metadata": {"c": "3"}}).json() == {"metadata": {"c": "3"}}
    assert _put(client, f"{path}/d", {"meta": {"d": "4"}}).json() == {"meta": {"d": "4"}}
    assert _put(client, f"{path}/d", {"meta": {"e": "4"}}).status_code == 400
    assert client.get(path).json() == {"metadata": {"c": "3", "d": "4"}}
    assert client.get(f"{path}/c").json() == {"meta": {"c": "3"}}
    assert client.delete(f"{path}/c").status_code == 204
    assert client.delete(f"{path}/c").status_code == client.get(f"{path}/c").status_code == 404
    # Neither an attribute nor a note of the service's own is metadata.
    assert client.post(path, {"metadata": {"visibility": "public"}}).status_code == 400
    assert client.post(path, {"metadata": {"os_glance_x": "y"}}).status_code == 403
    assert client.post(path, {"metadata": {f"k{number}": "v" for number in range(300)}}).status_code == 403
    assert client.get(path).json() == {"metadata": {"d": "4"}}
    assert client.get(path, headers={"OpenStack-API-Version": "compute 2.38"}).status_code == 200
    _ended(client, "GET", path.removeprefix(COMPUTE), 39)


def test_volumes_and_snapshots(client: Client) -> None:
    made = client.post(f"{COMPUTE}/os-volumes", {"volume": {
        "size": "1", "display_name": "old", "display_description": "view", "metadata": {"a": "b"}}})
    volume = made.json()["volume"]["id"]
    assert made.headers["Location"].endswith(f"/os-volumes/{volume}")
    client.wait_volume(volume, "available")
    shown = _member(client, f"/os-volumes/{volume}", "volume")
    assert (shown["status"], shown["attachments"], shown["metadata"]) == ("available", [{}], {"a": "b"})
    assert (shown["displayName"], shown["displayDescription"], shown["size"]) == ("old", "view", 1)
    assert _member(client, "/os-volumes", "volumes", limit=1) == _member(client, "/os-volumes/detail", "volumes",
                                                                         limit=1) == [shown]
    assert shown not in _member(client, "/os-volumes", "volumes", offset=1)

    snapshot = client.post(f"{COMPUTE}/os-snapshots", {"snapshot": {
        "volume_id": volume, "display_name": "copy"}}).json()["snapshot"]
    assert (snapshot["volumeId"], snapshot["displayName"], snapshot["size"]) == (volume, "copy", 1)
    client.wait_block(f"snapshots/{snapshot['id']}", "available")
    shown = _member(client, f"/os-snapshots/{snapshot['id']}", "snapshot")
    assert _member(client, "/os-snapshots", "snapshots") == _member(client, "/os-snapshots/detail", "snapshots") == [
        shown]
    # What a status forbids is a mistake of the request here.
    assert client.delete(f"{COMPUTE}/os-volumes/{volume}").status_code == 400
    assert client.delete(f"{COMPUTE}/os-snapshots/{snapshot['id']}").status_code == 202
    wait_for(lambda: client.get(f"{COMPUTE}/os-snapshots/{snapshot['id']}").status_code == 404, "the deletion")
    assert client.delete(f"{COMPUTE}/os-volumes/{volume}").status_code == 202
    wait_for(lambda: client.get(f"{COMPUTE}/os-volumes/{volume}").status_code == 404, "the deletion")
    for path in ("os-volumes", "os-volumes/detail", f"os-volumes/{volume}", "os-snapshots", "os-snapshots/detail",
                 f"os-snapshots/{snapshot['id']}"):
        _ended(client, "GET", f"/{path}", 36)


def test_an_attached_volume_says_where(client: Client, image: str) -> None:
    server = client.create_server(image, networks="none")
    client.wait_server(server, "ACTIVE")
    volume = make_volume(client)
    assert attach(client, server, volume).status_code == 200
    client.wait_volume(volume, "in-use")
    [attachment] = _member(client, f"/os-volumes/{volume}", "volume")["attachments"]
    assert attachment["serverId"] == server and attachment["device"].startswith("/dev/")


def _group(client: Client, name: str) -> str:
    made = client.post(f"{COMPUTE}/os-security-groups", {"security_group": {"name": name, "description": "old"}})
    assert made.status_code == 200, made.text
    return str(made.json()["security_group"]["id"])


def _rule(client: Client, group: str, **values: Any) -> Any:
    return client.post(f"{COMPUTE}/os-security-group-rules", {"security_group_rule": {
        "parent_group_id": group, **values}})


def test_security_groups(client: Client) -> None:
    group, other = _group(client, "mine"), _group(client, "other")
    made = _rule(client, group, ip_protocol="tcp", from_port="22", to_port=22, cidr="10.0.0.0/8")
    rule = made.json()["security_group_rule"]
    assert (rule["from_port"], rule["to_port"], rule["ip_range"], rule["group"]) == (22, 22, {"cidr": "10.0.0.0/8"}, {})
    admits = _rule(client, group, ip_protocol="icmp", group_id=other).json()["security_group_rule"]
    assert (admits["group"]["name"], admits["ip_range"]) == ("other", {})
    assert (admits["from_port"], admits["to_port"]) == (-1, -1)
    shown = _member(client, f"/os-security-groups/{group}", "security_group")
    assert shown["rules"] == [rule, admits]  # nothing of what goes out
    assert shown in _member(client, "/os-security-groups", "security_groups")
    renamed = _put(client, f"{COMPUTE}/os-security-groups/{group}", {"security_group": {
        "name": "renamed", "description": "older"}}).json()["security_group"]
    assert (renamed["name"], renamed["description"]) == ("renamed", "older")
    assert client.delete(f"{COMPUTE}/os-security-group-rules/{rule['id']}").status_code == 202
    assert client.delete(f"{COMPUTE}/os-security-group-rules/{rule['id']}").status_code == 404
    assert client.delete(f"{COMPUTE}/os-security-groups/{other}").status_code == 202
    assert _member(client, f"/os-security-groups/{group}", "security_group")["rules"] == []
    assert client.get(f"{COMPUTE}/os-security-groups/{other}").status_code == 404
    assert client.get(f"{COMPUTE}/os-security-groups/7").status_code == 400
    for method, path in (("GET", "os-security-groups"), ("GET", f"os-security-groups/{group}"),
                         ("POST", "os-security-group-rules")):
        _ended(client, method, f"/{path}", 36, {} if method == "POST" else None)


@pytest.mark.parametrize("values, said", [
    ({"ip_protocol": "tcp", "from_port": 22, "to_port": 21}, "Former value cannot be greater than the later"),
    ({"ip_protocol": "tcp", "from_port": 22, "to_port": 65536}, "Valid TCP ports should be between 1-65535"),
    ({"ip_protocol": "icmp", "from_port": 256, "to_port": -1}, "the type:code must be valid"),
    ({"ip_protocol": "tcp", "from_port": "x", "to_port": 1}, "must be integers"),
    ({"ip_protocol": "other", "from_port": 1, "to_port": 1}, "Invalid IP protocol other."),
    ({"ip_protocol": "tcp"}, "Not enough parameters"), ({}, "Not enough parameters"),
    ({"ip_protocol": "tcp", "from_port": 1, "to_port": 1, "cidr": "nowhere"}, "not a valid IP network"),
    ({"ip_protocol": "tcp", "from_port": 1, "to_port": 1, "cidr": "10.0.0.0/0"}, "Bad prefix"),
    ({"ip_protocol": "udp", "from_port": 7, "to_port": 7}, "This rule already exists in group")])
def test_rules_that_are_refused(client: Client, values: dict[str, Any], said: str) -> None:
    group = _group(client, "strict")
    assert _rule(client, group, ip_protocol="udp", from_port=7, to_port=7).status_code == 200
    refused = _rule(client, group, **values)
    assert refused.status_code == 400 and said in refused.json()["badRequest"]["message"]
    assert _rule(client, str(uuid.uuid4()), ip_protocol="udp", from_port=7, to_port=7).status_code == 404
    assert client.delete(f"{COMPUTE}/os-security-groups/{group}").status_code == 202


def test_members_list_their_own_groups(cloud: Cloud, client: Client) -> None:
    member = new_project(cloud, client)
    mine, theirs = _group(member, "members"), _group(client, "admins")
    found = {row["id"] for row in _member(client, "/os-security-groups", "security_groups", all_tenants=1)}
    assert {mine, theirs} <= found
    assert mine not in {row["id"] for row in _member(client, "/os-security-groups", "security_groups")}
    found = {row["id"] for row in _member(member, "/os-security-groups", "security_groups", all_tenants=1)}
    assert mine in found and theirs not in found


def test_hosts(client: Client, image: str) -> None:
    listed = _member(client, "/os-hosts", "hosts")
    assert {row["service"] for row in listed} >= {"compute", "conductor", "scheduler"}
    zone = next(row["zone"] for row in listed if row["service"] == "compute")
    assert {row["host_name"] for row in _member(client, "/os-hosts", "hosts", zone=zone)} == {"host1", "host2", "host3"}
    assert _member(client, "/os-hosts", "hosts", zone="nowhere") == []
    assert _member(client, "/os-hosts", "hosts", zone="") == listed
    server = client.create_server(image, networks="none")
    host = client.wait_server(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    rows = {row["resource"]["project"]: row["resource"] for row in _member(client, f"/os-hosts/{host}", "host")}
    mine = rows[client.project_id.replace("-", "")]
    assert mine["cpu"] >= 1 and mine["host"] == host and rows["(total)"]["cpu"] == 200
    assert rows["(used_max)"]["cpu"] >= mine["cpu"] and rows["(used_now)"]["cpu"] >= mine["cpu"]
    assert client.get(f"{COMPUTE}/os-hosts/nowhere").status_code == 404
    path = f"{COMPUTE}/os-hosts/{host}"
    for answer in (_put(client, path, {"status": "Disable"}), *(client.get(f"{path}/{action}") for action in (
            "startup", "shutdown", "reboot"))):
        assert answer.status_code == 501, answer.text
    assert _put(client, f"{COMPUTE}/os-hosts/nowhere", {"status": "enable"}).status_code == 404
    for body in ({}, {"status": "other"}, {"status": "enable", "maintenance_mode": "other"}):
        assert _put(client, path, body).status_code == 400
    _ended(client, "GET", "/os-hosts", 43)
    _ended(client, "GET", f"/os-hosts/{host}", 43)


def test_networks(cloud: Cloud, client: Client) -> None:
    known = {row["id"]: row["name"] for row in client.get("/network/v2.0/networks").json()["networks"]}
    for caller, members in ((client, 32), (new_project(cloud, client), 11)):
        shown = _member(caller, "/os-networks", "networks")
        assert shown and all(known[row["id"]] == row["label"] and len(row) == members for row in shown)
        assert _member(caller, f"/os-networks/{shown[0]['id']}", "network") == shown[0]
        [first, *_] = _member(caller, "/os-tenant-networks", "networks")
        assert first == {"id": shown[0]["id"], "label": shown[0]["label"], "cidr": "None"}
        assert _member(caller, f"/os-tenant-networks/{first['id']}", "network") == first
        missing = caller.get(f"{COMPUTE}/os-networks/{uuid.uuid4()}")
        assert (missing.status_code, missing.json()["itemNotFound"]["message"]) == (404, "Network not found")
        for path in ("os-networks", f"os-networks/{first['id']}", "os-tenant-networks"):
            _ended(caller, "GET", f"/{path}", 36)


def _address(client: Client, pool: str) -> dict[str, Any]:
    made = client.post(f"{COMPUTE}/os-floating-ips", {"pool": pool})
    assert made.status_code == 200, made.text
    return dict(made.json()["floating_ip"])


def test_floating_ips(client: Client) -> None:
    pool = external_network(client)
    assert {"name": "outside"} in _member(client, "/os-floating-ip-pools", "floating_ip_pools")
    made = _address(client, "outside")
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("outside", None, None)
    assert _member(client, f"/os-floating-ips/{made['id']}", "floating_ip") == made
    for other in (_address(client, pool), client.post(f"{COMPUTE}/os-floating-ips").json()["floating_ip"]):
        assert other["pool"] == "outside" and other in _member(client, "/os-floating-ips", "floating_ips")
        assert client.delete(f"{COMPUTE}/os-floating-ips/{other['id']}").status_code == 202
        assert client.get(f"{COMPUTE}/os-floating-ips/{other['id']}").status_code == 404
    unknown = client.post(f"{COMPUTE}/os-floating-ips", {"pool": "nowhere"})
    assert (unknown.status_code, unknown.json()["itemNotFound"]["message"]) == (404, "Floating IP pool not found.")
    assert client.get(f"{COMPUTE}/os-floating-ips/7").status_code == 400
    assert client.delete(f"{COMPUTE}/os-floating-ips/{uuid.uuid4()}").status_code == 404
    for path in ("os-floating-ips", f"os-floating-ips/{made['id']}", "os-floating-ip-pools"):
        _ended(client, "GET", f"/{path}", 36)
