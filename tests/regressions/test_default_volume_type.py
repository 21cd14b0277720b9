"""`GET /types/default` was 404 on a new cloud: clients expect a type `__DEFAULT__` for volumes that name none."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from hostler import bootstrap
from hostler.db.models import Volume
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud

V = "/volume/v3"


def test_a_new_cloud_has_it_and_volumes_get_it(client: Client) -> None:
    shown = client.get(f"{V}/types/default").json()["volume_type"]
    assert (shown["name"], shown["is_public"]) == ("__DEFAULT__", True)
    made = client.post(f"{V}/volumes", {"volume": {"size": 1}}).json()["volume"]
    assert made["volume_type"] == "__DEFAULT__"
    client.wait_volume(made["id"], "available")


def test_it_cannot_be_deleted(client: Client) -> None:
    shown = client.get(f"{V}/types/default").json()["volume_type"]
    answer = client.delete(f"{V}/types/{shown['id']}")
    assert answer.status_code == 400, answer.text
    assert client.get(f"{V}/types/default").json()["volume_type"]["id"] == shown["id"]


def test_volumes_of_an_older_cloud_get_it_at_the_next_bootstrap(cloud: Cloud, client: Client, tmp_path: Path) -> None:
    made = client.post(f"{V}/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    client.wait_volume(made, "available")
    cloud.db.write(lambda session: session.execute(sa.update(Volume).values(volume_type_id=None)))
    bootstrap.bootstrap(cloud.db, cloud.conf, admin_password=ADMIN_PASSWORD, public_url="http://127.0.0.1",
                        out_dir=tmp_path)
    assert client.get(f"{V}/volumes/{made}").json()["volume"]["volume_type"] == "__DEFAULT__"
