"""Metadata definitions through the unmodified python-glanceclient, and over plain HTTP where it does not reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.people import make_project, make_user

glanceclient = pytest.importorskip("glanceclient", reason="python-glanceclient is not installed")

BASE = "/image/v2/metadefs/namespaces"
CPU = {"name": "hw_cpus", "title": "CPUs", "type": "integer", "minimum": 1, "operators": ["<or>"]}


@pytest.fixture
def glance(cloud: Cloud, client: Client) -> Any:
    token = client.get("/image/v2/images").request.headers["X-Auth-Token"]
    return glanceclient.Client("2", endpoint=f"{cloud.url}/image", token=token)


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    made = client.post(BASE, {
        "namespace": "OS::Test::Hardware", "display_name": "Hardware", "visibility": "public",
        "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "hw:"}, {"name": "OS::Glance::Image"}],
        "properties": {"cpus": {"title": "CPUs", "type": "integer"}},
        "objects": [{"name": "Limits", "required": ["max"],
                     "properties": {"max": {"title": "Most", "type": "string"}}}],
        "tags": [{"name": "small"}]})
    assert made.status_code == 201, made.text
    yield "OS::Test::Hardware"
    client.delete(f"{BASE}/OS::Test::Hardware")


def test_the_life_of_a_namespace(glance: Any) -> None:
    glance.metadefs_namespace.create(namespace="one", display_name="One", protected=True)
    assert [row.namespace for row in glance.metadefs_namespace.list()] == ["one"]
    with pytest.raises(glanceclient.exc.HTTPForbidden, match="protected"):
        glance.metadefs_namespace.delete("one")
    with pytest.raises(glanceclient.exc.HTTPConflict, match="already exists"):
        glance.metadefs_namespace.create(namespace="one")
    changed = glance.metadefs_namespace.update("one", namespace="two", protected=False, visibility="public")
    assert (changed.namespace, changed.protected, changed.visibility) == ("two", False, "public")
    assert changed.display_name == "One", "the client sends what there was"
    glance.metadefs_namespace.delete("two")
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        glance.metadefs_namespace.get("two")


def test_what_is_in_a_namespace(glance: Any, client: Client, namespace: str) -> None:
    assert {row.name for row in glance.metadefs_resource_type.list()} >= {"OS::Glance::Image", "OS::Nova::Server"}
    made = glance.metadefs_property.create(namespace, **CPU)
    assert (made.name, made.minimum) == ("hw_cpus", 1)
    assert {row.name for row in glance.metadefs_property.list(namespace)} == {"cpus", "hw_cpus"}
    glance.metadefs_property.update(namespace, "hw_cpus", name="cores", title="Cores", type="integer")
    assert glance.metadefs_property.get(namespace, "cores").title == "Cores"
    glance.metadefs_property.delete(namespace, "cores")
    glance.metadefs_object.create(namespace, name="Other", description="d")
    assert {row.name for row in glance.metadefs_object.list(namespace)} == {"Limits", "Other"}
    glance.metadefs_object.delete_all(namespace)
    assert not list(glance.metadefs_object.list(namespace))
    assert len(list(glance.metadefs_tag.create_multiple(namespace, tags=["a", "b"]))) == 2
    assert {row.name for row in glance.metadefs_tag.list(namespace)} == {"a", "b"}, "they replace what was there"
    appended = client.request("POST", f"{BASE}/{namespace}/tags", json={"tags": [{"name": "c"}]},
                              headers={"X-Openstack-Append": "True"})  # the client cannot send it
    assert appended.status_code == 201, appended.text
    glance.metadefs_tag.create(namespace, "d")
    glance.metadefs_tag.update(namespace, "d", name="e")
    assert {row.name for row in glance.metadefs_tag.list(namespace)} == {"a", "b", "c", "e"}
    glance.metadefs_resource_type.deassociate(namespace, "OS::Glance::Image")
    assert [row.name for row in glance.metadefs_resource_type.get(namespace)] == ["OS::Nova::Flavor"]


def test_names_for_a_resource_type(client: Client, namespace: str) -> None:
    shown = client.get(f"{BASE}/{namespace}?resource_type=OS::Nova::Flavor").json()
    assert list(shown["properties"]) == ["hw:cpus"]
    assert (shown["objects"][0]["name"], shown["tags"]) == ("Limits", [{"name": "small"}])
    path = f"{BASE}/{namespace}/properties"
    assert client.get(f"{path}/hw:cpus?resource_type=OS::Nova::Flavor").json()["name"] == "cpus"
    assert client.get(f"{path}/cpus?resource_type=OS::Nova::Flavor").status_code == 404


def test_lists(client: Client, namespace: str) -> None:
    for name in ("x", "y"):
        client.post(BASE, {"namespace": name})
    first = client.get(f"{BASE}?limit=2&sort_key=namespace&sort_dir=asc").json()
    assert [row["namespace"] for row in first["namespaces"]] == [namespace, "x"]
    rest = client.get(f"/image{first['next']}").json()
    assert [row["namespace"] for row in rest["namespaces"]] == ["y"]
    assert len(client.get(f"{BASE}?visibility=private").json()["namespaces"]) == 2
    described = client.get(f"{BASE}?resource_types=OS::Nova::Flavor,OS::Nova::Server").json()["namespaces"]
    assert [row["namespace"] for row in described] == [namespace]
    for name in ("x", "y"):
        client.delete(f"{BASE}/{name}")


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"namespace": ".."}, 400), ({"namespace": "a/b"}, 400), ({"namespace": "n" * 81}, 400),
    ({"namespace": "n", "visibility": "shared"}, 400), ({"namespace": "n", "owner": "nobody"}, 400),
    ({"namespace": "n", "self": "/x"}, 403), ({"namespace": "n", "properties": {"p": {"type": "integer"}}}, 400),
    ({"namespace": "n", "properties": {"p": {"title": "t", "type": "date"}}}, 400),
    ({"namespace": "n", "tags": [{"name": "t"}, {"name": "t"}]}, 409), ({"namespace": "n", "more": 1}, 400)])
def test_bad_bodies_change_nothing(client: Client, body: dict[str, Any], status: int) -> None:
    answer = client.post(BASE, body)
    assert answer.status_code == status, answer.text
    assert client.get(f"{BASE}/n").status_code == 404


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "sort_key=owner", "sort_dir=up", "visibility=all"])
def test_bad_queries(client: Client, query: str) -> None:
    assert client.get(f"{BASE}?{query}").status_code == 400


def test_members_read_what_is_public_and_write_nothing(client: Client, namespace: str) -> None:
    client.post(BASE, {"namespace": "hidden", "tags": [{"name": "t"}]})
    member = make_user(client, "reads-definitions", make_project(client, "definitions"))
    assert [row["namespace"] for row in member.get(BASE).json()["namespaces"]] == [namespace]
    assert member.get(f"{BASE}/hidden").status_code == 404
    assert member.get(f"{BASE}/hidden/tags/t").status_code == 404
    assert member.get(f"{BASE}/{namespace}/tags").status_code == 200
    assert member.post(BASE, {"namespace": "mine"}).status_code == 403
    assert member.delete(f"{BASE}/{namespace}/tags/small").status_code == 403
    assert member.delete(f"{BASE}/{namespace}").status_code == 403
    assert client.get(f"{BASE}/{namespace}/tags/small").status_code == 200
    client.delete(f"{BASE}/hidden")


def test_published_schemas(client: Client) -> None:
    for name in ("namespace", "namespaces", "property", "properties", "object", "objects", "tag", "tags",
                 "resource_type", "resource_types"):
        assert client.get(f"/image/v2/schemas/metadefs/{name}").json()["properties"]
    assert client.get("/image/v2/schemas/metadefs/none").status_code == 404
