"""Aggregates: the verbs, and the zone that they keep for their hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.db.models import Host, Zone
from tests.harness.compute_rest import HOST, Cloud

Get = Callable[..., Any]


def send(cloud: Cloud, method: str, path: str, body: Any = None, status: int = 200, token: str = "admin") -> Any:
    answer = cloud.call(method, f"/os-aggregates{path}", body, token=token)
    assert answer.status_code == status, answer.text
    return answer.json if answer.text else None


def create(cloud: Cloud, name: str, zone: str | None = None) -> int:
    body: dict[str, Any] = {"name": name, **({"availability_zone": zone} if zone else {})}
    return int(send(cloud, "POST", "", {"aggregate": body})["aggregate"]["id"])


def act(cloud: Cloud, number: int, action: str, status: int = 200, **values: Any) -> Any:
    return send(cloud, "POST", f"/{number}/action", {action: values}, status)


def zone_of(cloud: Cloud, host: str) -> str | None:
    with cloud.services.db.reading() as session:
        return session.scalar(sa.select(Zone.name).join(Host, Host.zone_id == Zone.id).where(Host.name == host))


@pytest.mark.parametrize("version", ["2.1", "2.40", "2.41", "2.96"])
def test_create_list_show(cloud: Cloud, get: Get, version: str) -> None:
    made = send(cloud, "POST", "", {"aggregate": {"name": "ssd", "availability_zone": "north"}})["aggregate"]
    assert "hosts" not in made and "metadata" not in made and made["updated_at"] is None
    act(cloud, made["id"], "add_host", host="host-1")
    act(cloud, made["id"], "set_metadata", metadata={"ssd": "true"})
    shown = get(f"/os-aggregates/{made['id']}", version)["aggregate"]
    assert get("/os-aggregates", version)["aggregates"] == [shown]
    assert (shown["hosts"], shown["metadata"]) == (["host-1"], {"ssd": "true", "availability_zone": "north"})
    assert ("uuid" in shown) == (version in ("2.41", "2.96"))


def test_update_and_metadata(cloud: Cloud) -> None:
    number = create(cloud, "one")
    create(cloud, "two")
    assert send(cloud, "PUT", f"/{number}", {"aggregate": {"name": "uno"}})["aggregate"]["name"] == "uno"
    send(cloud, "PUT", f"/{number}", {"aggregate": {"name": "two"}}, 409)
    send(cloud, "POST", "", {"aggregate": {"name": "two"}}, 409)
    shown = act(cloud, number, "set_metadata", metadata={"a": "1", "b": "2"})["aggregate"]
    assert shown["metadata"] == {"a": "1", "b": "2"}
    shown = act(cloud, number, "set_metadata", metadata={"a": None, "c": "3"})["aggregate"]
    assert shown["metadata"] == {"b": "2", "c": "3"} and shown["updated_at"]
    shown = act(cloud, number, "set_metadata", metadata={"availability_zone": "north"})["aggregate"]
    assert shown["availability_zone"] == "north"


def test_hosts_follow_the_zone_of_their_aggregate(cloud: Cloud) -> None:
    number = create(cloud, "north", "north")
    act(cloud, number, "add_host", host="host-1")
    assert (zone_of(cloud, "host-1"), zone_of(cloud, "host-2")) == ("north", "nova")
    send(cloud, "PUT", f"/{number}", {"aggregate": {"availability_zone": "south"}})
    assert zone_of(cloud, "host-1") == "south"
    act(cloud, number, "remove_host", host="host-1")
    assert zone_of(cloud, "host-1") == "nova"
    act(cloud, number, "add_host", host="host-1")
    send(cloud, "PUT", f"/{number}", {"aggregate": {"availability_zone": None}})
    assert zone_of(cloud, "host-1") == "nova"


def test_a_host_is_in_one_zone_only(cloud: Cloud) -> None:
    north, south, plain = create(cloud, "n", "north"), create(cloud, "s", "south"), create(cloud, "p")
    act(cloud, north, "add_host", host="host-1")
    act(cloud, south, "add_host", 409, host="host-1")
    act(cloud, plain, "add_host", host="host-1")
    send(cloud, "PUT", f"/{plain}", {"aggregate": {"availability_zone": "south"}}, 400)
    act(cloud, plain, "remove_host", host="host-1")
    assert zone_of(cloud, "host-1") == "north"


def test_a_host_with_servers_keeps_its_zone(cloud: Cloud) -> None:
    number, same = create(cloud, "n", "north"), create(cloud, "same", "nova")
    cloud.running()
    act(cloud, number, "add_host", 409, host="host-1")
    act(cloud, same, "add_host", host="host-1")
    send(cloud, "PUT", f"/{same}", {"aggregate": {"availability_zone": "north"}}, 400)
    act(cloud, same, "remove_host", host="host-1")
    assert zone_of(cloud, "host-1") == "nova"


def test_the_move_is_seen_by_claims(cloud: Cloud) -> None:
    def generation() -> int | None:
        with cloud.services.db.reading() as session:
            return session.scalar(sa.select(Host.generation).where(Host.id == HOST))

    number, before = create(cloud, "n", "north"), generation()
    act(cloud, number, "add_host", host="host-1")
    assert generation() != before


def test_refusals(cloud: Cloud) -> None:
    number = create(cloud, "one")
    act(cloud, number, "add_host", 404, host="nobody")
    act(cloud, number, "remove_host", 404, host="host-1")
    act(cloud, number, "add_host", host="host-1")
    act(cloud, number, "add_host", 409, host="host-1")
    send(cloud, "DELETE", f"/{number}", status=400)
    act(cloud, number, "remove_host", host="host-1")
    send(cloud, "DELETE", f"/{number}")
    send(cloud, "DELETE", f"/{number}", status=404)
    send(cloud, "GET", "/x", status=400)
    act(cloud, 99, "set_metadata", 404, metadata={})


@pytest.mark.parametrize("body", [
    {}, {"aggregate": {}}, {"aggregate": {"name": ""}}, {"aggregate": {"name": "a" * 256}}, {"aggregate": {"name": 1}},
    {"aggregate": {"name": "a", "colour": "red"}}, {"aggregate": {"name": "a", "availability_zone": "a:b"}}, [], 1])
def test_bad_bodies(cloud: Cloud, body: Any) -> None:
    send(cloud, "POST", "", body, 400)


@pytest.mark.parametrize("body", [
    {}, {"explode": {}}, {"add_host": {}}, {"add_host": {"host": 1}}, {"set_metadata": {"metadata": {"a": 1}}},
    {"add_host": {"host": "a"}, "remove_host": {"host": "a"}}, []])
def test_bad_actions(cloud: Cloud, body: Any) -> None:
    send(cloud, "POST", f"/{create(cloud, 'one')}/action", body, 400)


def test_members_may_not(cloud: Cloud) -> None:
    for method, path in (("GET", ""), ("GET", "/1"), ("DELETE", "/1")):
        send(cloud, method, path, status=403, token="member")
    send(cloud, "POST", "", {"aggregate": {"name": "a"}}, 403, "member")


def test_images_ahead_of_need_are_not_supported(cloud: Cloud) -> None:
    send(cloud, "POST", f"/{create(cloud, 'one')}/images", {"cache": []}, 501)
