"""Resizes and cold migrations, confirmed and reverted, as a user sees them, on fake hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from compute.virt.fake.disks import write_overlay
from conductor import confirmations
from hostler.agent.faults import Order
from hostler.db.models import VolumeAttachment
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

ACTIONS = "/compute/v2.1/servers/{}/action"
V80 = {"OpenStack-API-Version": "compute 2.80"}
V56 = {"OpenStack-API-Version": "compute 2.56"}


@pytest.fixture(scope="module")
def large(client: Client) -> str:
    """A flavor that is larger than the default one in every way."""
    return client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "larger", "vcpus": 3, "ram": 512, "disk": 9, "OS-FLV-EXT-DATA:ephemeral": 1, "swap": 64, "id": "77"}}
        ).json()["flavor"]["id"]


@pytest.fixture
def server_id(cloud: Cloud, client: Client, image: str) -> Iterator[str]:
    made = client.create_server(image, "mover")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"/compute/v2.1/servers/{made}")
    client.wait_gone(made)
    _rest(cloud)


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name in cloud.agents:
            found += invariants.host_faults(cloud.db, name, cloud.directory / name)
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30)


def _act(client: Client, server_id: str, body: dict[str, object], status: int = 202,
         headers: dict[str, str] | None = None) -> str:
    answer = client.post(ACTIONS.format(server_id), body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.text


def _used(client: Client) -> tuple[int, int]:
    found = client.get("/compute/v2.1/limits").json()["limits"]["absolute"]
    return found["totalCoresUsed"], found["totalRAMUsed"]


def _host(server: dict[str, object]) -> str:
    return str(server["OS-EXT-SRV-ATTR:host"])


def _migrations(client: Client, server_id: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get(
        "/compute/v2.1/os-migrations", params={"instance_uuid": server_id}, headers=V80).json()["migrations"]
    return found


def _asides(cloud: Cloud) -> list[Path]:
    return [path for name in cloud.agents for path in (cloud.directory / name / "compute" / "servers").glob("*.old")]


@pytest.mark.contract("N-RESIZE")
@pytest.mark.parametrize("on", [True, False])
def test_a_resize_is_confirmed(cloud: Cloud, client: Client, server_id: str, large: str, on: bool) -> None:
    before = _used(client)
    if not on:
        _act(client, server_id, {"os-stop": None})
        client.wait_server(server_id, "SHUTOFF")
    _act(client, server_id, {"resize": {"flavorRef": large}})
    server = client.wait_server(server_id, "VERIFY_RESIZE")
    assert (server["flavor"]["original_name"], server["OS-EXT-STS:vm_state"]) == ("larger", "resized")
    assert server["OS-EXT-STS:power_state"] == (1 if on else 4)
    assert _used(client) == (before[0] + 2, before[1] + 384)
    _rest(cloud)
    assert len(_asides(cloud)) == 1
    _act(client, server_id, {"confirmResize": None}, 204)
    client.wait_server(server_id, "ACTIVE" if on else "SHUTOFF")
    [migration] = _migrations(client, server_id)
    assert (migration["status"], migration["migration_type"]) == ("confirmed", "resize")
    assert migration["new_instance_type_id"] == 77
    assert _asides(cloud) == []
    actions = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [action["action"] for action in actions[:2]] == ["confirmResize", "resize"]


@pytest.mark.contract("N-RESIZE")
def test_a_resize_is_reverted(cloud: Cloud, client: Client, server_id: str, large: str) -> None:
    before, old = _used(client), client.show(server_id)
    assert old is not None
    _act(client, server_id, {"resize": {"flavorRef": large}})
    client.wait_server(server_id, "VERIFY_RESIZE")
    _act(client, server_id, {"revertResize": None})
    server = client.wait_server(server_id, "ACTIVE")
    assert (server["flavor"], _host(server), server["addresses"]) == (old["flavor"], _host(old), old["addresses"])
    assert _used(client) == before
    assert [migration["status"] for migration in _migrations(client, server_id)] == ["reverted"]
    assert _asides(cloud) == []


@pytest.mark.contract("N-MIGRATE")
def test_a_cold_migration_goes_to_another_or_to_the_named_host(cloud: Cloud, client: Client, server_id: str) -> None:
    first = _host(client.show(server_id) or {})
    _act(client, server_id, {"migrate": None})
    second = _host(client.wait_server(server_id, "VERIFY_RESIZE"))
    assert second != first
    _rest(cloud)
    _act(client, server_id, {"revertResize": None})
    assert _host(client.wait_server(server_id, "ACTIVE")) == first
    third = next(name for name in cloud.agents if name not in (first, second))
    _act(client, server_id, {"migrate": {"host": third}}, headers=V56)
    assert _host(client.wait_server(server_id, "VERIFY_RESIZE")) == third
    _act(client, server_id, {"confirmResize": None}, 204)
    client.wait_server(server_id, "ACTIVE")
    kinds = [(row["migration_type"], row["status"], row["dest_compute"]) for row in _migrations(client, server_id)]
    assert kinds == [("migration", "confirmed", third), ("migration", "reverted", second)]
    assert len(client.get("/compute/v2.1/os-migrations", params={"host": third, "limit": 1}, headers=V80)
               .json()["migrations"]) == 1


@pytest.mark.contract("N-RESIZE")
def test_a_server_that_waits_to_be_confirmed_may_be_deleted(cloud: Cloud, client: Client, image: str,
                                                            large: str) -> None:
    server_id = client.create_server(image, "short")
    client.wait_server(server_id, "ACTIVE")
    _act(client, server_id, {"resize": {"flavorRef": large}})
    client.wait_server(server_id, "VERIFY_RESIZE")
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    _rest(cloud)
    assert _asides(cloud) == []


def test_what_cannot_be_is_refused(client: Client, server_id: str, image: str, large: str) -> None:
    own = client.server_body(image, "x")["server"]["flavorRef"]
    host = _host(client.show(server_id) or {})
    for body, status, said in (
            ({"resize": {"flavorRef": own}}, 400, "must change flavor"),
            ({"resize": {"flavorRef": "no-such"}}, 400, "could not be found"),
            ({"resize": {}}, 400, "flavorRef"), ({"resize": {"flavorRef": large, "x": 1}}, 400, "x"),
            ({"resize": {"flavorRef": ""}}, 400, "flavorRef"), ({"resize": None}, 400, "resize"),
            ({"migrate": {"host": "nowhere"}}, 400, "nowhere"), ({"migrate": {"host": host}}, 400, "current host"),
            ({"migrate": {"host": 1}}, 400, "host"), ({"migrate": "x"}, 400, "migrate"),
            ({"confirmResize": None}, 409, "active"), ({"revertResize": None}, 409, "active")):
        assert said in _act(client, server_id, body, status, V56), body
    client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "flat", "vcpus": 1, "ram": 128, "disk": 0, "id": "flat"}}).raise_for_status()
    assert "zero disk" in _act(client, server_id, {"resize": {"flavorRef": "flat"}}, 400)
    _act(client, server_id, {"resize": {"flavorRef": large}})
    client.wait_server(server_id, "VERIFY_RESIZE")
    assert "resized" in _act(client, server_id, {"resize": {"flavorRef": own}}, 409)
    assert "resized" in _act(client, server_id, {"migrate": None}, 409)
    _act(client, server_id, {"confirmResize": None}, 204)
    client.wait_server(server_id, "ACTIVE")
    assert "Unable to resize disk down" in _act(client, server_id, {"resize": {"flavorRef": own}}, 400)


@pytest.mark.parametrize("step", ["take_in.files", "transfer.fetch", "disk.adapt", "driver.create:before"])
def test_a_failed_move_leaves_the_server_where_it_was(cloud: Cloud, client: Client, server_id: str, large: str,
                                                      step: str) -> None:
    old = client.show(server_id) or {}
    other = next(name for name in cloud.agents if name != _host(old))
    faults = cloud.agents[other].tools.driver.faults
    faults.order(Order(step=step, action="fail", reason="no room"))
    _act(client, server_id, {"migrate": {"host": other}}, headers=V56)
    wait_for(lambda: [row["status"] for row in _migrations(client, server_id)] == ["error"], "the end", 20)
    server = client.wait_server(server_id, "ACTIVE")
    assert (_host(server), server["flavor"]) == (_host(old), old["flavor"])
    assert server["OS-EXT-STS:power_state"] == 1
    _rest(cloud)
    assert _asides(cloud) == []


@pytest.mark.contract("N-MIGRATE")
def test_what_a_disk_builds_on_goes_along_when_its_image_is_gone(cloud: Cloud, client: Client) -> None:
    data = b"outlived" * 1024
    base, image = hashlib.sha256(data).hexdigest(), client.make_image(data=data)

    def have_it() -> list[str]:
        return [name for name in cloud.agents if (cloud.directory / name / "compute" / "images" / base).exists()]

    server_id = client.create_server(image, "outlives")
    first = _host(client.wait_server(server_id, "ACTIVE"))
    write_overlay(cloud.directory / first / "compute" / "servers" / server_id / "disk", base)
    client.delete(f"/image/v2/images/{image}").raise_for_status()
    assert have_it() == [first]
    _act(client, server_id, {"migrate": None})
    second = _host(client.wait_server(server_id, "VERIFY_RESIZE"))
    assert set(have_it()) == {first, second}
    _act(client, server_id, {"confirmResize": None}, 204)
    client.wait_server(server_id, "ACTIVE")
    third = next(name for name in cloud.agents if name not in (first, second))
    _act(client, server_id, {"migrate": {"host": third}}, headers=V56)
    assert _host(client.wait_server(server_id, "VERIFY_RESIZE")) == third in have_it()
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    _rest(cloud)


@pytest.mark.contract("N-RESIZE")
def test_a_move_that_nobody_confirms_is_confirmed_in_time(cloud: Cloud, client: Client, server_id: str,
                                                          large: str) -> None:
    _act(client, server_id, {"resize": {"flavorRef": large}})
    client.wait_server(server_id, "VERIFY_RESIZE")
    confirmations.confirm_due(cloud.db, cloud.conf, cloud.conductor.workers.submit)
    assert _migrations(client, server_id)[0]["status"] == "finished", "without a window it waits"
    cloud.conf.set_override("resize_confirm_window", 1, group="compute")
    try:
        def confirmed() -> bool:
            confirmations.confirm_due(cloud.db, cloud.conf, cloud.conductor.workers.submit)
            return _migrations(client, server_id)[0]["status"] == "confirmed"

        wait_for(confirmed, "the confirmation", 20)
    finally:
        cloud.conf.clear_override("resize_confirm_window", group="compute")
    client.wait_server(server_id, "ACTIVE")


def test_what_a_silent_host_set_aside_goes_when_it_returns(cloud: Cloud, client: Client, server_id: str,
                                                           large: str) -> None:
    _act(client, server_id, {"resize": {"flavorRef": large}})
    server = client.wait_server(server_id, "VERIFY_RESIZE")
    [aside] = _asides(cloud)
    source = cloud.agents[aside.parts[-4]]
    source._reconciler.run()
    assert aside.is_dir(), "it may go back"
    _act(client, server_id, {"confirmResize": None}, 204)
    client.wait_server(server_id, "ACTIVE")
    aside.mkdir()
    source._reconciler.run()
    assert not aside.exists()
    assert client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == _host(server)


@pytest.mark.contract("N-MIGRATE")
def test_volumes_follow_a_server_and_come_back_with_it(cloud: Cloud, client: Client, server_id: str) -> None:
    volume_id = client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]

    def state() -> str:
        return str(client.get(f"/volume/v3/volumes/{volume_id}").json()["volume"]["status"])

    def reached_from() -> str:
        with cloud.db.reading() as session:
            return str(session.scalars(sa.select(VolumeAttachment).where(
                VolumeAttachment.volume_id == volume_id)).one().connector["host"])

    wait_for(lambda: state() == "available", "the volume", 20)
    path = f"/compute/v2.1/servers/{server_id}/os-volume_attachments"
    client.post(path, {"volumeAttachment": {"volumeId": volume_id}}).raise_for_status()
    wait_for(lambda: state() == "in-use", "the attachment", 20)
    first = _host(client.show(server_id) or {})
    for answer, end, status in (({"revertResize": None}, 202, first), ({"confirmResize": None}, 204, None)):
        _act(client, server_id, {"migrate": None})
        second = _host(client.wait_server(server_id, "VERIFY_RESIZE"))
        assert reached_from() == second != first
        _rest(cloud)
        _act(client, server_id, answer, end)
        client.wait_server(server_id, "ACTIVE")
        assert reached_from() == (status or second)
        _rest(cloud)
    client.request("DELETE", f"{path}/{volume_id}").raise_for_status()
    wait_for(lambda: state() == "available", "the detachment", 20)
    client.delete(f"/volume/v3/volumes/{volume_id}")
