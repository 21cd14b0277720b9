"""Image data over HTTP: in, out, in parts, broken off, refused, staged, and by signature."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon import testing

from tests.harness.image_cloud import BYTES, Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud with nothing in it."""
    made = Cloud(tmp_path)
    yield made
    made.db.dispose()


def test_data_goes_in_and_out(cloud: Cloud) -> None:
    """Given a queued image, when data is uploaded, then it is active, tells digests and sizes, and gives it back."""
    image_id = cloud.create()["id"]
    assert cloud.call("GET", f"/v2/images/{image_id}/file").status_code == 204
    data = b"0123456789" * 300_000
    assert cloud.put(image_id, data).status_code == 204
    shown = cloud.show(image_id)
    assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", len(data), len(data))
    assert shown["checksum"] == hashlib.md5(data).hexdigest()
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", hashlib.sha512(data).hexdigest())
    answer = cloud.call("GET", f"/v2/images/{image_id}/file")
    assert answer.content == data
    assert answer.headers["content-md5"] == shown["checksum"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert cloud.put(image_id, data).status_code == 409


@pytest.mark.parametrize(("asked", "status", "expected", "told"), [
    ("bytes=0-3", 206, b"0123", "bytes 0-3/10"), ("bytes=7-", 206, b"789", "bytes 7-9/10"),
    ("bytes=-2", 206, b"89", "bytes 8-9/10"), ("bytes=5-100", 206, b"56789", "bytes 5-9/10"),
    ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"), ("bytes=10-", 416, None, "bytes */10"),
    ("lines=1-2", 416, None, "bytes */10"), ("bytes=3-1", 416, None, "bytes */10"),
])
def test_ranges(cloud: Cloud, asked: str, status: int, expected: bytes | None, told: str | None) -> None:
    """Given ten bytes, when a range is asked for, then just that comes."""
    answer = cloud.call("GET", f"/v2/images/{cloud.active(b'0123456789')}/file", headers={"Range": asked})
    assert answer.status_code == status
    assert expected is None or answer.content == expected
    assert answer.headers.get("content-range") == told


def test_chunked_uploads_and_told_sizes(cloud: Cloud) -> None:
    """Given data of unknown length, when it is sent in chunks, then it is taken; a told size must be true."""
    for size, status in ((None, 204), ("5", 204), ("4", 400), ("x", 400)):
        image_id = cloud.create()["id"]
        headers = {**BYTES, "Transfer-Encoding": "chunked", **({"X-OpenStack-Image-Size": size} if size else {})}
        environ = testing.create_environ(f"/image/v2/images/{image_id}/file", method="PUT",
                                         headers={**headers, "X-Auth-Token": "alice"})
        environ.pop("CONTENT_LENGTH", None)
        environ["wsgi.input"] = io.BytesIO(b"12345")
        seen = testing.StartResponseMock()
        cloud.client.app(environ, seen)
        assert (seen.status or "").startswith(str(status))
        assert cloud.show(image_id)["status"] == ("active" if status == 204 else "queued")


def test_an_upload_that_breaks_off_leaves_the_image_queued(cloud: Cloud, tmp_path: Path) -> None:
    """Given a client that goes away, when its upload ends early, then there is no file and it may try again."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    image_id = cloud.create()["id"]
    for stream in (io.BytesIO(b"only this"), Broken()):
        environ = testing.create_environ(f"/image/v2/images/{image_id}/file", method="PUT",
                                         headers={**BYTES, "X-Auth-Token": "alice", "Content-Length": "1000"})
        environ["wsgi.input"] = stream
        seen = testing.StartResponseMock()
        cloud.client.app(environ, seen)
        assert (seen.status or "").startswith("400")
        assert cloud.show(image_id)["status"] == "queued"
    assert not [path for path in (tmp_path / "images").rglob("*") if path.is_file() and path.parent.name != "locks"]
    assert cloud.put(image_id, b"all of it").status_code == 204


def test_uploads_that_are_refused(cloud: Cloud) -> None:
    """Given a wrong media type, missing formats, or content that lies: 415, 400, 400, and the image is queued."""
    image_id = cloud.create()["id"]
    path = f"/v2/images/{image_id}/file"
    assert cloud.call("PUT", path, body=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    bare = cloud.call("POST", "/v2/images", json={}).json["id"]
    assert "disk_format" in cloud.put(bare, b"x").json["message"]
    answer = cloud.put(image_id, b"QFI\xfb\0\0\0\3".ljust(65536, b"\0"))
    assert answer.status_code == 400
    assert "qcow2" in answer.json["message"] and image_id in answer.json["message"]
    backed = b"QFI\xfb\0\0\0\3\0\0\0\0\0\0\1\0".ljust(65536, b"\0")
    other = cloud.create(disk_format="qcow2")["id"]
    assert "backing file" in cloud.put(other, backed).json["message"]
    cloud.store.max_bytes = 10
    assert cloud.put(image_id, b"x" * 11).status_code == 413
    assert {cloud.show(name)["status"] for name in (image_id, other, bare)} == {"queued"}


def test_staging_and_importing(cloud: Cloud) -> None:
    """Given staged data, when it is imported, then the image is active; data that is refused is thrown away."""
    image_id = cloud.create()["id"]
    path = f"/v2/images/{image_id}/import"
    ask = {"method": {"name": "glance-direct"}}
    assert cloud.call("POST", path, json=ask).status_code == 409
    assert cloud.put(image_id, b"staged", where="stage").status_code == 204
    assert cloud.show(image_id)["status"] == "uploading"
    assert cloud.put(image_id, b"x").status_code == 409
    for body, status in (({}, 400), ({"method": {"name": "web-download", "uri": "http://x"}}, 400),
                         ({**ask, "stores": ["elsewhere"]}, 409)):
        assert cloud.call("POST", path, json=body).status_code == status
    assert cloud.call("POST", path, json={**ask, "all_stores": True}).status_code == 202
    assert cloud.call("GET", f"/v2/images/{image_id}/file").content == b"staged"
    assert not cloud.store.has_staged(image_id)

    lie = cloud.create(disk_format="qcow2")["id"]
    cloud.put(lie, b"no qcow2", where="stage")
    assert cloud.call("POST", f"/v2/images/{lie}/import", json=ask).status_code == 400
    assert cloud.show(lie)["status"] == "queued" and not cloud.store.has_staged(lie)


def test_data_lives_as_long_as_an_image_has_it(cloud: Cloud) -> None:
    """Given two images with the same data, when both are deleted, then the file goes with the second."""
    first, second = cloud.active(b"same"), cloud.active(b"same", "bob")
    sha256 = hashlib.sha256(b"same").hexdigest()
    cloud.call("DELETE", f"/v2/images/{first}")
    assert cloud.store.has(sha256)
    cloud.call("DELETE", f"/v2/images/{second}", "bob")
    assert not cloud.store.has(sha256)


def test_agents_fetch_content_with_a_signature(cloud: Cloud) -> None:
    """Given a signed path, when anybody asks, then the content or a range comes; without it, 403."""
    cloud.active(b"0123456789")
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    url = cloud.store.signed_url(sha256, int(time.time()) + 60).removeprefix("/image")
    path, _, query = url.partition("?")
    assert cloud.call("GET", path, None, query_string=query).content == b"0123456789"
    part = cloud.call("GET", path, None, query_string=query, headers={"Range": "bytes=4-5"})
    assert (part.status_code, part.content) == (206, b"45")
    for wrong in ("", query + "0", query.replace("expires=", "expires=1"), "expires=x&signature=y"):
        assert cloud.call("GET", path, None, query_string=wrong).status_code == 403
    gone = cloud.store.signed_url("ab" * 32, int(time.time()) + 60).removeprefix("/image")
    path, _, query = gone.partition("?")
    assert cloud.call("GET", path, None, query_string=query).status_code == 404
