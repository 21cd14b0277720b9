"""os-reset_status refused words that the reference's administrators may say, and an end by force kept an error.

A word that nothing stands behind keeps everything but another word, a deletion by force and the end of an attachment
away. What is being made is not what is said to be: the doctor leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conductor.audit.checks.unfinished_creations import UnfinishedCreations
from conductor.audit.evidence import Inventory
from hostler.resources.volume import states
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

VOLUMES, SNAPSHOTS = "/volume/v3/volumes", "/volume/v3/snapshots"


def _status(client: Client, path: str) -> str:
    return str(next(iter(client.get(path).json().values()))["status"])


def _wait(client: Client, path: str, status: str) -> None:
    wait_for(lambda: _status(client, path) == status, f"{path} {status}")


def _wait_gone(client: Client, path: str) -> None:
    wait_for(lambda: client.get(path).status_code == 404, f"{path} is gone")


def _act(client: Client, path: str, action: str, **argument: Any) -> None:
    answer = client.post(f"{path}/action", {action: argument})
    assert answer.status_code == 202, answer.text


@pytest.fixture
def volume(client: Client) -> Iterator[str]:
    """Yield the path of a volume that is there."""
    made = client.post(VOLUMES, {"volume": {"size": 1}}).json()["volume"]["id"]
    path = f"{VOLUMES}/{made}"
    _wait(client, path, "available")
    yield path
    if client.get(path).status_code != 404:
        _say(client, path, "available")
        client.delete(f"{path}?cascade=true")
    _wait_gone(client, path)


@pytest.fixture
def snapshot(client: Client, volume: str) -> str:
    """Return the path of a snapshot of it."""
    made = client.post(SNAPSHOTS, {"snapshot": {"volume_id": volume.rpartition("/")[2]}}).json()["snapshot"]["id"]
    _wait(client, f"{SNAPSHOTS}/{made}", "available")
    return f"{SNAPSHOTS}/{made}"


def _say(client: Client, path: str, status: str, *, code: int = 202) -> None:
    answer = client.post(f"{path}/action", {"os-reset_status": {"status": status}})
    assert answer.status_code == code, answer.text


def test_each_word_of_volumes_is_shown_found_and_taken_back(client: Client, volume: str) -> None:
    assert {"creating", "deleting", "attaching", "detaching", "reserved", "uploading"} <= states.SETTABLE.keys()
    for word in states.SETTABLE.keys() - {"in-use"}:
        _say(client, volume, word)
        assert _status(client, volume) == word
        found = client.get(f"{VOLUMES}?status={word}&all_tenants=1").json()["volumes"]
        assert volume.rpartition("/")[2] in [one["id"] for one in found]
    _say(client, volume, "creating")
    refused = client.post(f"{volume}/action", {"os-extend": {"new_size": 2}})
    assert refused.status_code == 400 and "creating" in refused.text
    _say(client, volume, "available")


@pytest.mark.parametrize("word", ["creating", "attaching", "maintenance", "deleting"])
def test_whatever_is_said_of_it_it_is_deleted_by_force(client: Client, volume: str, word: str) -> None:
    _say(client, volume, word)
    _act(client, volume, "os-force_delete")
    _wait_gone(client, volume)


@pytest.mark.parametrize("word", ["creating", "deleting", "unmanaging", "backing-up", "restoring"])
def test_words_of_snapshots(client: Client, snapshot: str, word: str) -> None:
    _say(client, snapshot, word.upper())
    assert _status(client, snapshot) == word
    _say(client, snapshot, "available")
    _say(client, snapshot, word)
    _act(client, snapshot, "os-force_delete")
    _wait_gone(client, snapshot)


def test_words_that_nobody_has_are_refused(client: Client, volume: str, snapshot: str) -> None:
    for path, word in (*((volume, word) for word in ("said-creating", "updating", "deleted")),
                       *((snapshot, word) for word in ("said-creating", "attaching", "deleted"))):
        before = client.get(path).json()
        _say(client, path, word, code=400)
        assert client.get(path).json() == before


def test_detaching_is_said_and_taken_back(client: Client, volume: str) -> None:
    refused = client.post(f"{volume}/action", {"os-begin_detaching": {}})
    assert refused.status_code == 400
    _act(client, volume, "os-roll_detaching")
    assert _status(client, volume) == "available"
    _act(client, volume, "os-attach", host_name="there", mountpoint="/dev/vdb")
    for _ in range(2):
        _act(client, volume, "os-begin_detaching")
        assert _status(client, volume) == "detaching"
        _act(client, volume, "os-roll_detaching")
        assert _status(client, volume) == "in-use"
    _act(client, volume, "os-begin_detaching")
    _act(client, volume, "os-detach")
    _wait(client, volume, "available")


def test_an_end_by_force_ends_an_error_too(client: Client, volume: str) -> None:
    _act(client, volume, "os-attach", host_name="there", mountpoint="/dev/vdb")
    _say(client, volume, "error")
    _act(client, volume, "os-force_detach")
    _wait(client, volume, "available")
    assert client.get(volume).json()["volume"]["attachments"] == []


@pytest.mark.parametrize("action", ["os-detach", "os-force_detach"])
def test_what_is_detached_may_be_detached_again(client: Client, volume: str, action: str) -> None:
    """It was refused; a client that repeats, or cleans up, is answered as if it had been first."""
    _act(client, volume, "os-attach", host_name="there", mountpoint="/dev/vdb")
    for _ in range(2):
        _act(client, volume, action)
        _wait(client, volume, "available")
    _say(client, volume, "detaching")
    _act(client, volume, action)
    assert _status(client, volume) == "available"
    refused = client.post(f"{volume}/action", {action: {"attachment_id": "0" * 32}})
    assert refused.status_code == 400 and "no such attachment" in refused.text


def test_a_reservation_in_word_only_is_taken_back(client: Client, volume: str) -> None:
    _say(client, volume, "attaching")
    _act(client, volume, "os-unreserve")
    assert _status(client, volume) == "available"


def test_an_empty_id_is_not_found(client: Client) -> None:
    for path in (f"{VOLUMES}/", f"{SNAPSHOTS}/", "/volume/v3/types/", f"{VOLUMES}//metadata"):
        assert client.get(path).status_code == 404


def test_the_doctor_leaves_words_alone(client: Client, cloud: Cloud, volume: str) -> None:
    _say(client, volume, "creating")
    with cloud.db.reading() as session:
        found = UnfinishedCreations().find(session, Inventory(
            conf=cloud.conf, nodes={}, hosts={}, unseen=(), locked=frozenset(), own_operation=""))
    assert volume.rpartition("/")[2] not in [finding.target.id for finding in found]
    _say(client, volume, "available")
