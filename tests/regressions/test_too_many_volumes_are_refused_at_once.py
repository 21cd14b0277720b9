"""A volume past what the guest has slots for was accepted, failed on the host and was undone. Now it is 403 at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from api.core.server import volume_limit
from hostler import errors, ids
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Host, Server, Zone
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, attach, make_volume, wait_volume

LIMIT = 2
EXCEEDED = f"The maximum allowed number of disk devices ({LIMIT}) to attach to a single instance has been exceeded."


@pytest.fixture
def small_guests(cloud: Cloud) -> Iterator[None]:
    """Hosts whose guests have two slots for volumes, known to the api."""
    drivers = [agent.tools.driver for agent in cloud.agents.values()]
    before = {driver: driver.max_volumes for driver in drivers}
    for driver in drivers:
        driver.max_volumes = LIMIT
    wait_for(lambda: _limits(cloud) == {LIMIT}, "the hosts' reports", timeout_s=30)
    yield
    for driver, limit in before.items():
        driver.max_volumes = limit


def _limits(cloud: Cloud) -> set[int | None]:
    with cloud.db.reading() as session:
        return {connector.get("max_volumes") for connector in session.scalars(sa.select(Host.connector))}


def test_the_volume_past_the_last_slot_is_refused(cloud: Cloud, client: Client, image: str,
                                                  small_guests: None) -> None:
    server_id = client.create_server(image, "two-slots")
    client.wait_server(server_id, "ACTIVE")
    volumes = [make_volume(client) for _ in range(LIMIT + 1)]
    for volume_id in volumes[:LIMIT]:
        assert attach(client, server_id, volume_id).status_code == 200
        wait_volume(client, volume_id, "in-use")
    refused = attach(client, server_id, volumes[LIMIT])
    assert refused.status_code == 403 and EXCEEDED in refused.text
    assert wait_volume(client, volumes[LIMIT], "available")["attachments"] == []
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    for volume_id in volumes:
        wait_volume(client, volume_id, "available")
        assert client.delete(f"{V3}/volumes/{volume_id}").status_code == 202


def test_a_server_that_no_host_has_slots_for_is_refused(client: Client, image: str, small_guests: None) -> None:
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}
    root = {"uuid": image, "source_type": "image", "destination_type": "local", "boot_index": 0}
    refused = client.post("/compute/v2.1/servers", client.server_body(
        image, "three", block_device_mapping_v2=[root, *[dict(blank)] * (LIMIT + 1)]))
    assert refused.status_code == 403 and EXCEEDED in refused.text


def test_the_limit_is_read_on_every_database(database_url: str) -> None:
    db = Database(database_url)
    schema.upgrade(db)
    zone, silent, small = Zone(id=ids.new_id(), name="z"), ids.new_id(), ids.new_id()

    def write(session: orm.Session) -> None:
        session.add(zone)
        session.flush()
        session.add_all([Host(id=silent, name="silent", number=1, zone_id=zone.id),
                         Host(id=small, name="small", number=2, zone_id=zone.id, connector={"max_volumes": LIMIT})])

    db.write(write)
    with db.reading() as session:
        volume_limit.check_boot(session, LIMIT)
        with pytest.raises(errors.Forbidden, match="number of disk devices"):
            volume_limit.check_boot(session, LIMIT + 1)
        volume_limit.check_attach(session, Server(id=ids.new_id(), host_id=silent))
        volume_limit.check_attach(session, Server(id=ids.new_id(), host_id=small))
    db.dispose()
