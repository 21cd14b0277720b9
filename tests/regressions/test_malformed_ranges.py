"""A malformed `Range` of an image's data was answered with 400, where the reference answers 416."""

from __future__ import annotations

import pytest

from tests.harness.client import Client


@pytest.fixture(scope="module")
def ten_bytes(client: Client) -> str:
    return client.make_image(data=b"0123456789")


@pytest.mark.parametrize(("asked", "status"), [
    ("bytes=3-1", 416), ("bytes=-", 416), ("bytes=x-2", 416), ("bytes", 416), ("bytes=1", 416), ("lines=1-2", 416),
    ("bytes=-0", 416), ("bytes=0-1,3-4", 400), ("bytes=0-0", 206), ("bytes=9-", 206)])
def test_ranges(client: Client, ten_bytes: str, asked: str, status: int) -> None:
    answer = client.get(f"/image/v2/images/{ten_bytes}/file", headers={"Range": asked})
    assert answer.status_code == status, answer.text
    assert status != 416 or answer.headers["Content-Range"] == "bytes */10"
