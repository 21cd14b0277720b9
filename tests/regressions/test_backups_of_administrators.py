"""An administrator's incremental backup of another project's volume built on that project's own.

The project could not delete its backup any more, paid for the other in its quota, and in turn built on what it does not
know of. As in the reference, a backup is its maker's, and builds on its maker's.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import people
from tests.harness.client import Client

VOLUMES, BACKUPS = "/volume/v3/volumes", "/volume/v3/backups"


@pytest.fixture(scope="module")
def member(client: Client) -> Client:
    return people.make_user(client, "owner", people.make_project(client, "owners"))


@pytest.fixture
def volume(member: Client) -> str:
    made = str(member.post(VOLUMES, {"volume": {"size": 1}}).json()["volume"]["id"])
    member.wait_volume(made, "available")
    return made


def _back_up(client: Client, volume: str, **more: Any) -> str:
    answer = client.post(BACKUPS, {"backup": {"volume_id": volume, **more}})
    assert answer.status_code == 202, answer.text
    made = str(answer.json()["backup"]["id"])
    client.wait_block(f"backups/{made}", "available")
    return made


def _refused(client: Client, volume: str) -> None:
    answer = client.post(BACKUPS, {"backup": {"volume_id": volume, "incremental": True}})
    assert answer.status_code == 400 and "No backups available" in answer.text


def test_an_administrators_builds_on_no_other_projects(client: Client, member: Client, volume: str) -> None:
    own = _back_up(member, volume)
    _refused(client, volume)
    assert member.delete(f"{BACKUPS}/{own}").status_code == 202


def test_a_projects_builds_on_no_administrators(client: Client, member: Client, volume: str) -> None:
    theirs = _back_up(client, volume)
    assert client.get(f"{BACKUPS}/{theirs}").json()["backup"]["status"] == "available"
    assert member.get(f"{BACKUPS}/{theirs}").status_code == 404
    _refused(member, volume)
    more = _back_up(client, volume, incremental=True)
    assert client.get(f"{BACKUPS}/{more}").json()["backup"]["is_incremental"] is True
    used = [person.get("/volume/v3/limits").json()["limits"]["absolute"]["totalBackupsUsed"]
            for person in (member, client)]
    assert used[1] >= 2 and theirs not in [one["id"] for one in member.get(BACKUPS).json()["backups"]]
    assert client.delete(f"{BACKUPS}/{more}").status_code == 202


def test_both_chains_grow_beside_each_other(client: Client, member: Client, volume: str) -> None:
    for person in (member, client):
        _back_up(person, volume)
        _back_up(person, volume, incremental=True)
    for person in (member, client):
        [first, second] = person.get(f"{BACKUPS}/detail?volume_id={volume}&sort=created_at:asc").json()["backups"][:2]
        assert (first["is_incremental"], second["is_incremental"]) == (False, True)
        assert first["has_dependent_backups"] is True
