"""Parts that the Compute API has removed answered 404 as if they had never been; clients expect 410, as `nova` does."""

from __future__ import annotations

import pytest

from tests.harness.client import Client

C = "/compute/v2.1"
SERVER = "6b1f5a0e-5d0e-4d0e-8f7a-0c5a3d2e1f00"
OLDEST = {"OpenStack-API-Version": "compute 2.1"}


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/os-agents"), ("POST", "/os-agents"), ("PUT", "/os-agents/1"), ("DELETE", "/os-agents/1"),
    ("GET", "/os-cells"), ("GET", "/os-cells/detail"), ("GET", "/os-certificates/root"), ("POST", "/os-cloudpipe"),
    ("GET", "/os-fixed-ips/10.0.0.1"), ("GET", "/os-floating-ip-dns"), ("GET", "/os-floating-ips-bulk"),
    ("GET", "/os-fping"), ("GET", "/os-security-group-default-rules"),
    ("GET", f"/servers/{SERVER}/consoles"), ("GET", f"/servers/{SERVER}/os-virtual-interfaces")])
def test_they_are_gone(client: Client, method: str, path: str) -> None:
    answer = client.request(method, C + path, json={} if method in ("POST", "PUT") else None,
                            headers=OLDEST)
    assert answer.status_code == 410, answer.text
    ((kind, fault),) = answer.json().items()
    assert fault["code"] == 410 and "no longer available" in fault["message"], kind


def test_what_networks_had_is_not_found_since_they_left(client: Client) -> None:
    answer = client.get(f"{C}/os-fping", headers={"OpenStack-API-Version": "compute 2.36"})
    assert answer.status_code == 404


def test_group_limits_of_a_class_can_be_set_before_they_are_shown(client: Client) -> None:
    answer = client.request("PUT", f"{C}/os-quota-class-sets/default",
                            json={"quota_class_set": {"server_groups": 11}}, headers=OLDEST)
    assert answer.status_code == 200 and "server_groups" not in answer.json()["quota_class_set"]
    shown = client.get(f"{C}/os-quota-class-sets/default", headers={"OpenStack-API-Version": "compute 2.50"})
    assert shown.json()["quota_class_set"]["server_groups"] == 11
