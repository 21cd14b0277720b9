"""A host is emptied: what can move moves, what stays is named, and it is not done twice."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hostler.context import RequestContext
from hostler.db.models import Operation, Server
from hostler.operations import drains, notes
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"


def _finished(cloud: Cloud, operation_id: str) -> str:
    with cloud.db.reading() as session:
        return str(session.scalar(sa.select(Operation.state).where(Operation.id == operation_id)))


def test_servers_move_running_or_off_and_others_are_named(cloud: Cloud, client: Client, image: str) -> None:
    made = {}
    for name in ("off", "broken", "on"):
        made[name] = client.create_server(image, name, availability_zone="nova:host1")
        client.wait_server(made[name], "ACTIVE")
    client.post(f"{SERVERS}/{made['off']}/action", {"os-stop": None})
    client.wait_server(made["off"], "SHUTOFF")
    client.post(f"{SERVERS}/{made['broken']}/action", {"os-resetState": {"state": "error"}})
    aggregate = client.post("/compute/v2.1/os-aggregates", {"aggregate": {"name": "repairs"}}).json()["aggregate"]["id"]
    act = f"/compute/v2.1/os-aggregates/{aggregate}/action"
    client.post(act, {"add_host": {"host": "host1"}}).raise_for_status()
    try:
        client.post(act, {"set_metadata": {"metadata": {"hostler:maintenance": "true"}}}).raise_for_status()
        with cloud.db.reading() as session:
            [operation_id] = session.scalars(sa.select(Operation.id).where(Operation.kind == "host.drain"))
        wait_for(lambda: _finished(cloud, operation_id) in ("succeeded", "failed"), "the drain", 60)
        with cloud.db.reading() as session:
            report = notes.value(session, operation_id, notes.REPORT)
        assert list(report) == [made["broken"]]
        assert "error" in report[made["broken"]]
        moved = client.wait_server(made["off"], "SHUTOFF")
        assert moved["OS-EXT-SRV-ATTR:host"] != "host1"
        assert client.wait_server(made["on"], "ACTIVE")["OS-EXT-SRV-ATTR:host"] != "host1"
        [service] = client.get("/compute/v2.1/os-services?binary=nova-compute&host=host1").json()["services"]
        assert service["status"] == "disabled"
    finally:
        client.post(act, {"set_metadata": {"metadata": {"hostler:maintenance": None}}}).raise_for_status()
        client.post(act, {"remove_host": {"host": "host1"}}).raise_for_status()
        client.delete(f"/compute/v2.1/os-aggregates/{aggregate}")
    [service] = client.get("/compute/v2.1/os-services?binary=nova-compute&host=host1").json()["services"]
    assert service["status"] == "enabled"
    for server_id in made.values():
        client.delete(f"{SERVERS}/{server_id}")
        client.wait_gone(server_id)


@pytest.mark.parametrize("ended", [False, True])
def test_one_drain_at_a_time(cloud: Cloud, ended: bool) -> None:
    def begin() -> str:
        return cloud.db.write(lambda session: drains.drain(
            session, RequestContext.system(), drains.host_named(session, "host2")))

    first = begin()
    if ended:
        wait_for(lambda: _finished(cloud, first) == "succeeded", "the drain", 30)
        with cloud.db.reading() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Server).where(
                Server.deleted_at.is_(None))) == 0
    second = begin()
    assert first == second or _finished(cloud, first) == "succeeded"
    cloud.db.write(lambda session: drains.undrain(session, drains.host_named(session, "host2")))
    wait_for(lambda: _finished(cloud, second) in ("succeeded", "failed"), "its end", 30)
