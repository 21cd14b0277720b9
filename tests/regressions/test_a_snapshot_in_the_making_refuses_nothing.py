"""While a snapshot was made of a volume, which shows in no status, requests about the volume were refused with 409."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures

import pytest
import sqlalchemy as sa

from hostler.db.models import Lock
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

VOLUMES = "/volume/v3/volumes"
HELD = "00000000-0000-4000-8000-00000000c0de"


@pytest.fixture
def volume(client: Client) -> str:
    volume_id = str(client.post(VOLUMES, {"volume": {"size": 1}}).json()["volume"]["id"])
    client.wait_volume(volume_id, "available")
    return volume_id


@pytest.fixture
def held(cloud: Cloud, client: Client, volume: str) -> Iterator[str]:
    """The volume, held as by the making of a snapshot that takes its time; the lock goes when somebody waits for it."""
    snapshot_id = client.post("/volume/v3/snapshots", {"snapshot": {"volume_id": volume}}).json()["snapshot"]["id"]
    client.wait_block(f"snapshots/{snapshot_id}", "available")
    with cloud.db.reading() as session:
        operation_id = session.execute(sa.text("SELECT id FROM operations WHERE resource_id = :id"),
                                       {"id": snapshot_id}).scalar_one()
    cloud.db.write(lambda session: session.add(Lock(resource_id=volume, resource_type="volume", kind="snapshot.create",
                                                    operation_id=operation_id)))
    yield volume
    cloud.db.write(lambda session: session.execute(sa.delete(Lock).where(Lock.resource_id == volume)))


@pytest.mark.parametrize("action", [
    {"os-update_readonly_flag": {"readonly": True}}, {"os-reserve": None}, {"os-reset_status": {"status": "error"}},
    {"os-extend": {"new_size": 2}}, {"os-attach": {"instance_uuid": HELD, "mountpoint": "/dev/vdb"}}, "clone"],
    ids=lambda action: action if isinstance(action, str) else next(iter(action)))
def test_requests_wait_for_it(cloud: Cloud, client: Client, held: str, action: object) -> None:
    path, body = f"{VOLUMES}/{held}/action", action
    if action == "clone":
        path, body = VOLUMES, {"volume": {"source_volid": held}}
    with futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, path, body)
        wait_for(lambda: asked.done() or asked.running(), "the request to be sent")
        futures.wait([asked], timeout=0.5)
        assert not asked.done(), asked.result().text
        cloud.db.write(lambda session: session.execute(sa.delete(Lock).where(Lock.resource_id == held)))
        assert asked.result().status_code in (200, 202), asked.result().text
