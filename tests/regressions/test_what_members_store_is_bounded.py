"""A member could fill the cloud: disks as large as an image said, thousands of rules in one request, metadata without
end. (Every noun in a loop: `tests/security/test_hostile_member.py`.)
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from sqlalchemy import event

from hostler import ids
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.network_rest import Api
from tests.harness.projects import new_project

OCTETS = {"Content-Type": "application/octet-stream"}
ADMIN = "admin:admin,member,reader"


@pytest.fixture(scope="module")
def member(cloud: Cloud, client: Client) -> Client:
    """A member of a project."""
    return new_project(cloud, client)


def _qcow2(virtual_bytes: int) -> bytes:
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, virtual_bytes, 0, 1, 0x30000, 0x10000, 1, 0, 0,
                       0, 0, 0, 4, 112)
    return head.ljust(65536, b"\0")


def _image(client: Client, data: bytes, disk_format: str, container_format: str = "bare") -> tuple[str, int, str]:
    made = client.post("/image/v2/images", {"name": "i", "disk_format": disk_format,
                                            "container_format": container_format}).json()["id"]
    answer = client.request("PUT", f"/image/v2/images/{made}/file", data=data, headers=OCTETS)
    return str(made), answer.status_code, answer.text


def test_a_flavor_without_a_disk_is_for_volumes(client: Client, member: Client, image: str) -> None:
    """Given a flavor without a root disk, when a member boots an image on it, then 403; an administrator may."""
    flavor = client.post("/compute/v2.1/flavors", {"flavor": {
        "name": ids.new_id(), "ram": 64, "vcpus": 1, "disk": 0}}).json()["flavor"]["id"]
    client.request("PATCH", f"/image/v2/images/{image}", json=[
        {"op": "replace", "path": "/visibility", "value": "public"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()

    refused = member.post("/compute/v2.1/servers", member.server_body(image, flavor=flavor, networks="none"))
    allowed = client.post("/compute/v2.1/servers", client.server_body(image, flavor=flavor, networks="none"))

    assert refused.status_code == 403
    assert refused.json()["forbidden"]["message"] == (
        "Only volume-backed servers are allowed for flavors with zero disk.")
    assert allowed.status_code == 202, allowed.text
    client.wait_server(allowed.json()["server"]["id"], "ACTIVE")
    client.delete(f"/compute/v2.1/servers/{allowed.json()['server']['id']}")


@pytest.mark.parametrize("container", ["bare", "ova"])
def test_an_image_of_a_huge_disk_is_refused(member: Client, container: str) -> None:
    """Given 64 KiB that describe a disk of an exbibyte, when they are uploaded in any container, then 400."""
    image_id, status, text = _image(member, _qcow2(1 << 60), "qcow2", container)

    assert status == 400 and "at most" in text
    assert member.get(f"/image/v2/images/{image_id}").json()["status"] == "queued"


def test_nothing_boots_from_a_wrapped_disk(member: Client) -> None:
    """Given an image in a container that is not the disk itself, when a server is made of it, then 400."""
    image_id, status, text = _image(member, b"a tar file" * 200, "qcow2", "ova")
    assert status == 204, text

    answer = member.post("/compute/v2.1/servers", member.server_body(image_id, networks="none"))

    assert answer.status_code == 400 and "ova" in answer.text


def _rules(group_id: str, count: int, first: int = 1) -> dict[str, Any]:
    return {"security_group_rules": [
        {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp", "port_range_min": port,
         "port_range_max": port} for port in range(first, first + count)]}


def test_many_rules_are_claimed_before_they_are_read(network_api: Api) -> None:
    """Given a quota of 100, when 400 rules come of which one is wrong, then the quota answers, not the rule."""
    group = network_api.make("security_group", "security-groups", name="many")
    body = _rules(group["id"], 400)
    body["security_group_rules"][7]["protocol"] = "no such"

    network_api.refused("POST", "/v2.0/security-group-rules", body, 409, "OverQuota")


def test_rules_in_bulk_cost_few_statements(network_api: Api) -> None:
    """Given 90 rules in one request, when they are written, then with as many statements as for one."""
    group = network_api.make("security_group", "security-groups", name="bulk")
    statements: list[str] = []
    event.listen(network_api.db.engine, "before_cursor_execute",
                 lambda _connection, _cursor, statement, *_rest: statements.append(statement))
    network_api.call("POST", "/v2.0/security-group-rules", _rules(group["id"], 1), status=201)
    one = len(statements)

    network_api.call("POST", "/v2.0/security-group-rules", _rules(group["id"], 90, first=100), status=201)

    assert len(statements) - one <= one + 2


def test_too_many_at_once_are_refused(network_api: Api) -> None:
    """Given no quota at all, when one request has more items than the cloud takes at once, then 413."""
    group = network_api.make("security_group", "security-groups", name="huge")
    network_api.call("POST", "/v2.0/security-group-rules", _rules(group["id"], 501), status=413)
    network_api.call("POST", "/v2.0/networks", {"networks": [{"name": "n"}] * 501}, status=413)
