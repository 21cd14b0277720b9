"""A member could upload image data without end: sizes counted for nothing, and any number of uploads ran at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon import testing

from hostler.images import claims
from tests.harness.image_cloud import BYTES, Cloud

MIB = 1 << 20


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud in which a project may have 4 MiB of images, and one upload at a time."""
    made = Cloud(tmp_path)
    made.conf.set_override("image_size_total", 4, "quota")
    made.conf.set_override("image_count_uploading", 1, "quota")
    yield made
    made.db.dispose()


def _files(cloud: Cloud) -> int:
    return sum(path.is_file() for path in (Path(cloud.conf.state_path) / "images").glob("??/*")
               if path.parent.name != "locks")


def _chunked(cloud: Cloud, image_id: str, data: io.BytesIO, **headers: str) -> testing.Result:
    """Send a body of unknown length."""
    return cloud.client.simulate_put(
        f"/image/v2/images/{image_id}/file", extras={"wsgi.input": data, "CONTENT_LENGTH": ""},
        headers={**BYTES, "X-Auth-Token": "alice", "Transfer-Encoding": "chunked", **headers})


def test_the_sizes_of_a_project_are_bounded(cloud: Cloud) -> None:
    """Given 3 of 4 MiB used, when 2 more come, then 413 and nothing is kept; once the first is gone they fit."""
    first, second = cloud.active(b"a" * 3 * MIB), cloud.create()["id"]

    refused = cloud.put(second, b"b" * 2 * MIB)

    assert refused.status_code == 413, refused.text
    assert "image_size_total" in refused.json["message"]
    assert (cloud.show(second)["status"], cloud.show(second)["size"], _files(cloud)) == ("queued", None, 1)
    assert cloud.put(cloud.create("bob")["id"], b"b" * 2 * MIB, "bob").status_code == 204
    assert cloud.call("DELETE", f"/v2/images/{first}").status_code == 204
    assert cloud.put(second, b"b" * 2 * MIB).status_code == 204


def test_an_announced_length_is_claimed_before_a_byte_is_read(cloud: Cloud) -> None:
    """Given a full quota, when data is announced as longer than what is left, then it is refused unread."""
    data = io.BytesIO(b"x" * 5 * MIB)

    answer = _chunked(cloud, cloud.create()["id"], data, **{"X-OpenStack-Image-Size": str(5 * MIB)})

    assert (answer.status_code, data.tell()) == (413, 0)


def test_data_of_unknown_length_ends_at_the_quota(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given data without end, when it passes what is left of the quota, then it is cut there and leaves nothing."""
    monkeypatch.setattr(claims, "STEP_BYTES", MIB)
    image_id, data = cloud.create()["id"], io.BytesIO(b"x" * 64 * MIB)

    answer = _chunked(cloud, image_id, data)

    assert answer.status_code == 413
    assert data.tell() <= 7 * MIB
    assert (cloud.show(image_id)["status"], _files(cloud)) == ("queued", 0)
    assert cloud.put(image_id, b"y" * 4 * MIB).status_code == 204, "what was claimed came back"


def test_what_is_left_may_be_less_than_a_step(cloud: Cloud) -> None:
    """Given 4 MiB left, when 3 MiB of unknown length come, then they fit."""
    assert _chunked(cloud, cloud.create()["id"], io.BytesIO(b"x" * 3 * MIB)).status_code == 204


def test_staged_data_counts(cloud: Cloud) -> None:
    """Given staged data, then it counts until it is imported, and once afterwards."""
    staged = cloud.create()["id"]
    assert cloud.put(staged, b"a" * 3 * MIB, where="stage").status_code == 204

    assert cloud.put(cloud.create()["id"], b"b" * 10).status_code == 413, "one upload at a time"
    cloud.conf.set_override("image_count_uploading", 5, "quota")
    assert cloud.put(cloud.create()["id"], b"b" * 2 * MIB).status_code == 413
    assert cloud.call("POST", f"/v2/images/{staged}/import", json={"method": {"name": "glance-direct"}}
                      ).status_code == 202
    assert cloud.put(cloud.create()["id"], b"b" * MIB).status_code == 204
    assert cloud.put(cloud.create()["id"], b"c").status_code == 413
