"""The Compute API's statements on PostgreSQL and MariaDB, where SQLite's leniency does not help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.openstack.compute import flavors
from api.openstack.compute.server.query import SORTABLE
from tests.harness import databases
from tests.harness.compute_rest import DEMO, IMAGE, Cloud, build, make_volume
from tests.unit.api.openstack.compute.server import test_block_device_body as block_devices
from tests.unit.api.openstack.compute.server import test_volumes as volume_attachments

QUERIES = (
    "name=^web.*", "status=ACTIVE", "status=BUILD", "task_state=scheduling", "power_state=1", "ip=10.0", "ip6=fe",
    "tags=blue", "not-tags-any=blue,red", "flavor=1", f"image={IMAGE}", "availability_zone=nova", "locked=false",
    "config_drive=False", "changes-since=2000-01-01T00:00:00Z", "launched_at=2000-01-01T00:00:00", "deleted=False",
    "description=words", "host=host-1", "node=host-1.local", "key_name=k", "access_ip_v4=192", "locked_by=owner")


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


def test_servers_are_created_listed_and_changed(cloud: Cloud) -> None:
    server_id = cloud.running("web-1", tags=["blue"], metadata={"a": "b"})
    cloud.boot("db-1")
    for query in QUERIES:
        for token in ("member", "admin"):
            cloud.get(f"/servers/detail?{query}", token=token)
    found = cloud.get("/servers/detail?name=web&flavor=1&tags=blue&status=ACTIVE")["servers"]
    assert [server["id"] for server in found] == [server_id]
    for action in ("lock", "unlock", "os-stop"):
        assert cloud.act(server_id, action).status_code == 202
    for part in ("metadata", "tags", "ips", "os-security-groups", "os-interface", "os-instance-actions"):
        cloud.get(f"/servers/{server_id}/{part}")
    request_id = cloud.operations(server_id)[0].request_id
    cloud.get(f"/servers/{server_id}/os-instance-actions/{request_id}")
    assert cloud.call("DELETE", f"/servers/{server_id}").status_code == 204


@pytest.mark.parametrize("key", sorted(SORTABLE))
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_every_sort_key_pages_through_everything_once(cloud: Cloud, key: str, direction: str) -> None:
    while len(cloud.get("/servers")["servers"]) < 4:
        cloud.boot("more")
    seen: list[str] = []
    path = f"/servers?limit=1&sort_key={key}&sort_dir={direction}"
    while path:
        body = cloud.get(path)
        seen += [server["id"] for server in body["servers"]]
        path = body["servers_links"][0]["href"].partition("/compute/v2.1")[2] if "servers_links" in body else ""
    assert sorted(seen) == sorted(server["id"] for server in cloud.get("/servers")["servers"])


@pytest.mark.parametrize("key", sorted(flavors.SORTABLE))
def test_every_flavor_sort_key_pages(cloud: Cloud, key: str) -> None:
    cloud.call("POST", "/flavors", {"flavor": {"name": "two", "id": "2", "ram": 1, "vcpus": 1, "disk": 1}},
               token="admin")
    first = cloud.get(f"/flavors?limit=1&sort_key={key}")
    second = cloud.get(f"/flavors?sort_key={key}&marker={first['flavors'][0]['id']}")
    assert sorted(flavor["id"] for page in (first, second) for flavor in page["flavors"]) == ["1", "2"]


def test_the_rest(cloud: Cloud) -> None:
    group = cloud.call("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}})
    assert group.status_code == 200
    for path in ("/os-server-groups", "/limits", f"/os-quota-sets/{DEMO}/detail", "/flavors/detail",
                 "/flavors?sort_key=description", "/os-keypairs", f"/os-simple-tenant-usage/{DEMO}"):
        cloud.get(path)
    answer = cloud.call("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {"cores": 99}}, token="admin")
    assert answer.json["quota_set"]["cores"] == 99
    key = cloud.call("POST", "/os-keypairs", {"keypair": {"name": "k"}}, version="2.1")
    assert key.status_code == 200
    specs = cloud.call("POST", "/flavors/1/os-extra_specs", {"extra_specs": {"a": "b"}}, token="admin")
    assert specs.status_code == 200


def test_volumes_of_servers(cloud: Cloud) -> None:
    old = make_volume(cloud)
    answer = block_devices.boot(cloud, {
        "source_type": "image", "destination_type": "volume", "uuid": IMAGE, "boot_index": 0, "volume_size": 1},
        {"source_type": "volume", "uuid": old})
    assert answer.status_code == 202, answer.text
    server_id = answer.json["server"]["id"]
    shown = cloud.get(f"/servers/{server_id}")["server"]["os-extended-volumes:volumes_attached"]
    assert [one["id"] for one in shown][1:] == [old] and len(shown) == 2
    holder, volume_id = cloud.running("holder"), make_volume(cloud)
    assert volume_attachments.attach(cloud, holder, volume_id).status_code == 200
    volume_attachments.end(cloud, holder)
    for path in ("", f"/{volume_id}"):
        cloud.get(f"/servers/{holder}/os-volume_attachments{path}")
    assert cloud.call("DELETE", f"/servers/{holder}/os-volume_attachments/{volume_id}").status_code == 202
