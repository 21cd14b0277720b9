"""A snapshot kept back by a transfer without snapshots stayed open to the volume's new owner.

He could revert the volume to it (and read the former owner's data), destroy it with a cascade, hand it on to a third
project, and errors named it to him.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.projects import new_project

V = "/volume/v3"
NEWEST = {"OpenStack-API-Version": "volume 3.71"}


def hand_over(giver: Client, taker: Client, volume_id: str, *, no_snapshots: bool) -> None:
    offer = giver.post(f"{V}/volume-transfers", {"transfer": {"volume_id": volume_id, "no_snapshots": no_snapshots}},
                       headers=NEWEST)
    assert offer.status_code == 202, offer.text
    body = offer.json()["transfer"]
    taken = taker.post(f"{V}/volume-transfers/{body['id']}/accept", {"accept": {"auth_key": body["auth_key"]}},
                       headers=NEWEST)
    assert taken.status_code == 202, taken.text


@pytest.fixture
def left_behind(cloud: Cloud, client: Client) -> tuple[Client, Client, str, str]:
    """The former owner, the new one, the volume, the snapshot that the former one kept."""
    former, new = new_project(cloud, client), new_project(cloud, client)
    volume_id = former.post(f"{V}/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    former.wait_volume(volume_id, "available")
    snapshot_id = former.post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id}}).json()["snapshot"]["id"]
    former.wait_block(f"snapshots/{snapshot_id}", "available")
    hand_over(former, new, volume_id, no_snapshots=True)
    return former, new, volume_id, snapshot_id


def refused(answer: Any, snapshot_id: str) -> None:
    assert answer.status_code == 400, answer.text
    assert snapshot_id not in answer.text


def test_the_new_owner_cannot_revert_to_it(left_behind: tuple[Client, Client, str, str]) -> None:
    _, new, volume_id, snapshot_id = left_behind
    answer = new.post(f"{V}/volumes/{volume_id}/action", {"revert": {"snapshot_id": snapshot_id}}, headers=NEWEST)
    unknown = new.post(f"{V}/volumes/{volume_id}/action", {"revert": {"snapshot_id": volume_id}}, headers=NEWEST)
    assert answer.status_code == unknown.status_code == 400, answer.text
    assert answer.text.replace(snapshot_id, volume_id).partition("req-")[0] == unknown.text.partition("req-")[0]


def test_the_new_owner_cannot_destroy_it(left_behind: tuple[Client, Client, str, str]) -> None:
    former, new, volume_id, snapshot_id = left_behind
    refused(new.delete(f"{V}/volumes/{volume_id}"), snapshot_id)
    refused(new.delete(f"{V}/volumes/{volume_id}?cascade=true"), snapshot_id)
    assert former.get(f"{V}/snapshots/{snapshot_id}").json()["snapshot"]["status"] == "available"
    assert former.delete(f"{V}/snapshots/{snapshot_id}").status_code == 202
    former.wait_block_gone(f"snapshots/{snapshot_id}")
    assert new.delete(f"{V}/volumes/{volume_id}").status_code == 202


def test_it_is_not_handed_on_with_the_volume(cloud: Cloud, client: Client,
                                             left_behind: tuple[Client, Client, str, str]) -> None:
    former, new, volume_id, snapshot_id = left_behind
    third = new_project(cloud, client)
    hand_over(new, third, volume_id, no_snapshots=False)
    assert former.get(f"{V}/snapshots/{snapshot_id}").status_code == 200
    assert third.get(f"{V}/snapshots/{snapshot_id}").status_code == 404


def test_a_volume_made_from_it_has_nothing_of_the_new_owner(left_behind: tuple[Client, Client, str, str]) -> None:
    former, new, volume_id, snapshot_id = left_behind
    secret = {"os-set_image_metadata": {"metadata": {"secret": "the new owner's"}}}
    assert new.post(f"{V}/volumes/{volume_id}/action", secret).status_code == 200
    made = former.post(f"{V}/volumes", {"volume": {"snapshot_id": snapshot_id, "size": 1}}).json()["volume"]["id"]
    shown = former.wait_volume(made, "available")
    assert "volume_image_metadata" not in shown
