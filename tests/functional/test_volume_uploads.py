"""What a volume agent sends to the image store under a signature: taken once, refused when it is not what it says."""

from __future__ import annotations

import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon import testing

from hostler import ids
from hostler.images import statuses, uploads
from hostler.images.spec import upload_url
from tests.harness.image_cloud import BYTES, Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud with nothing in it."""
    made = Cloud(tmp_path)
    yield made
    made.db.dispose()


def _send(cloud: Cloud, image_id: str, data: bytes, *, signed_for: str | None = None, **changed: str
          ) -> testing.Result:
    url = urllib.parse.urlsplit(upload_url(cloud.conf, signed_for or image_id))
    query = {**dict(urllib.parse.parse_qsl(url.query)), **changed}
    return cloud.call("PUT", f"/v2/uploads/{image_id}", None, body=data, headers=BYTES,
                      query_string=urllib.parse.urlencode(query))


def test_a_volume_becomes_an_image_and_sending_it_again_changes_nothing(cloud: Cloud) -> None:
    image_id = cloud.create()["id"]
    assert _send(cloud, image_id, b"content").status_code == 204
    shown = cloud.show(image_id)
    assert (shown["status"], shown["size"]) == ("active", 7)
    assert _send(cloud, image_id, b"content").status_code == 204
    assert cloud.show(image_id) == shown
    assert cloud.call("GET", f"/v2/images/{image_id}/file").content == b"content"


def test_the_signature_is_for_this_image_and_for_a_while(cloud: Cloud) -> None:
    image_id, other = cloud.create()["id"], cloud.create()["id"]
    assert _send(cloud, image_id, b"x", signed_for=other).status_code == 403
    assert _send(cloud, image_id, b"x", expires=str(int(time.time()) - 1)).status_code == 403
    assert _send(cloud, image_id, b"x", expires="soon").status_code == 403
    assert _send(cloud, image_id, b"x", signature="é").status_code == 403
    assert cloud.call("PUT", f"/v2/uploads/{image_id}", None, body=b"x", headers=BYTES).status_code == 403
    assert cloud.show(image_id)["status"] == "queued"


def test_content_that_is_not_what_it_says_is_refused_and_leaves_the_image_waiting(cloud: Cloud) -> None:
    image_id = cloud.create(disk_format="qcow2")["id"]
    answer = _send(cloud, image_id, b"no qcow2 at all" * 100)
    assert answer.status_code == 400 and image_id in answer.text
    shown = cloud.show(image_id)
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)


def test_images_that_are_gone_or_wait_for_nothing(cloud: Cloud) -> None:
    assert _send(cloud, ids.new_id(), b"x").status_code == 404
    image_id = cloud.create()["id"]
    uploads.move(cloud.db, image_id, [statuses.QUEUED], "killed")
    assert _send(cloud, image_id, b"x").status_code == 409
    assert cloud.call("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert _send(cloud, image_id, b"x").status_code == 404


def test_who_sends_again_waits_for_the_first_try_to_end(cloud: Cloud) -> None:
    """Given an agent that died while it sent, when it sends again, then it is taken once the first request ended."""
    image_id = cloud.create()["id"]
    assert uploads.move(cloud.db, image_id, [statuses.QUEUED], statuses.SAVING)
    first = threading.Timer(0.5, uploads.move, (cloud.db, image_id, [statuses.SAVING], statuses.QUEUED))
    first.start()
    try:
        assert _send(cloud, image_id, b"content").status_code == 204
    finally:
        first.join()
    assert cloud.show(image_id)["status"] == "active"
