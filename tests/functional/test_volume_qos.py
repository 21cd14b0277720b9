"""QoS specs of volume types reach the hosts of servers that have such volumes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hostler.db.models import VolumeAttachment
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.volume_words import V3, attach, detach, make_volume, wait_volume


def test_a_host_is_told_the_limits_at_each_attachment(cloud: Cloud, client: Client, image: str) -> None:
    """Given a volume of a type with front-end specs, when a server gets it, then its host is told how fast it may be:
    what the specs say at that time."""
    kind = client.post(f"{V3}/types", {"volume_type": {"name": "slow"}}).json()["volume_type"]["id"]
    plain = client.post(f"{V3}/types", {"volume_type": {"name": "plain"}}).json()["volume_type"]["id"]
    made = client.post(f"{V3}/qos-specs", {"qos_specs": {
        "name": "slow", "consumer": "front-end", "total_iops_sec_per_gb": "10", "read_bytes_sec": "1000", "x": "y"}})
    qos = f"{V3}/qos-specs/{made.json()['qos_specs']['id']}"
    assert client.get(f"{qos}/associate?vol_type_id={kind}").status_code == 202
    server = client.create_server(image, "limited")
    client.wait_server(server, "ACTIVE")
    volume = make_volume(client, 2, volume_type="slow")

    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "in-use")
    assert _limits(cloud, volume) == {"total_iops_sec": 20, "read_bytes_sec": 1000}
    retype = client.post(f"{V3}/volumes/{volume}/action", {"os-retype": {"new_type": plain}})
    assert retype.status_code == 400 and "QoS" in retype.text

    client.request("PUT", qos, json={"qos_specs": {"total_iops_sec_per_gb": "30"}}).raise_for_status()
    assert _limits(cloud, volume)["total_iops_sec"] == 20
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")
    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "in-use")
    assert _limits(cloud, volume)["total_iops_sec"] == 60
    client.delete(f"/compute/v2.1/servers/{server}")


def _limits(cloud: Cloud, volume_id: str) -> Any:
    with cloud.db.reading() as session:
        return session.scalars(sa.select(VolumeAttachment.connection).where(
            VolumeAttachment.volume_id == volume_id)).one()["limits"]
