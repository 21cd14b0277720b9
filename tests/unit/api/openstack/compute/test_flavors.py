"""Flavors, their extra specs and access; key pairs."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.harness.compute_rest import DEMO, OTHER, Cloud

SIZES = {"name": "big", "ram": 2048, "vcpus": 2, "disk": 20}


def make(cloud: Cloud, **values: object) -> dict:
    answer = cloud.call("POST", "/flavors", {"flavor": {**SIZES, **values}}, token="admin")
    assert answer.status_code == 200, answer.text
    return answer.json["flavor"]


@pytest.mark.contract("N-FLAVOR")
def test_flavor_life(cloud: Cloud) -> None:
    made = make(cloud, id="auto", swap=512, description="words")
    assert made["swap"] == 512 and made["description"] == "words" and made["extra_specs"] == {}
    path = f"/flavors/{made['id']}"
    assert cloud.get(path)["flavor"] == made
    assert "description" not in cloud.get(path, version="2.54")["flavor"]
    assert "extra_specs" not in cloud.get(path, version="2.60")["flavor"]
    assert cloud.get("/flavors/1", version="2.74")["flavor"]["swap"] == ""
    changed = cloud.call("PUT", path, {"flavor": {"description": None}}, token="admin").json["flavor"]
    assert changed["description"] is None
    assert cloud.call("PUT", path, {"flavor": {"description": None}}, token="admin", version="2.54").status_code == 404
    assert cloud.call("DELETE", path).status_code == 403
    assert cloud.call("DELETE", path, token="admin").status_code == 202
    assert cloud.call("GET", path).status_code == 404


def test_bad_flavors(cloud: Cloud) -> None:
    make(cloud, id="7")
    assert cloud.call("POST", "/flavors", {"flavor": {**SIZES, "id": "8"}}, token="admin").status_code == 409
    for change in ({"ram": 0}, {"vcpus": "x"}, {"name": ""}, {"disk": -1}, {"nope": 1}, {"id": "sp ace "},
                   {"ram": "99999999999"}):
        body = {"flavor": {**SIZES, "name": "other", **change}}
        assert cloud.call("POST", "/flavors", body, token="admin").status_code == 400, change
    assert cloud.call("POST", "/flavors", {"flavor": SIZES}).status_code == 403


def test_flavor_lists(cloud: Cloud) -> None:
    make(cloud, id="2")
    make(cloud, id="3", name="hidden", **{"os-flavor-access:is_public": False})

    def found(query: str, **options: str) -> list[str]:
        return [flavor["id"] for flavor in cloud.get(f"/flavors/detail?{query}", **options)["flavors"]]
    assert found("") == ["1", "2"] == found("is_public=None")
    assert found("is_public=None", token="admin") == ["1", "2", "3"]
    assert found("is_public=False", token="admin") == ["3"]
    assert found("minRam=1024") == ["2"] and found("minDisk=30") == []
    page = cloud.get("/flavors?limit=1")
    assert [flavor["id"] for flavor in page["flavors"]] == ["1"] and "marker=1" in page["flavors_links"][0]["href"]
    assert found("marker=1&sort_key=flavorid") == ["2"] and found("sort_dir=desc") == ["2", "1"]
    for query in ("marker=nope", "minRam=x", "is_public=perhaps", "sort_key=nope", "bogus=1"):
        assert cloud.call("GET", f"/flavors?{query}").status_code == 400, query


def test_flavor_access(cloud: Cloud) -> None:
    make(cloud, id="3", name="hidden", **{"os-flavor-access:is_public": False})
    path = "/flavors/3/action"
    assert cloud.call("GET", "/flavors/3").status_code == 404
    grant = {"addTenantAccess": {"tenant": DEMO.replace("-", "")}}
    answer = cloud.call("POST", path, grant, token="admin")
    assert answer.json == {"flavor_access": [{"flavor_id": "3", "tenant_id": DEMO.replace("-", "")}]}
    assert cloud.call("POST", path, grant, token="admin").status_code == 409
    assert cloud.get("/flavors/3")["flavor"]["name"] == "hidden"
    assert cloud.get("/flavors/3/os-flavor-access", token="admin") == answer.json
    assert cloud.call("POST", path, {"removeTenantAccess": {"tenant": OTHER}}, token="admin").status_code == 404
    assert cloud.call("POST", path, {"removeTenantAccess": {"tenant": DEMO}}, token="admin").status_code == 200
    assert cloud.call("POST", path, {"addTenantAccess": {"tenant": "nope"}}, token="admin").status_code == 400
    assert cloud.call("GET", "/flavors/1/os-flavor-access", token="admin").status_code == 404


def test_extra_specs(cloud: Cloud) -> None:
    path = "/flavors/1/os-extra_specs"
    assert cloud.call("POST", path, {"extra_specs": {"hw:cpu_policy": "shared", "n": 1}}, token="admin").json == {
        "extra_specs": {"hw:cpu_policy": "shared", "n": "1"}}
    assert cloud.call("PUT", path + "/n", {"n": "2"}, token="admin").json == {"n": "2"}
    assert cloud.call("PUT", path + "/n", {"m": "2"}, token="admin").status_code == 400
    assert cloud.get(path + "/n") == {"n": "2"}
    assert cloud.call("DELETE", path + "/n", token="admin").status_code == 200
    assert cloud.call("DELETE", path + "/n", token="admin").status_code == 404
    assert cloud.get(path) == {"extra_specs": {"hw:cpu_policy": "shared"}}
    assert cloud.call("POST", path, {"extra_specs": {"a": "b"}}).status_code == 403


def public_key() -> str:
    return ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def test_keypair_life(cloud: Cloud) -> None:
    made = cloud.call("POST", "/os-keypairs", {"keypair": {"name": "k@1", "public_key": public_key()}})
    assert made.status_code == 201 and made.json["keypair"]["type"] == "ssh"
    assert len(made.json["keypair"]["fingerprint"]) == 47
    assert cloud.call("POST", "/os-keypairs", {"keypair": {"name": "k@1", "public_key": public_key()}}
                      ).status_code == 409
    assert [row["keypair"]["name"] for row in cloud.get("/os-keypairs")["keypairs"]] == ["k@1"]
    assert cloud.get("/os-keypairs/k@1")["keypair"]["id"] == 1
    server = cloud.boot(key_name="k@1")
    assert cloud.get(f"/servers/{server['id']}")["server"]["key_name"] == "k@1"
    assert cloud.call("DELETE", "/os-keypairs/k@1").status_code == 204
    assert cloud.call("DELETE", "/os-keypairs/k@1").status_code == 404


def test_keypairs_by_version(cloud: Cloud) -> None:
    made = cloud.call("POST", "/os-keypairs", {"keypair": {"name": "old"}}, version="2.1")
    assert made.status_code == 200 and "PRIVATE KEY" in made.json["keypair"]["private_key"]
    assert "type" not in made.json["keypair"]
    assert cloud.call("POST", "/os-keypairs", {"keypair": {"name": "new"}}).status_code == 400
    for key in ("ssh-rsa AAAA", "nonsense", "ssh-rsa " + public_key().split()[1]):
        body = {"keypair": {"name": "bad", "public_key": key}}
        assert cloud.call("POST", "/os-keypairs", body).status_code == 400, key
    assert cloud.call("GET", f"/os-keypairs?user_id={OTHER}").status_code == 403
    assert cloud.get(f"/os-keypairs?user_id={OTHER}", token="admin") == {"keypairs": []}
    assert cloud.call("DELETE", "/os-keypairs/old", version="2.1").status_code == 202
