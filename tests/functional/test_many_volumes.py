"""200 volumes asked for at once: every one becomes available, and quota and capacity are what is there."""

from __future__ import annotations

from concurrent import futures
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler.db.models import Volume
from hostler.resources.volume import backend_claims
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import wait_for

COUNT, AT_ONCE = 200, 16
AGAIN, LIMIT = 60, 45  # the second round asks for more than its quota allows
V3 = "/volume/v3"


@pytest.mark.long
def test_200_at_once(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, hosts=0, nodes=2, overrides={"quota.volumes": COUNT, "quota.gigabytes": -1})
    client = cloud.start()
    try:
        assert _ask(cloud, COUNT) == [202] * COUNT
        _wait_settled(client)
        statuses = {volume["status"] for volume in _volumes(client)}
        assert statuses == {"available"}
        assert _used(client) == {"volumes": COUNT, "gigabytes": COUNT}
        assert client.post(f"{V3}/volumes", {"volume": {"size": 1}}).status_code == 413
        _look(cloud, COUNT)

        assert _delete_all(cloud, client) == {202}
        wait_for(lambda: not _volumes(client), "all volumes gone")
        assert _used(client) == {"volumes": 0, "gigabytes": 0}
        _look(cloud, 0)

        client.request("PUT", f"{V3}/os-quota-sets/{client.project_id}",
                       json={"quota_set": {"gigabytes": LIMIT}}).raise_for_status()
        answers = _ask(cloud, AGAIN)
        assert sorted(set(answers)) == [202, 413]
        assert answers.count(202) == LIMIT  # exactly what the quota allows, whoever came first
        _wait_settled(client)
        assert _used(client) == {"volumes": LIMIT, "gigabytes": LIMIT}
        _look(cloud, LIMIT)
    finally:
        cloud.stop()


def _each(cloud: Cloud, requests: list[tuple[str, str, object]]) -> list[int]:
    """Make requests from `AT_ONCE` clients; returns their statuses."""
    def client_for(part: list[tuple[str, str, object]]) -> list[int]:
        client = Client(cloud.url, "admin", ADMIN_PASSWORD, "admin")
        client.login()
        return [client.request(method, path, json=body).status_code for method, path, body in part]

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return [status for part in pool.map(client_for, (requests[start::AT_ONCE] for start in range(AT_ONCE)))
                for status in part]


def _ask(cloud: Cloud, count: int) -> list[int]:
    return _each(cloud, [("POST", f"{V3}/volumes", {"volume": {"size": 1, "name": f"many-{number}"}})
                         for number in range(count)])


def _delete_all(cloud: Cloud, client: Client) -> set[int]:
    return set(_each(cloud, [("DELETE", f"{V3}/volumes/{volume['id']}", None) for volume in _volumes(client)]))


def _volumes(client: Client) -> list[dict[str, str]]:
    volumes: list[dict[str, str]] = client.get(f"{V3}/volumes/detail?limit=1000").json()["volumes"]
    return volumes


def _wait_settled(client: Client) -> None:
    wait_for(lambda: all(volume["status"] != "creating" for volume in _volumes(client)), "all volumes", every_s=0.2,
             timeout_s=120)


def _used(client: Client) -> dict[str, int]:
    shown = client.get(f"{V3}/os-quota-sets/{client.project_id}?usage=true").json()["quota_set"]
    return {name: shown[name]["in_use"] for name in ("volumes", "gigabytes")}


def _look(cloud: Cloud, count: int) -> None:
    """Compare records, back ends and capacity."""
    faults = invariants.database_faults(cloud.db)
    for node in cloud.volume_agents:
        faults += invariants.node_faults(cloud.db, node, cloud.directory / node)
    assert not faults
    with cloud.db.reading() as session:
        assert sum(backend_claims.used_gib(session).values()) == count
        backends = session.scalars(sa.select(Volume.backend_id).distinct().where(Volume.deleted_at.is_(None))).all()
    assert len(backends) == (2 if count else 0)  # spread over both nodes
