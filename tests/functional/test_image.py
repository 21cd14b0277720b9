"""The Image API as clients see it: status codes, bodies and headers, for owners, members, strangers and admins."""

from __future__ import annotations

import hashlib
import json
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from hostler import ids
from hostler.db.models import Image, QuotaLimit
from tests.harness.image_cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud with nothing in it."""
    made = Cloud(tmp_path)
    yield made
    made.db.dispose()


# --- documents ---------------------------------------------------------------------------------------------------


def test_versions_need_no_token(cloud: Cloud) -> None:
    """Given nobody, when the versions are asked for, then they are told with a path that leads to v2."""
    for path, status in (("", 300), ("/", 300), ("/versions", 200)):
        answer = cloud.call("GET", path, None)
        assert answer.status_code == status
        current = [item for item in answer.json["versions"] if item["status"] == "CURRENT"]
        assert [link["href"] for link in current[0]["links"]] == ["http://falconframework.org/image/v2/"]
    assert cloud.call("GET", "/v2", None).json["version"]["status"] == "CURRENT"


def test_schemas_and_info(cloud: Cloud) -> None:
    """Given a user, when schemas and infos are asked for, then they are there, and tasks are not."""
    for name in ("image", "images", "member", "members"):
        assert cloud.call("GET", f"/v2/schemas/{name}").json["name"] == name
    assert cloud.call("GET", "/v2/schemas/task").status_code == 404
    assert cloud.call("GET", "/v2/info/import").json["import-methods"]["value"] == ["glance-direct"]
    assert cloud.call("GET", "/v2/info/stores").json["stores"][0]["id"] == "file"
    assert cloud.call("GET", "/v2/tasks").status_code == 404


def test_errors_have_a_message_a_code_and_a_title(cloud: Cloud) -> None:
    """Given mistakes, when they are made, then the body has the published shape."""
    answer = cloud.call("GET", f"/v2/images/{ids.new_id()}")
    assert (answer.status_code, answer.json["code"], answer.json["title"]) == (404, "404 Not Found", "Not Found")
    assert "could not be found" in answer.json["message"]
    assert cloud.call("GET", "/v2/images", None).status_code == 401
    assert cloud.call("GET", "/v2/images", "nobody").json["code"] == "401 Unauthorized"
    assert cloud.call("DELETE", "/v2/images").status_code == 405


# --- records -----------------------------------------------------------------------------------------------------


def test_a_new_image_is_printed_whole(cloud: Cloud) -> None:
    """Given attributes, tags and properties, when an image is created, then it is queued and shows them all."""
    given_id = ids.new_id()
    answer = cloud.call("POST", "/v2/images", json={
        "id": given_id, "name": "cirros", "disk_format": "qcow2", "container_format": "bare", "min_disk": 1,
        "min_ram": 64, "tags": ["b", "a", "a"], "protected": False, "os_hidden": False, "visibility": "private",
        "hw_disk_bus": "virtio", "owner_specified.openstack.md5": ""})
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/image/v2/images/{given_id}")
    assert answer.headers["openstack-image-import-methods"] == "glance-direct"
    image = answer.json
    assert image == cloud.show(given_id)
    times = {image.pop("created_at"), image.pop("updated_at")}
    assert all(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ") for moment in times)
    assert image == {
        "id": given_id, "name": "cirros", "status": "queued", "visibility": "private", "protected": False,
        "os_hidden": False, "disk_format": "qcow2", "container_format": "bare", "min_disk": 1, "min_ram": 64,
        "size": None, "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None,
        "owner": cloud.projects["alice"].replace("-", ""), "tags": ["a", "b"], "hw_disk_bus": "virtio",
        "owner_specified.openstack.md5": "", "self": f"/v2/images/{given_id}",
        "file": f"/v2/images/{given_id}/file", "schema": "/v2/schemas/image"}


@pytest.mark.parametrize(("body", "status"), [
    ({"disk_format": "floppy"}, 400), ({"container_format": "box"}, 400), ({"name": "x" * 256}, 400),
    ({"name": 7}, 400), ({"min_disk": -1}, 400), ({"min_ram": "1"}, 400), ({"min_ram": 2**31}, 400),
    ({"protected": "yes"}, 400), ({"visibility": "secret"}, 400), ({"tags": "a"}, 400), ({"tags": ["x" * 256]}, 400),
    ({"tags": [str(number) for number in range(129)]}, 400), ({"id": "no-uuid"}, 400), ({"owner": "bob"}, 400),
    ({"colour": 3}, 400), ({"colour": None}, 400), ({"x" * 256: "long"}, 400), ({'a"b': "quoted"}, 400),
    ([], 400), ("text", 400), ({"status": "active"}, 403), ({"checksum": "0"}, 403), ({"size": 1}, 403),
    ({"locations": []}, 403), ({"visibility": "public"}, 403), ({"owner": ids.new_id()}, 403),
    ({f"p{number}": "" for number in range(129)}, 413), ({}, 201), ({"name": None}, 201),
    ({"visibility": "community"}, 201),
])
def test_what_may_be_created(cloud: Cloud, body: Any, status: int) -> None:
    """Given bodies right and wrong, when they are sent, then each has its status."""
    answer = cloud.call("POST", "/v2/images", json=body)
    assert answer.status_code == status, answer.text


def test_malformed_json_and_taken_ids_are_refused(cloud: Cloud) -> None:
    """Given no JSON, a taken id, a reader: 400, 409, 403."""
    assert cloud.call("POST", "/v2/images", body="{").status_code == 400
    image_id = cloud.create()["id"]
    assert cloud.call("POST", "/v2/images", json={"id": image_id}).status_code == 409
    assert cloud.call("POST", "/v2/images", "alice:reader", json={}).status_code == 403


def test_quota_bounds_images(cloud: Cloud) -> None:
    """Given a quota of one image, when a second is created, then it is refused until the first is deleted."""
    cloud.db.write(lambda session: session.add(
        QuotaLimit(project_id=cloud.projects["alice"], resource="images", hard_limit=1)))
    first = cloud.create()["id"]
    assert cloud.call("POST", "/v2/images", json={}).status_code == 413
    assert cloud.call("DELETE", f"/v2/images/{first}").status_code == 204
    cloud.create()


def test_admins_create_for_others_and_publish(cloud: Cloud) -> None:
    """Given an administrator, when it creates a public image for a project, then everybody sees it."""
    image = cloud.create("admin", visibility="public", owner=cloud.projects["bob"].replace("-", ""))
    assert cloud.show(image["id"], "carol")["owner"] == cloud.projects["bob"].replace("-", "")
    assert cloud.call("POST", "/v2/images", "admin", json={"owner": ids.new_id()}).status_code == 400


def test_changes_are_applied_in_order(cloud: Cloud) -> None:
    """Given an image, when it is patched, then attributes, tags and properties change and the rest stays."""
    image_id = cloud.create(colour="red", tags=["old"])["id"]
    answer = cloud.patch(
        image_id, {"op": "replace", "path": "/name", "value": "new"}, {"op": "add", "path": "/tags", "value": ["a"]},
        {"op": "replace", "path": "/min_disk", "value": 3}, {"op": "add", "path": "/a~1b~0c", "value": "deep"},
        {"op": "replace", "path": "/colour", "value": "blue"}, {"op": "remove", "path": "/colour"},
        {"op": "add", "path": "/protected", "value": True}, {"op": "replace", "path": "/os_hidden", "value": True})
    assert answer.status_code == 200, answer.text
    shown = cloud.show(image_id)
    assert shown == answer.json
    assert (shown["name"], shown["tags"], shown["min_disk"], shown["a/b~c"]) == ("new", ["a"], 3, "deep")
    assert shown["protected"] and shown["os_hidden"] and "colour" not in shown


def test_the_older_dialect_is_understood(cloud: Cloud) -> None:
    """Given a v2.0 patch, when it is sent, then it works; another content type is 415."""
    path = f"/v2/images/{cloud.create()['id']}"
    old = {"Content-Type": "application/openstack-images-v2.0-json-patch"}
    steps = json.dumps([{"replace": "/name", "value": "old way"}, {"add": "/p", "value": "v"}])
    answer = cloud.call("PATCH", path, body=steps, headers=old)
    assert (answer.json["name"], answer.json["p"]) == ("old way", "v")
    both = json.dumps([{"add": "/p", "replace": "/p", "value": ""}])
    assert cloud.call("PATCH", path, body=both, headers=old).status_code == 400
    assert cloud.call("PATCH", path, json=[]).status_code == 415


@pytest.mark.parametrize(("step", "status"), [
    ({"op": "replace", "path": "/id", "value": "x"}, 403), ({"op": "replace", "path": "/status", "value": "x"}, 403),
    ({"op": "replace", "path": "/checksum", "value": "x"}, 403), ({"op": "remove", "path": "/size"}, 403),
    ({"op": "add", "path": "/locations", "value": []}, 403), ({"op": "remove", "path": "/name"}, 403),
    ({"op": "add", "path": "/self", "value": "x"}, 403), ({"op": "replace", "path": "/none", "value": "x"}, 409),
    ({"op": "remove", "path": "/none"}, 409), ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
    ({"op": "replace", "path": "/owner", "value": ids.new_id()}, 403), ({"op": "move", "path": "/name"}, 400),
    ({"op": "replace", "path": "name", "value": "x"}, 400), ({"op": "replace", "path": "/a/b", "value": "x"}, 400),
    ({"op": "replace", "path": "/", "value": "x"}, 400), ({"op": "replace", "path": "/a~2", "value": "x"}, 400),
    ({"op": "replace", "path": 3, "value": "x"}, 400), ({"op": "replace", "path": "/name"}, 400),
    ({"op": "replace", "path": "/min_ram", "value": "x"}, 400), ({"op": "add", "path": "/p", "value": 3}, 400),
    ({"op": "add", "path": "/tags", "value": ["x" * 256]}, 400), ("text", 400), ({}, 400),
])
def test_wrong_changes_change_nothing(cloud: Cloud, step: Any, status: int) -> None:
    """Given a good and a wrong change, when they are sent together, then neither happens."""
    before = cloud.create(tags=["t"])
    answer = cloud.patch(before["id"], {"op": "replace", "path": "/min_ram", "value": 9}, step)
    assert answer.status_code == status, answer.text
    assert cloud.show(before["id"]) == before


def test_formats_are_fixed_once_there_is_data(cloud: Cloud) -> None:
    """Given an active image, when its formats are changed, then it is refused: the data was inspected for them."""
    step = {"op": "replace", "path": "/disk_format", "value": "qcow2"}
    queued, active = str(cloud.create()["id"]), cloud.active()
    assert cloud.patch(queued, step).status_code == 200
    assert cloud.patch(active, step).status_code == 403
    assert cloud.patch(active, {**step, "value": "raw"}).status_code == 200


def test_protected_images_stay(cloud: Cloud) -> None:
    """Given a protected image, when it is deleted, then it is refused until it is protected no more."""
    image_id = cloud.create(protected=True)["id"]
    assert cloud.call("DELETE", f"/v2/images/{image_id}").status_code == 403
    cloud.patch(image_id, {"op": "replace", "path": "/protected", "value": False})
    assert cloud.call("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert cloud.call("DELETE", f"/v2/images/{image_id}").status_code == 404


def test_a_name_or_a_bare_id_in_the_path(cloud: Cloud) -> None:
    """Given a lookup by name, when it is no id, then it is 404 (not 400); an id without hyphens is found."""
    image_id = cloud.create()["id"]
    assert cloud.call("GET", "/v2/images/it").status_code == 404
    assert cloud.show(image_id.replace("-", "").upper())["id"] == image_id


def test_tags_come_and_go(cloud: Cloud) -> None:
    """Given an image, when tags are put and deleted, then it has them; a missing one is 404."""
    path = f"/v2/images/{cloud.create()['id']}"
    for _ in range(2):
        assert cloud.call("PUT", f"{path}/tags/one two").status_code == 204
    assert cloud.call("GET", path).json["tags"] == ["one two"]
    assert cloud.call("PUT", f"{path}/tags/{'x' * 256}").status_code == 400
    assert cloud.call("DELETE", f"{path}/tags/one two").status_code == 204
    assert cloud.call("DELETE", f"{path}/tags/one two").status_code == 404


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "remove", "test", None]),
                           "path": st.one_of(st.text(max_size=6), st.sampled_from(
                               ["/name", "/tags", "/min_disk", "/visibility", "/p", "/q~0", "/id", "/protected"]))},
                          optional={"value": st.recursive(
                              st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
                              lambda inner: st.lists(inner, max_size=2), max_leaves=3)}),
    st.none(), st.integers(), st.text(max_size=3)), max_size=4))
def test_no_patch_is_a_fault_of_ours(cloud: Cloud, steps: list[Any]) -> None:
    """Given any patch, when it is sent, then it is applied whole or refused whole, never a 5xx."""
    before = cloud.create()
    answer = cloud.patch(before["id"], *steps)
    assert answer.status_code in (200, 400, 403, 409), (steps, answer.text)
    assert cloud.show(before["id"]) == (answer.json if answer.status_code == 200 else before)
    cloud.db.write(lambda session: session.execute(sa.update(Image).values(protected=False)))
    assert cloud.call("DELETE", f"/v2/images/{before['id']}").status_code == 204


# --- who sees what -----------------------------------------------------------------------------------------------


def test_private_images_do_not_exist_for_others(cloud: Cloud) -> None:
    """Given a private image, when a stranger does anything to it, then it is not found; an admin may."""
    image_id = cloud.active(visibility="private")
    path = f"/v2/images/{image_id}"
    for method, more in (("GET", ""), ("DELETE", ""), ("GET", "/file"), ("GET", "/members"), ("PUT", "/tags/x"),
                         ("POST", "/actions/deactivate")):
        assert cloud.call(method, path + more, "bob").status_code == 404
    assert cloud.patch(image_id, {"op": "replace", "path": "/name", "value": "x"}, who="bob").status_code == 404
    assert cloud.put(image_id, b"x", "bob").status_code == 404
    assert cloud.names(who="bob") == []
    assert cloud.show(image_id, "admin")["id"] == image_id


def test_visible_images_of_others_may_not_be_changed(cloud: Cloud) -> None:
    """Given a public image, when a stranger or a reader changes it, then it is forbidden."""
    image_id = cloud.active(who="admin", visibility="public")
    own = cloud.active()
    assert cloud.call("GET", f"/v2/images/{image_id}/file", "bob").content == b"data"
    for who, target in (("bob", image_id), ("alice:reader", own)):
        path = f"/v2/images/{target}"
        assert cloud.call("DELETE", path, who).status_code == 403
        assert cloud.patch(target, {"op": "replace", "path": "/name", "value": "x"}, who=who).status_code == 403
        assert cloud.put(target, b"x", who).status_code == 403
        assert cloud.call("PUT", f"{path}/tags/x", who).status_code == 403
        assert cloud.call("POST", f"{path}/actions/deactivate", who).status_code == 403


def test_community_images_are_listed_when_asked_for(cloud: Cloud) -> None:
    """Given a community image, when another project lists, then it is there only on request, but can be shown."""
    image_id = cloud.create(name="ours", visibility="community")["id"]
    assert cloud.names(who="bob") == []
    assert cloud.names("visibility=community", "bob") == cloud.names("visibility=all", "bob") == ["ours"]
    assert cloud.names() == ["ours"]
    assert cloud.show(image_id, "bob")["name"] == "ours"


def test_sharing(cloud: Cloud) -> None:
    """Given a shared image, when a project is made a member, then it sees it, answers, and lists it once accepted."""
    image_id = cloud.create(name="ours")["id"]
    path = f"/v2/images/{image_id}/members"
    bob = cloud.projects["bob"].replace("-", "")
    assert cloud.call("GET", path, "bob").status_code == 404
    added = cloud.call("POST", path, json={"member": bob})
    assert added.status_code == 200
    assert (added.json["member_id"], added.json["status"], added.json["image_id"]) == (bob, "pending", image_id)
    assert cloud.call("POST", path, json={"member": bob}).status_code == 409
    cloud.call("POST", path, json={"member": cloud.projects["carol"]})

    assert cloud.show(image_id, "bob")["name"] == "ours"
    assert cloud.names(who="bob") == []
    assert cloud.names("member_status=pending&visibility=shared", "bob") == ["ours"]
    assert cloud.call("PUT", f"{path}/{bob}", json={"status": "accepted"}).status_code == 403
    assert cloud.call("PUT", f"{path}/{bob}", "carol", json={"status": "accepted"}).status_code == 404
    assert cloud.call("PUT", f"{path}/{bob}", "bob", json={"status": "maybe"}).status_code == 400
    assert cloud.call("PUT", f"{path}/{bob}", "bob", json={"status": "accepted"}).json["status"] == "accepted"
    assert cloud.names(who="bob") == ["ours"]
    assert [member["member_id"] for member in cloud.call("GET", path, "bob").json["members"]] == [bob]
    assert len(cloud.call("GET", path).json["members"]) == 2
    assert cloud.call("GET", f"{path}/{bob}").json["status"] == "accepted"
    assert cloud.call("POST", path, "bob", json={"member": ids.new_id()}).status_code == 403

    assert cloud.call("DELETE", f"{path}/{bob}").status_code == 204
    assert cloud.call("DELETE", f"{path}/{bob}").status_code == 404
    assert cloud.call("GET", f"/v2/images/{image_id}", "bob").status_code == 404
    assert cloud.call("POST", path, json={"member": "no id"}).status_code == 400
    assert cloud.call("POST", path, json={}).status_code == 400


def test_only_shared_images_have_members(cloud: Cloud) -> None:
    """Given a private image, when a member is added, then it is forbidden."""
    path = f"/v2/images/{cloud.create(visibility='private')['id']}/members"
    assert cloud.call("POST", path, json={"member": ids.new_id()}).status_code == 403
    assert cloud.call("GET", path).status_code == 403


def test_deactivated_images_are_not_downloaded(cloud: Cloud) -> None:
    """Given an image, when it is deactivated, then its owner cannot download it, an admin can, until reactivated."""
    image_id = cloud.active()
    path = f"/v2/images/{image_id}"
    assert cloud.call("POST", f"/v2/images/{cloud.create()['id']}/actions/deactivate").status_code == 403
    for _ in range(2):
        assert cloud.call("POST", f"{path}/actions/deactivate").status_code == 204
    assert cloud.show(image_id)["status"] == "deactivated"
    assert cloud.call("GET", f"{path}/file").status_code == 403
    assert cloud.call("GET", f"{path}/file", "admin").status_code == 200
    assert cloud.call("POST", f"{path}/actions/reactivate").status_code == 204
    assert cloud.call("GET", f"{path}/file").status_code == 200
    assert cloud.call("POST", f"{path}/actions/explode").status_code == 404


# --- lists -------------------------------------------------------------------------------------------------------


def test_filters(cloud: Cloud) -> None:
    """Given different images, when they are filtered, then those that fit are listed."""
    small = cloud.active(b"s" * 10, name="small", tags=["a", "b"], os_type="linux")
    large = cloud.active(b"l" * 1000, name="large, really", tags=["b"], protected=True, min_ram=512)
    cloud.create(name="hidden", os_hidden=True)
    cloud.create(name="queued", disk_format="qcow2", visibility="private")
    created = cloud.show(small)["created_at"]
    owner = cloud.projects["alice"].replace("-", "")
    expected = {
        "name=small": ["small"], 'name=in:small,"large, really"': ["large, really", "small"], "name=none": [],
        "status=active": ["large, really", "small"], "status=in:queued,saving": ["queued"],
        "visibility=private": ["queued"], "visibility=shared": ["large, really", "small"], "visibility=public": [],
        f"owner={owner}": ["large, really", "queued", "small"], "owner=nobody": [], "disk_format=qcow2": ["queued"],
        "container_format=in:bare,ovf": ["large, really", "queued", "small"], "size_min=11": ["large, really"],
        "size_max=10": ["small"], "tag=b": ["large, really", "small"], "tag=a&tag=b": ["small"],
        f"id=in:{small},{large}": ["large, really", "small"], f"id={small}": ["small"], "os_hidden=true": ["hidden"],
        "protected=true": ["large, really"], "min_ram=512": ["large, really"], "os_type=linux": ["small"],
        "os_type=windows": [], f"created_at=gte:{created}": ["large, really", "queued", "small"],
        f"created_at=lt:{created}": [], "updated_at=gt:2000-01-01T00:00:00": ["large, really", "queued", "small"],
        'a"b=c': [], "checksum=" + hashlib.md5(b"s" * 10).hexdigest(): ["small"],
    }
    for query, names in expected.items():
        assert sorted(cloud.names(query)) == names, query


@pytest.mark.parametrize("query", [
    "size_min=x", "size_max=-1", "name=%00", "p%00=x",
    "size_min=99999999999999999999", "visibility=none", "protected=2", "os_hidden=x",
    "created_at=yesterday", "created_at=gt:9999-12-31T23:59:59", 'name=in:"a', "limit=x", "limit=-1", "marker=x",
    "sort=colour", "sort=name:up", "sort_key=colour", "sort_key=name&sort_dir=x", "sort=name&sort_key=name",
    "member_status=x", "sort_key=name&sort_dir=asc&sort_dir=asc",
])
def test_queries_that_cannot_be_understood(cloud: Cloud, query: str) -> None:
    """Given a wrong query, when it is sent, then it is 400."""
    assert cloud.call("GET", "/v2/images", query_string=query).status_code == 400


def test_sorting_and_pages(cloud: Cloud) -> None:
    """Given images, some without a size, when they are listed page by page in any order, then each comes once."""
    for number in range(5):
        cloud.create(name=f"n{number % 2}")
        cloud.active(bytes(number + 1), name=f"n{number % 2}")
    for query in ("", "sort=name:asc,size:desc", "sort=size:asc", "sort=size:desc", "sort_key=name&sort_dir=asc",
                  "sort_key=name&sort_key=id&sort_dir=desc&sort_dir=asc", "sort_key=updated_at", "sort=disk_format"):
        whole = cloud.call("GET", "/v2/images", query_string=query).json["images"]
        assert len(whole) == 10
        paged: list[Any] = []
        path: str | None = "/v2/images?" + "&".join(part for part in (query, "limit=3") if part)
        while path:
            answer = cloud.client.simulate_get("/image" + path, headers={"X-Auth-Token": "alice"}).json
            assert answer["first"].startswith("/v2/images?") and "marker" not in answer["first"]
            paged += answer["images"]
            path = answer.get("next")
        assert paged == whole, query
    by_size = cloud.call("GET", "/v2/images", query_string="sort=name:asc,size:desc").json["images"]
    key = [(image["name"], -(image["size"] or 0)) for image in by_size]
    assert key == sorted(key)
    assert cloud.names("limit=0") == []


def test_a_list_is_a_fixed_number_of_statements(cloud: Cloud) -> None:
    """Given more images, when a page with a marker is listed, then no more statements are sent."""
    counts = []
    for _ in range(2):
        for _ in range(5):
            marker = cloud.create(tags=["t"])["id"]
        seen: list[str] = []
        listener = types.SimpleNamespace(note=lambda *args, seen=seen: seen.append(args[2]))
        event.listen(cloud.db.engine, "before_cursor_execute", listener.note)
        cloud.call("GET", "/v2/images", query_string=f"marker={marker}")
        event.remove(cloud.db.engine, "before_cursor_execute", listener.note)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 3
