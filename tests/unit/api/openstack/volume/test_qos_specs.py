"""The published face of QoS specs."""

from __future__ import annotations

from typing import Any

from hostler import ids
from tests.harness.volume_rest import Cloud

SPECS = {"total_iops_sec": "500", "note": "x"}


def make(cloud: Cloud, name: str, consumer: str = "front-end", **specs: str) -> str:
    answer = cloud.call("POST", "/qos-specs", {"qos_specs": {"name": name, "consumer": consumer, **specs}},
                        token="admin")
    assert answer.status_code == 200, answer.text
    return str(answer.json["qos_specs"]["id"])


def types_of(cloud: Cloud, qos: str) -> list[str]:
    found = cloud.get(f"/qos-specs/{qos}/associations", token="admin")["qos_associations"]
    return [one["name"] for one in found]


def test_they_are_made_shown_changed_and_deleted(cloud: Cloud) -> None:
    qos = make(cloud, " slow ", **SPECS)
    path = f"/qos-specs/{qos}"
    shown = cloud.get(path, token="admin")
    assert shown["qos_specs"] == {"id": qos, "name": "slow", "consumer": "front-end", "specs": SPECS}
    assert shown["links"][0]["href"].endswith(f"/v3/qos-specs/{qos}")
    body = {"qos_specs": {"total_bytes_sec": "1000", "consumer": "both"}}
    assert cloud.call("PUT", path, body, token="admin").json == body
    assert cloud.get(path, token="admin")["qos_specs"] == {
        "id": qos, "name": "slow", "consumer": "both", "specs": {**SPECS, "total_bytes_sec": "1000"}}
    assert cloud.call("PUT", f"{path}/delete_keys", {"keys": ["note"]}, token="admin").status_code == 202
    cloud.refused("PUT", f"{path}/delete_keys", {"keys": ["total_iops_sec", "note"]}, status=404, token="admin")
    assert cloud.get(path, token="admin")["qos_specs"]["specs"].keys() == {"total_iops_sec", "total_bytes_sec"}
    cloud.refused("POST", "/qos-specs", {"qos_specs": {"name": "slow"}}, status=409, token="admin")
    other = make(cloud, "other", "back-end", total_iops_sec="anything")
    listed = cloud.get("/qos-specs?sort=name:asc", token="admin")["qos_specs"]
    assert [one["id"] for one in listed] == [other, qos]
    assert [one["id"] for one in cloud.get("/qos-specs?consumer=both", token="admin")["qos_specs"]] == [qos]
    assert cloud.call("DELETE", path, token="admin").status_code == 202
    cloud.refused("GET", path, status=404, token="admin")


def test_what_is_refused(cloud: Cloud) -> None:
    bad: tuple[dict[str, Any], ...] = (
        {}, {"name": " "}, {"name": "x", "consumer": "nobody"}, {"name": "x", "note": 5},
        *({"name": "x", "consumer": "front-end", **specs} for specs in (
            {"total_iops_sec": "many"}, {"total_iops_sec": "-1"}, {"read_bytes_sec": "1", "total_bytes_sec": "2"},
            {"read_iops_sec_max": "5"},
            {"total_iops_sec": "9" * 17}, {"total_iops_sec_per_gb": "x"})))
    for specs in bad:
        cloud.refused("POST", "/qos-specs", {"qos_specs": specs}, status=400, token="admin")
    qos = make(cloud, "burst", read_iops_sec="5", read_iops_sec_max="50")
    message = cloud.refused("PUT", f"/qos-specs/{qos}/delete_keys", {"keys": ["read_iops_sec"]}, status=400,
                            token="admin")
    assert "read_iops_sec_max" in message
    cloud.refused("GET", f"/qos-specs/{qos}/associate", status=400, token="admin")
    cloud.refused("GET", f"/qos-specs/{qos}/associate?vol_type_id={ids.new_id()}", status=404, token="admin")
    cloud.refused("GET", f"/qos-specs/{ids.new_id()}/disassociate_all", status=404, token="admin")
    for method, path in (("GET", ""), ("GET", f"/{qos}"), ("DELETE", f"/{qos}"), ("GET", f"/{qos}/associations"),
                         ("GET", f"/{qos}/disassociate_all")):
        cloud.refused(method, f"/qos-specs{path}", status=403)


def test_volume_types_have_them(cloud: Cloud) -> None:
    fast, slow = cloud.volume_type("fast"), cloud.volume_type("slow")
    qos, other = make(cloud, "limits"), make(cloud, "others")
    for _ in range(2):
        for row in (fast, slow):
            answer = cloud.call("GET", f"/qos-specs/{qos}/associate?vol_type_id={row}", token="admin")
            assert answer.status_code == 202
    assert types_of(cloud, qos) == ["fast", "slow"]
    assert cloud.get(f"/types/{fast}", token="admin")["volume_type"]["qos_specs_id"] == qos
    assert "qos_specs_id" not in cloud.get(f"/types/{fast}")["volume_type"]
    cloud.refused("GET", f"/qos-specs/{other}/associate?vol_type_id={fast}", status=400, token="admin")
    cloud.refused("DELETE", f"/qos-specs/{qos}", status=400, token="admin")
    for way in (f"disassociate?vol_type_id={fast}", f"disassociate?vol_type_id={fast}"):
        assert cloud.call("GET", f"/qos-specs/{qos}/{way}", token="admin").status_code == 202
    assert types_of(cloud, qos) == ["slow"]
    assert cloud.call("GET", f"/qos-specs/{qos}/disassociate_all", token="admin").status_code == 202
    assert types_of(cloud, qos) == []
    assert cloud.call("GET", f"/qos-specs/{qos}/associate?vol_type_id={slow}", token="admin").status_code == 202
    assert cloud.call("DELETE", f"/qos-specs/{qos}?force=true", token="admin").status_code == 202
    assert cloud.get(f"/types/{slow}", token="admin")["volume_type"]["qos_specs_id"] is None
