"""Volume types, their extra specs, and who may use them."""

from __future__ import annotations

import pytest

from hostler import ids
from hostler.db.models import QuotaLimit
from tests.harness.volume_core import DEMO, OTHER, Cloud, build
from tests.harness.volume_rest import change, put_volume


def make(cloud: Cloud, name: str, **more: object) -> str:
    answer = cloud.call("POST", "/types", {"volume_type": {"name": name, **more}}, token="admin")
    assert answer.status_code == 200, answer.text
    return str(answer.json["volume_type"]["id"])


def test_life_of_a_type(cloud: Cloud) -> None:
    cloud.refused("POST", "/types", {"volume_type": {"name": "fast"}}, status=403)
    type_id = make(cloud, "fast", description="quick", extra_specs={"volume_backend_name": "ssd", "multiattach": "1"})
    cloud.refused("POST", "/types", {"volume_type": {"name": "fast"}}, status=409, token="admin")
    assert cloud.get(f"/types/{type_id}")["volume_type"]["extra_specs"] == {"multiattach": "1"}
    shown = cloud.get(f"/types/{type_id}", token="admin")["volume_type"]
    assert shown["extra_specs"]["volume_backend_name"] == "ssd" and shown["qos_specs_id"] is None
    changed = cloud.call("PUT", f"/types/{type_id}", {"volume_type": {"name": "faster"}}, token="admin")
    assert changed.json["volume_type"]["name"] == "faster"
    cloud.refused("PUT", f"/types/{type_id}", {"volume_type": {}}, status=400, token="admin")
    volume_id = put_volume(cloud, volume_type_id=type_id)
    assert "still in use" in cloud.refused("DELETE", f"/types/{type_id}", status=400, token="admin")
    from_volume = {"deleted_at": cloud.row(volume_id).created_at, "state": "deleted"}
    change(cloud, type(cloud.row(volume_id)), volume_id, **from_volume)
    assert cloud.call("DELETE", f"/types/{type_id}", token="admin").status_code == 202
    cloud.refused("GET", f"/types/{type_id}", status=404)


def test_limits_follow_the_name(cloud: Cloud) -> None:
    type_id = make(cloud, "fast")
    cloud.add(QuotaLimit(project_id=DEMO, resource="volumes_fast", hard_limit=3))
    cloud.call("PUT", f"/types/{type_id}", {"volume_type": {"name": "quick"}}, token="admin")
    assert cloud.get(f"/os-quota-sets/{DEMO}")["quota_set"]["volumes_quick"] == 3
    cloud.call("DELETE", f"/types/{type_id}", token="admin")
    assert cloud.count(QuotaLimit) == 0


def test_extra_specs(cloud: Cloud) -> None:
    path = f"/types/{make(cloud, 'fast')}/extra_specs"
    assert cloud.call("POST", path, {"extra_specs": {"a": "1", "b": None}}, token="admin").json == {
        "extra_specs": {"a": "1", "b": ""}}
    cloud.refused("GET", path, status=403)
    assert cloud.call("PUT", f"{path}/a", {"a": "2"}, token="admin").json == {"a": "2"}
    cloud.refused("PUT", f"{path}/a", {"b": "2"}, status=400, token="admin")
    assert cloud.get(f"{path}/a", token="admin") == {"a": "2"}
    assert cloud.call("DELETE", f"{path}/a", token="admin").status_code == 202
    cloud.refused("DELETE", f"{path}/a", status=404, token="admin")
    cloud.refused("GET", f"{path}/a", status=404, token="admin")
    for bad in ({"extra_specs": {"a b": "1"}}, {"extra_specs": {"a": 1}}, {"extra_specs": []}, {}):
        cloud.refused("POST", path, bad, status=400, token="admin")


def test_a_private_type(cloud: Cloud) -> None:
    type_id = make(cloud, "secret", **{"os-volume-type-access:is_public": False})
    public = make(cloud, "open")
    cloud.refused("GET", f"/types/{type_id}", status=404)
    access, action = f"/types/{type_id}/os-volume-type-access", f"/types/{type_id}/action"
    grant = {"addProjectAccess": {"project": ids.bare(DEMO)}}
    assert cloud.call("POST", action, grant, token="admin").status_code == 202
    cloud.refused("POST", action, grant, status=409, token="admin")
    assert cloud.get(access, token="admin") == {
        "volume_type_access": [{"volume_type_id": type_id, "project_id": ids.bare(DEMO)}]}
    assert cloud.get(f"/types/{type_id}")["volume_type"]["is_public"] is False
    cloud.refused("GET", f"/types/{type_id}", status=404, token="other")
    assert cloud.call("POST", action, {"removeProjectAccess": {"project": DEMO}}, token="admin").status_code == 202
    cloud.refused("POST", action, {"removeProjectAccess": {"project": OTHER}}, status=404, token="admin")
    cloud.refused("POST", action, {"addProjectAccess": {"project": "nobody"}}, status=400, token="admin")
    cloud.refused("GET", f"/types/{public}/os-volume-type-access", status=404, token="admin")
    cloud.refused("POST", f"/types/{public}/action", grant, status=409, token="admin")
    cloud.refused("POST", action, {"addProjectAccess": {}}, status=400, token="admin")
    cloud.refused("POST", action, grant, status=403)


def test_list(cloud: Cloud) -> None:
    make(cloud, "secret", **{"os-volume-type-access:is_public": False})
    make(cloud, "open", extra_specs={"multiattach": "<is> True", "capabilities:x": "y"})

    def names(query: str = "", **options: object) -> list[str]:
        return [row["name"] for row in cloud.get(f"/types?{query}", **options)["volume_types"]]

    assert names() == ["open"] and names(token="admin") == ["open"]
    assert names("is_public=None&sort=name:asc", token="admin") == ["open", "secret"]
    assert names("is_public=false", token="admin") == ["secret"] and names("name=none", token="admin") == []
    assert names("extra_specs={'multiattach': '<is> True'}") == ["open"]
    assert names("extra_specs={'capabilities:x': 'y'}", token="admin") == ["open"]
    # What a caller may not see he cannot find out by filtering either: the reference finds nothing.
    assert names("extra_specs={'capabilities:x': 'y'}") == []
    cloud.refused("GET", "/types?is_public=perhaps", status=400, token="admin")
    first = cloud.get("/types?is_public=None&limit=1&sort=name:asc", token="admin")
    assert len(first["volume_types"]) == 1 and first["volume_type_links"]


def test_the_default_type(cloud: Cloud) -> None:
    cloud.refused("GET", "/types/default", status=404)


def test_a_configured_default_type_stays(tmp_path: object) -> None:
    cloud = build(tmp_path, {"volume.default_volume_type": "plain"})  # type: ignore[arg-type]
    type_id = make(cloud, "plain")
    assert cloud.get("/types/default")["volume_type"]["id"] == type_id
    assert "default volume type" in cloud.refused("DELETE", f"/types/{type_id}", status=400, token="admin")
    cloud.services.db.dispose()


def test_what_there_is_not(cloud: Cloud) -> None:
    type_id = make(cloud, "fast")
    assert cloud.get(f"/types/{type_id}/encryption", token="admin") == {}
    cloud.refused("POST", f"/types/{type_id}/encryption", {"encryption": {}}, status=501, token="admin")
    cloud.refused("GET", f"/types/{type_id}/encryption/cipher", status=404, token="admin")
    assert cloud.get("/default-types", token="admin") == {"default_types": []}
    cloud.refused("POST", "/clusters", {"cluster": {"name": "x"}}, status=501, token="admin")
    assert cloud.get("/default-types", token="admin") == {"default_types": []}
    cloud.refused("PUT", f"/default-types/{DEMO}", {"default_type": {"volume_type": "fast"}}, status=501,
                  token="admin")


@pytest.mark.parametrize("body", [
    {}, {"volume_type": None}, {"volume_type": {}}, {"volume_type": {"name": " "}}, {"volume_type": {"name": 1}},
    {"volume_type": {"name": "n" * 256}}, {"volume_type": {"name": "a", "extra_specs": {"k": 1}}},
    {"volume_type": {"name": "a", "os-volume-type-access:is_public": "maybe"}}, {"volume_type": {"nome": "a"}}])
def test_bad_bodies(cloud: Cloud, body: object) -> None:
    cloud.refused("POST", "/types", body, status=400, token="admin")
