"""The Compute API's tree of zones with storage nodes in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler import clock, ids
from hostler.db.models import Backend, Service, VolumeNode, Zone
from tests.harness.compute_rest import Cloud, build


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[Cloud]:
    """A host in zone nova with a node that lives, and zone store with a node that is silent and disabled."""
    made = build(tmp_path)

    def work(session: sa.orm.Session) -> None:
        nova = session.scalar(sa.select(Zone.id).where(Zone.name == "nova"))
        store = Zone(id=ids.new_id(), name="store")
        session.add(store)
        session.flush()
        long_ago = clock.utcnow() - dt.timedelta(hours=1)
        for name, zone_id, seen_at, enabled in (("node1", nova, clock.utcnow(), True),
                                                ("node2", store.id, long_ago, False)):
            node = VolumeNode(id=ids.new_id(), name=name, zone_id=zone_id, last_seen_at=seen_at, enabled=enabled)
            session.add(node)
            session.flush()
            session.add(Backend(name="local", node_id=node.id, driver="fake"))
        session.add(Service(number=1, binary="nova-conductor", host="control"))

    made.services.db.write(work)
    yield made
    made.services.db.dispose()


@pytest.mark.contract("V-AZLIST")
def test_the_tree(compute: Cloud) -> None:
    zones = {row["zoneName"]: row for row in compute.get("/os-availability-zone/detail", token="admin")[
        "availabilityZoneInfo"]}
    assert zones.keys() == {"internal", "nova", "store"}
    alive = zones["nova"]["hosts"]["node1@local"]["cinder-volume"]
    assert (alive["active"], alive["available"]) == (True, True) and alive["updated_at"]
    silent = zones["store"]["hosts"]["node2@local"]["cinder-volume"]
    assert (silent["active"], silent["available"]) == (False, False)
    assert zones["internal"]["hosts"]["control"].keys() == {"nova-conductor"}
    # Servers cannot go where only storage is.
    assert zones["nova"]["zoneState"] == {"available": True} and zones["store"]["zoneState"] == {"available": False}
    assert compute.get("/os-availability-zone")["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]
