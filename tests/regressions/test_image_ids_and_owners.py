"""Who an image belongs to, and that its id never names another one.

Images without an owner belonged to every token without a project; after `db purge` the id of a deleted image could be
given to a new one; a reader answered for its project when an image was shared; properties had no limit together.
"""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import pytest

from hostler import clock
from hostler.context import RequestContext
from hostler.db import purge
from tests.harness.image_cloud import Cloud, FakeIdentity


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    known = FakeIdentity.authenticate_token

    def authenticate(self: FakeIdentity, token: str, *, request_id: str) -> RequestContext:
        if token == "unscoped":
            return RequestContext(user_id=str(uuid.uuid4()), project_id=None, roles=["member", "reader"],
                                  request_id=request_id)
        return known(self, token, request_id=request_id)

    monkeypatch.setattr(FakeIdentity, "authenticate_token", authenticate)
    return Cloud(tmp_path)


def test_nobody_owns_what_has_no_owner(images: Cloud) -> None:
    """Given an image without an owner, when a token without a project asks, then it sees and changes nothing."""
    image = images.create("admin", name="ownerless", visibility="private")["id"]
    assert images.patch(image, {"op": "replace", "path": "/owner", "value": None}, who="admin").status_code == 200
    assert images.show(image, "admin")["owner"] is None
    assert images.names(who="unscoped") == [] and images.names("visibility=private", who="unscoped") == []
    for method in ("GET", "DELETE"):
        assert images.call(method, f"/v2/images/{image}", "unscoped").status_code == 404
    assert images.put(image, b"x", "unscoped").status_code == 404
    assert images.call("POST", "/v2/images", "unscoped", json={"name": "x"}).status_code == 403
    public = {"op": "replace", "path": "/visibility", "value": "public"}
    assert images.patch(image, public, who="admin").status_code == 200
    assert images.names(who="unscoped") == ["ownerless"]
    assert images.call("DELETE", f"/v2/images/{image}", "unscoped").status_code == 403
    assert images.patch(image, {"op": "replace", "path": "/name", "value": "mine"}, who="unscoped").status_code == 403


def test_an_id_names_one_image_for_ever(images: Cloud) -> None:
    """Given a deleted image whose record was purged, when somebody makes one of the same id, then it is refused."""
    image = images.create(visibility="shared")["id"]
    assert images.call("DELETE", f"/v2/images/{image}").status_code == 204
    purge.purge(images.db, clock.utcnow() + dt.timedelta(days=1))
    assert images.call("POST", "/v2/images", "bob", json={"id": image}).status_code == 409
    assert images.call("GET", f"/v2/images/{image}").status_code == 404


def test_a_reader_does_not_answer_for_its_project(images: Cloud) -> None:
    image, bob = images.create()["id"], images.projects["bob"]
    assert images.call("POST", f"/v2/images/{image}/members", json={"member": bob}).status_code == 200
    path = f"/v2/images/{image}/members/{bob}"
    assert images.call("PUT", path, "bob:reader", json={"status": "accepted"}).status_code == 403
    assert images.call("PUT", path, "bob", json={"status": "accepted"}).status_code == 200


def test_reserved_names_are_refused(images: Cloud) -> None:
    for name in ("os_glance_import_task", "os_glance_x", "os_glance"):
        assert images.call("POST", "/v2/images", json={name: "x"}).status_code == 403
        image = images.create()["id"]
        assert images.patch(image, {"op": "add", "path": f"/{name}", "value": "x"}).status_code == 403
    assert images.call("POST", "/v2/images", json={"stores": "x"}).status_code == 403


def test_an_image_with_data_names_its_store(images: Cloud) -> None:
    made = images.call("POST", "/v2/images", json={"name": "x", "disk_format": "raw", "container_format": "bare"})
    assert "stores" not in made.json and made.headers["OpenStack-image-store-ids"] == "file"
    assert images.show(images.active())["stores"] == "file"
    (store,) = images.call("GET", "/v2/info/stores").json["stores"]
    assert store["id"] == "file"


def test_properties_have_a_limit_together(images: Cloud) -> None:
    image = images.create()["id"]
    answers = [images.patch(image, {"op": "add", "path": f"/p{number}", "value": "x" * 65000}).status_code
               for number in range(4)]
    assert answers == [200, 200, 413, 413]
