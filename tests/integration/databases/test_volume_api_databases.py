"""The volumes' statements on PostgreSQL and MariaDB, where SQLite's leniency does not help."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from api.openstack.volume.volumes import LISTED
from hostler import ids
from hostler.db.models import QuotaLimit
from hostler.resources import quota
from tests.harness import databases
from tests.harness.volume_core import DEMO, IMAGE, Cloud, build

# A value for each filter that takes no text.
VALUES = {"size": "1", "bootable": "true", "multiattach": "0", "metadata": "{'a': 'b'}",
          "glance_metadata": "{'os_type': 'linux'}", "created_at": "gt:2000-01-01T00:00:00Z",
          "updated_at": "lt:2000-01-01T00:00:00Z"}


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The face over a real database server."""
    reason = databases.missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    directory = Path(tmp_path_factory.mktemp("database"))
    with databases.running(request.param, directory) as url:
        made = build(directory, url=url)
        yield made
        made.services.db.dispose()


def test_every_filter(cloud: Cloud) -> None:
    volume = cloud.ready(name="alpha", metadata={"a": "b"}, imageRef=IMAGE, size=3)
    cloud.attach(volume)
    for name in LISTED.filters:
        cloud.get(f"/volumes/detail?{name}={VALUES.get(name, 'x')}&with_count=true", token="admin")
    for query in ("metadata={'a': 'b'}", "glance_metadata={'os_type': 'linux'}", "status=in-use", "bootable=true",
                  "name~=lph", "created_at=gt:2000-01-01"):
        found = cloud.get(f"/volumes/detail?name=alpha&{query}", token="admin")["volumes"]
        assert [row["id"] for row in found] == [volume]
    assert cloud.get("/volumes/detail?name=alpha&metadata={'a': 'c'}")["volumes"] == []
    assert cloud.get("/volumes/summary?name=alpha")["volume-summary"]["total_size"] == 3


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("key", sorted(LISTED.sortable))
def test_every_sort_key_pages_through_everything_once(cloud: Cloud, key: str, direction: str) -> None:
    while len(cloud.get("/volumes")["volumes"]) < 4:
        cloud.create(description=None, size=2)
    seen: list[str] = []
    path = f"/volumes?limit=1&sort={key}:{direction}"
    while path:
        body = cloud.get(path)
        seen += [found["id"] for found in body["volumes"]]
        path = body["volumes_links"][0]["href"].partition("/volume/v3")[2] if "volumes_links" in body else ""
    assert seen == [found["id"] for found in cloud.get(f"/volumes?sort={key}:{direction}")["volumes"]]


def test_changes_and_actions(cloud: Cloud) -> None:
    cloud.volume_type("fast")
    volume = cloud.ready(volume_type="fast")
    snapshot = cloud.snapshot(volume)
    cloud.backup(volume)
    assert cloud.call("PUT", f"/volumes/{volume}", {"volume": {"name": "é"}}).json["volume"]["name"] == "é"
    assert cloud.call("PUT", f"/volumes/{volume}/metadata", {"metadata": {"k": "v"}}).status_code == 200
    for action, argument in (("os-reserve", None), ("os-unreserve", None), ("os-extend", {"new_size": 2})):
        assert cloud.act(volume, action, argument).status_code == 202
    cloud.settle(volume)
    for body in ({"snapshot_id": snapshot}, {"source_volid": volume}, {"imageRef": IMAGE}):
        assert cloud.create(size=None, **body)["status"] == "creating"
    with cloud.services.db.reading() as session:
        used = quota.usage(session, DEMO, [*quota.VOLUME_RESOURCES, "volumes_fast", "gigabytes_fast",
                                           "snapshots_fast"])
    # The volume claims what it grows to; its copies have the sizes of snapshot and volume as they are.
    assert {name: used[name] for name in ("volumes_fast", "gigabytes_fast", "snapshots_fast", "backups")} == {
        "volumes_fast": 3, "gigabytes_fast": 5, "snapshots_fast": 1, "backups": 1}


def test_requests_at_once_never_pass_a_quota(cloud: Cloud) -> None:
    with cloud.services.db.reading() as session:
        used = quota.usage(session, DEMO, ["volumes"])["volumes"]
    cloud.add(QuotaLimit(project_id=DEMO, resource="volumes", hard_limit=used + 5))
    source = cloud.ready(size=1)
    with futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: cloud.call("POST", "/volumes", {"volume": {
            "size": 1, **({"source_volid": source} if number % 2 else {})}}).status_code, range(16)))
    assert sorted(answers) == [202] * 4 + [413] * 12
    assert cloud.call("DELETE", f"/volumes/{ids.new_id()}").status_code == 404
