"""The statements of the Block Storage API besides volumes on PostgreSQL and MariaDB."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.openstack.volume import attachments, backups, messages, snapshots, transfers, types
from hostler.db.models import Operation, Snapshot
from tests.harness import databases
from tests.harness.volume_core import DEMO, USER, Cloud
from tests.harness.volume_rest import STORE, free, prepare, put_volume

LISTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "/snapshots/detail": ("snapshots", snapshots.LISTED.sortable),
    "/backups/detail": ("backups", backups.LISTED.sortable), "/types": ("volume_types", types.LISTED.sortable),
    "/attachments/detail": ("attachments", attachments.LISTED.sortable),
    "/volume-transfers/detail": ("transfers", transfers.LISTED.sortable),
    "/messages": ("messages", messages.LISTED.sortable)}
FILTERS = (
    "/snapshots/detail?status=available", "/snapshots/detail?name=one", "/snapshots/detail?name~=on",
    "/snapshots/detail?metadata={'a': 'b'}", "/snapshots/detail?availability_zone=nova",
    f"/snapshots/detail?volume_id={DEMO}", "/snapshots/detail?consumes_quota=false", "/backups/detail?status~=avail",
    f"/backups/detail?parent_id={DEMO}", "/types?extra_specs={'multiattach': '<is> True'}", "/types?is_public=None",
    f"/attachments?instance_id={DEMO}", "/attachments?status=attaching", "/messages?event_id=VOLUME_CREATE_FAILED",
    "/messages?resource_type=VOLUME", "/snapshots?with_count=true", "/backups?with_count=1&offset=1")


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The face over a real database server, with three of everything."""
    reason = databases.missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    directory = Path(tmp_path_factory.mktemp("database"))
    with databases.running(request.param, directory) as url:
        made = prepare(directory, url)
        made.call("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {"backups": -1, "volumes": -1}}, token="admin")
        for number in range(3):
            fill(made, number)
        yield made
        made.services.db.dispose()


def fill(cloud: Cloud, number: int) -> None:
    """Make one of everything, the ways the API does."""
    volume_id = put_volume(cloud, size_gib=number + 1)
    snapshot = cloud.call("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, "metadata": {"a": "b"}}})
    assert snapshot.status_code == 202, snapshot.text
    free(cloud, volume_id, snapshot.json["snapshot"]["id"])
    cloud.backup(volume_id, store=STORE)
    more = cloud.call("POST", "/backups", {"backup": {"volume_id": volume_id, "incremental": True}})
    assert more.status_code == 202, more.text
    free(cloud, volume_id, more.json["backup"]["id"])
    offer = cloud.call("POST", "/volume-transfers", {"transfer": {"volume_id": volume_id, "no_snapshots": True}})
    assert offer.status_code == 202, offer.text
    reserved = put_volume(cloud)
    made = cloud.call("POST", "/attachments", {"attachment": {"volume_uuid": reserved, "instance_uuid": DEMO}})
    assert made.status_code == 200, made.text
    specs = {"multiattach": "<is> True"}
    kind = cloud.call("POST", "/types", {"volume_type": {"name": f"type{number}", "extra_specs": specs}},
                      token="admin")
    assert kind.status_code == 200, kind.text
    cloud.add(Operation(kind="volume.create", resource_type="volume", resource_id=volume_id, state="failed",
                        project_id=DEMO, user_id=USER, request_id=f"req-{number}"))


@pytest.mark.parametrize("path", FILTERS)
def test_filters(cloud: Cloud, path: str) -> None:
    cloud.get(path, token="admin")
    # Parts of texts and a backup's parent are no filters of members (`GET /resource_filters`).
    answer = cloud.call("GET", path)
    assert answer.status_code == (400 if "~=" in path or "parent_id" in path else 200), answer.text


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, (_, keys) in LISTS.items() for key in sorted(keys)])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_every_sort_key_pages_through_everything_once(cloud: Cloud, path: str, key: str, direction: str) -> None:
    member = LISTS[path][0]
    links = "volume_type_links" if member == "volume_types" else f"{member}_links"  # as published
    seen: list[str] = []
    page = f"{path}?limit=1&sort={key}:{direction}"
    while page:
        body = cloud.get(page)
        seen += [row["id"] for row in body[member]]
        page = body[links][0]["href"].partition("/volume/v3")[2] if links in body else ""
    assert sorted(seen) == sorted(row["id"] for row in cloud.get(path)[member])


def at_once(calls: Sequence[Callable[[], Any]]) -> list[int]:
    """Send requests at the same time; returns their statuses."""
    start = threading.Barrier(len(calls))

    def send(call: Callable[[], Any]) -> int:
        start.wait()
        return int(call().status_code)

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(send, calls))


def test_quota_holds_however_many_ask_at_once(cloud: Cloud) -> None:
    with cloud.services.db.reading() as session:
        used = session.scalar(sa.select(sa.func.count()).select_from(Snapshot).where(
            Snapshot.project_id == DEMO, Snapshot.deleted_at.is_(None)))
    quota = {"quota_set": {"snapshots": used + 3}}
    assert cloud.call("PUT", f"/os-quota-sets/{DEMO}", quota, token="admin").status_code == 200
    bodies = [{"snapshot": {"volume_id": put_volume(cloud)}} for _ in range(8)]
    answers = at_once([lambda body=body: cloud.call("POST", "/snapshots", body) for body in bodies])
    assert answers == [202] * 3 + [413] * 5


def test_one_offer_is_taken_once(cloud: Cloud) -> None:
    made = cloud.call("POST", "/volume-transfers", {"transfer": {"volume_id": put_volume(cloud)}}).json["transfer"]
    body = {"accept": {"auth_key": made["auth_key"]}}
    path = f"/volume-transfers/{made['id']}/accept"
    assert at_once([lambda token=token: cloud.call("POST", path, body, token=token)
                    for token in ("other", "admin", "other", "admin")]) == [202, 404, 404, 404]


def test_a_volume_is_reserved_once(cloud: Cloud) -> None:
    body = {"attachment": {"volume_uuid": put_volume(cloud)}}
    assert at_once([lambda: cloud.call("POST", "/attachments", body)] * 4) == [200, 400, 400, 400]


@pytest.mark.parametrize("_round", range(5))
def test_nobody_builds_on_a_backup_that_goes(cloud: Cloud, _round: int) -> None:
    volume_id = put_volume(cloud)
    parent = cloud.backup(volume_id, store=STORE)
    answers = at_once([
        lambda: cloud.call("DELETE", f"/backups/{parent}"),
        lambda: cloud.call("POST", "/backups", {"backup": {"volume_id": volume_id, "incremental": True}})])
    assert answers == [202, 400]


def test_the_rest(cloud: Cloud) -> None:
    offers = cloud.get("/volume-transfers")["transfers"]
    assert cloud.call("DELETE", f"/volume-transfers/{offers[0]['id']}").status_code == 202
    for path in ("/limits", f"/os-quota-sets/{DEMO}?usage=true", "/extensions"):
        cloud.get(path)
    for path in ("/os-services", "/scheduler-stats/get_pools?detail=true", "/os-hosts", "/os-availability-zone"):
        cloud.get(path, token="admin")
    types = cloud.get("/types?name=type0", token="admin")["volume_types"]
    changed = cloud.call("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {"volumes_type0": 3}}, token="admin")
    assert changed.status_code == 200, changed.text
    assert cloud.call("DELETE", f"/types/{types[0]['id']}", token="admin").status_code == 202
