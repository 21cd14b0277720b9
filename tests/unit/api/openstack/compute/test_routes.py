"""Whatever is sent, the answer is a 4xx or 501 in the published shape: never a traceback, never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from api.openstack.compute.routes import routes
from api.openstack.compute.server.actions import ACTIONS
from tests.harness.compute_rest import IMAGE, Cloud

ODD: tuple[Any, ...] = (None, 0, -1, 1.5, True, "", " ", "x" * 70000, "\x00", "ü\n", [], [None], [[]], {}, {"": None},
                        {"a": {"b": ["c"]}}, 10 ** 18, "9" * 40, "../../etc/passwd", "';--", "00000000")
BODIES = {
    ("POST", "/servers"): {"server": {
        "name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "auto", "metadata": {}, "tags": [],
        "min_count": 1, "max_count": 1, "security_groups": [{"name": "default"}], "user_data": "", "config_drive": True,
        "availability_zone": "nova", "key_name": "k", "adminPass": "p", "accessIPv4": "", "description": "d",
        "block_device_mapping_v2": [], "hostname": "h", "host": "h", "hypervisor_hostname": "h",
        "trusted_image_certificates": None, "return_reservation_id": False, "block_device_mapping": []}},
    ("PUT", "/servers/{id}"): {"server": {"name": "n", "description": "d", "hostname": "h", "accessIPv6": ""}},
    ("POST", "/flavors"): {"flavor": {
        "name": "n", "id": "9", "ram": 1, "vcpus": 1, "disk": 1, "swap": 0, "rxtx_factor": 1.0, "description": "d",
        "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": True}},
    ("PUT", "/flavors/1"): {"flavor": {"description": "d"}},
    ("POST", "/flavors/1/os-extra_specs"): {"extra_specs": {"a": "b"}},
    ("PUT", "/flavors/1/os-extra_specs/a"): {"a": "b"},
    ("POST", "/flavors/1/action"): {"addTenantAccess": {"tenant": "t"}},
    ("POST", "/os-keypairs"): {"keypair": {"name": "k", "public_key": "x", "type": "ssh", "user_id": "u"}},
    ("POST", "/os-server-groups"): {"server_group": {"name": "g", "policy": "affinity", "rules": {}}},
    ("PUT", "/os-quota-sets/11111111111141118111111111111111"): {"quota_set": {"cores": 1, "force": True}},
    ("POST", "/servers/{id}/metadata"): {"metadata": {"a": "b"}},
    ("PUT", "/servers/{id}/metadata/a"): {"meta": {"a": "b"}},
    ("PUT", "/servers/{id}/tags"): {"tags": ["a"]},
}
QUERIES = ("limit", "marker", "sort_key", "sort_dir", "name", "status", "changes-since", "changes-before", "deleted",
           "flavor", "ip", "launch_index", "power_state", "tags", "all_tenants", "offset", "minRam", "is_public",
           "user_id", "tenant_id", "start", "end", "detailed", "all_projects", "locked", "created_at", "uuid")


def variants(body: Any) -> list[Any]:
    """Return `body` with each of its parts replaced by each odd value."""
    found: list[Any] = list(ODD)
    if isinstance(body, dict):
        for key, value in body.items():
            found += [{**body, key: other} for other in variants(value)]
            found.append({name: other for name, other in body.items() if name != key})
        found.append({**body, "surprise": 1})
    elif isinstance(body, list):
        found += [[other] for item in body for other in variants(item)]
    return found


def check(answer: Any, what: object) -> None:
    """Hold an answer against the rule."""
    assert answer.status_code < 500 or answer.status_code == 501, (what, answer.text[:300])
    if answer.status_code >= 400:
        ((_, fault),) = answer.json.items()
        assert fault["code"] == answer.status_code and isinstance(fault["message"], str), what


@pytest.mark.parametrize(("method", "path"), sorted(BODIES))
@pytest.mark.parametrize("version", ["2.1", "2.96"])
def test_odd_bodies(cloud: Cloud, method: str, path: str, version: str) -> None:
    url = path.replace("{id}", cloud.running())
    for body in variants(BODIES[method, path]):
        check(cloud.call(method, url, body, token="admin", version=version), (method, path, str(body)[:200]))


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_odd_actions(cloud: Cloud, action: str) -> None:
    server_id = cloud.running()
    for argument in (*ODD, {"type": "SOFT", "name": 1}, {"state": "gone"}, {"length": "1" * 30}, {"name": "x" * 300}):
        check(cloud.act(server_id, action, argument, token="admin"), (action, str(argument)[:200]))


def test_odd_queries_and_ids(cloud: Cloud) -> None:
    cloud.running()
    values = ("", "x", "-1", "0", "1", "99999999999999999999", "2026-99-99", "%00", "%F0%9F%92%A9", "a" * 3000, "[(",
              "true", "%27", "11111111-1111-4111-8111-111111111111", "None", "\\", "%C2%B2")
    for path in ("/servers", "/servers/detail", "/flavors", "/os-keypairs", "/os-server-groups", "/limits",
                 "/os-simple-tenant-usage"):
        for name in QUERIES:
            for value in values:
                for version in ("2.74", "2.96"):
                    check(cloud.call("GET", f"{path}?{name}={value}", token="admin", version=version),
                          (path, name, value))


def test_every_route_refuses_strangers(cloud: Cloud) -> None:
    server_id = cloud.running()
    for template, resource in routes(cloud.services):
        if getattr(resource, "public", False):
            continue
        for odd in (server_id, "nope", "%00", "x" * 300):
            path = template.removeprefix("/v2.1")
            while "{" in path:
                head, _, rest = path.partition("{")
                path = head + odd + rest.partition("}")[2]
            for method in ("GET", "POST", "PUT", "DELETE"):
                if not hasattr(resource, f"on_{method.lower()}"):
                    continue
                refused = cloud.call(method, path, {}, token="nobody").status_code
                assert refused == (400 if "%00" in path else 401), path
                answer = cloud.call(method, path, {}, token="other")
                check(answer, (method, path))
                if odd == server_id and template.startswith("/v2.1/servers/{server_id}"):
                    gone = ("/consoles" in template or "virtual-interfaces" in template) and 410
                    assert answer.status_code in (400, 403, 404, gone), (method, path, answer.status_code)
    assert cloud.get(f"/servers/{server_id}")["server"]["status"] == "ACTIVE"
